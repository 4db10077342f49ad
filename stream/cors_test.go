package stream_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/stream"
)

// corsHeaders asks a handler with these options for its headers. method is "OPTIONS"
// for a preflight.
func corsHeaders(o stream.Options, method, origin string) http.Header {
	r := httptest.NewRequest(method, "/", nil)
	r.Header.Set("Accept", "text/event-stream")
	if origin != "" {
		r.Header.Set("Origin", origin)
	}
	if method == http.MethodOptions {
		r.Header.Set("Access-Control-Request-Method", "GET")
		r.Header.Set("Access-Control-Request-Headers", "last-event-id")
		r.Header.Set("Access-Control-Request-Private-Network", "true")
	}
	w := httptest.NewRecorder()
	o.SSE(func(c *stream.Conn, r *http.Request) { c.End() }).ServeHTTP(w, r)
	return w.Result().Header
}

func TestOriginsAreAllowedByListPatternAndStar(t *testing.T) {
	list := []string{"https://app.example", "https://*.example.com", "http://localhost:*"}
	for _, c := range []struct {
		origins     []string
		credentials bool
		origin      string
		want        string // Access-Control-Allow-Origin
	}{
		{nil, false, "https://app.example", ""},
		{list, false, "", ""},
		{list, false, "https://app.example", "https://app.example"},
		{list, true, "https://app.example", "https://app.example"},
		{list, true, "https://a.b.example.com", "https://a.b.example.com"},
		{list, true, "http://localhost:5173", "http://localhost:5173"},
		{list, false, "https://example.com", ""},
		{list, true, "https://evil-example.com", ""},
		{list, true, "https://a.example.com.evil.org", ""},
		{list, true, "https://app.example@evil.org", ""},
		{list, true, "https://app.example.", ""},
		{list, true, "http://app.example", ""},
		{list, true, "http://localhost:80.evil.org", ""},
		{list, true, "null", ""},
		{list, false, "null", ""},
		{[]string{"*"}, false, "https://any.example", "*"},
		{[]string{"*"}, false, "null", "*"},
		{append([]string{"*"}, list...), false, "https://app.example", "*"},
	} {
		for _, method := range []string{"HEAD", "OPTIONS"} {
			h := corsHeaders(stream.Options{AllowOrigins: c.origins, AllowCredentials: c.credentials}, method, c.origin)
			credentials := ""
			if c.credentials && c.want != "" {
				credentials = "true"
			}
			if got := h.Get("Access-Control-Allow-Origin"); got != c.want || h.Get("Access-Control-Allow-Credentials") != credentials {
				t.Errorf("%s by %q, allowed are %q (credentials %v): allows %q with credentials %q, want %q",
					method, c.origin, c.origins, c.credentials, got, h.Get("Access-Control-Allow-Credentials"), c.want)
			}
			for _, name := range []string{"Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"} {
				if got := h.Get(name); (got != "") != (method == "OPTIONS" && c.want != "") {
					t.Errorf("%s by %q, allowed are %q: %s is %q", method, c.origin, c.origins, name, got)
				}
			}
			checkVary(t, h, method, len(c.origins) > 0)
		}
	}
}

// checkVary wants answers that depend on the request to say so, whoever asks: a
// cache would else give one page the answer for another.
func checkVary(t *testing.T, h http.Header, method string, configured bool) {
	t.Helper()
	vary := strings.Split(strings.ToLower(strings.Join(h["Vary"], ", ")), ", ")
	for name, want := range map[string]bool{
		"origin":                         configured,
		"access-control-request-method":  configured && method == "OPTIONS",
		"access-control-request-headers": configured && method == "OPTIONS",
	} {
		if slices.Contains(vary, name) != want {
			t.Errorf("%s: Vary is %q; %s in it: want %v", method, vary, name, want)
		}
	}
}

func TestPreflightIsKeptForTwoHours(t *testing.T) {
	h := corsHeaders(stream.Options{AllowOrigins: []string{"https://app.example"}}, "OPTIONS", "https://app.example")
	if got := h.Get("Access-Control-Max-Age"); got != "7200" {
		t.Errorf("Access-Control-Max-Age is %q, want 7200", got)
	}
	// The specification that had this header was given up: browsers ask the user.
	if got := h.Get("Access-Control-Allow-Private-Network"); got != "" {
		t.Errorf("Access-Control-Allow-Private-Network is %q, want none", got)
	}
}

func TestWhatIsNoOriginIsRefused(t *testing.T) {
	for _, text := range []string{"null", "example.com", "https://example.com/", "https://*"} {
		if _, err := stream.NewOpener(stream.Options{AllowOrigins: []string{text}}, stream.EventStream); err == nil {
			t.Errorf("%q is accepted as an origin", text)
		}
	}
}
