package native_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/native"
)

// TestLateReaderOfStateGetsWhatHasChanged comes back after a position that the topic
// no longer has, and is told of no gap.
func TestLateReaderOfStateGetsWhatHasChanged(t *testing.T) {
	h, err := hub.New(hub.Options{History: hub.History{Default: eventlog.Retention{MaxEntries: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	n := native.New(h, native.Options{})
	do := func(method, target, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
		r.Header.Set("Accept", "text/plain")
		if strings.HasPrefix(target, "/v1/events") {
			r.Header.Set("Content-Type", "application/x-ndjson")
		}
		w := httptest.NewRecorder()
		n.ServeHTTP(w, r)
		return w
	}
	put := func(key, data string) {
		if w := do("POST", "/v1/topics/prices?state=true&key="+key, data); w.Code != http.StatusCreated {
			t.Fatalf("publish: %d %s", w.Code, w.Body)
		}
	}
	put("gold", "gold 1\n")
	put("iron", "iron 1\n")
	seen := h.Log().Head()
	for _, v := range []string{"2", "3", "4"} {
		put("gold", "gold "+v+"\n")
	}
	if w := do("POST", "/v1/events", `{"topic":"prices","key":"tin","state":true,"data":"tin 1\n"}`); w.Code != http.StatusOK {
		t.Fatalf("publish lines: %d %s", w.Code, w.Body)
	}
	for start, want := range map[string]string{
		"since=start": "iron 1\ngold 4\ntin 1\n",
		"last_event_id=" + eventlog.FormatID(h.Log().Epoch(), seen):   "gold 4\ntin 1\n",
		"last_event_id=" + eventlog.FormatID(h.Log().Epoch(), seen+3): "tin 1\n",
	} {
		w := do("GET", "/v1/topics/prices?wait=1s&"+start, "")
		if got := strings.ReplaceAll(w.Body.String(), "\n\n", "\n"); got != want {
			t.Errorf("%s: %q, want %q", start, got, want)
		}
	}
	if w := do("POST", "/v1/topics/prices?state=maybe", "x"); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "want true or false") {
		t.Errorf("state=maybe: %d %s", w.Code, w.Body)
	}
}
