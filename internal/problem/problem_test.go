package problem_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/problem"
)

func TestWriteSendsADocument(t *testing.T) {
	for _, c := range []struct {
		d     problem.Document
		retry string
	}{
		{problem.BadRequest("bad_topic", `topic "<a>": why`), ""},
		{problem.Conflict("closed", "the stream is closed"), ""},
		{problem.TooLarge("message is 7 bytes, limit 5", 5), ""},
		{problem.Document{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "stopping"}, "1"},
	} {
		w := httptest.NewRecorder()
		problem.Write(w, c.d)
		var got problem.Document
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", w.Body, err)
		}
		want := c.d
		want.Type, want.Title = "about:blank", http.StatusText(c.d.Status)
		if got != want || w.Code != c.d.Status || strings.Contains(w.Body.String(), `\u003c`) {
			t.Errorf("status %d, %s; want %d, %+v", w.Code, w.Body, c.d.Status, want)
		}
		for name, value := range map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Retry-After": c.retry} {
			if w.Header().Get(name) != value {
				t.Errorf("%s is %q, want %q", name, w.Header().Get(name), value)
			}
		}
	}
}

func TestQuoteIsShortAndUTF8(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a\nb", `"a\nb"`},
		{strings.Repeat("a", 80), `"` + strings.Repeat("a", 80) + `"`},
		{strings.Repeat("a", 81), `"` + strings.Repeat("a", 80) + `"…`},
		{strings.Repeat("a", 79) + "é", `"` + strings.Repeat("a", 79) + `"…`},
		{strings.Repeat("\xff", 100), `"` + strings.Repeat(`\xff`, 80) + `"…`},
	} {
		if got := problem.Quote(c.in); len(c.in) <= 81 && got != c.want || !utf8.ValidString(got) || len(got) > 400 {
			t.Errorf("Quote(%q) = %s, want %s", c.in, got, c.want)
		}
	}
}
