package proctest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

func TestMetricIsFoundByItsName(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "# HELP a 7\na_total 1\na 2.5e3\nb{c=\"d\"} 3\nbad x\n") // the client looks at it
	}))
	defer s.Close()
	for name, want := range map[string]float64{"a": 2500, "a_total": 1, `b{c="d"}`: 3} {
		if v, err := proctest.Metric(s.Client(), s.URL, name); v != want || err != nil {
			t.Errorf("%s is %v, %v, want %v", name, v, err, want)
		}
	}
	for _, name := range []string{"b", "bad", "HELP"} {
		if v, err := proctest.Metric(s.Client(), s.URL, name); err == nil {
			t.Errorf("%s is %v, want an error", name, v)
		}
	}
}
