package stream_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/stream"
)

var discard = slog.New(slog.DiscardHandler)

// TestAcceptDecidesBetweenStreamAndOrdinaryAnswer covers one URL that serves both.
func TestAcceptDecidesBetweenStreamAndOrdinaryAnswer(t *testing.T) {
	engine := stream.NewEngine(1)
	ok := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	end := func(c *stream.Conn, r *http.Request) { c.End() }
	both := stream.Options{Engine: engine, Otherwise: ok}.SSE(end)
	only := stream.Options{Engine: engine}.SSE(end)
	for _, test := range []struct {
		accept     string
		both, only string // media type, or status
	}{
		{"text/event-stream", "text/event-stream", "text/event-stream"},
		{"Text/Event-Stream", "text/event-stream", "text/event-stream"},
		{"text/event-stream;q=1, */*", "text/event-stream", "text/event-stream"},
		{"text/html, text/event-stream;q=0.1", "text/event-stream", "text/event-stream"},
		{"text/*", "text/event-stream", "text/event-stream"},
		{"*/*", "ok", "text/event-stream"},
		{"", "ok", "text/event-stream"},
		{"text/html", "ok", "406"},
		{"text/event-stream;q=0, */*", "ok", "406"},
	} {
		for h, want := range map[http.Handler]string{both: test.both, only: test.only} {
			srv := httptest.NewServer(h)
			req, _ := http.NewRequest("GET", srv.URL, nil)
			req.Header.Set("aCCEPT", test.accept)
			if test.accept == "" {
				req.Header.Del("Accept")
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			got := resp.Header.Get("Content-Type")
			if resp.StatusCode != 200 {
				got = strings.Fields(resp.Status)[0]
			} else if string(body) == "ok" {
				got = "ok"
			}
			if got != want {
				t.Errorf("Accept %q (otherwise %v): got %q, want %q", test.accept, h == both, got, want)
			}
			srv.Close()
		}
	}
}

func TestPreflightAndMethods(t *testing.T) {
	h := stream.Options{AllowOrigins: []string{"*"}}.SSE(func(c *stream.Conn, r *http.Request) { c.End() })
	srv := httptest.NewServer(h)
	defer srv.Close()
	do := func(method string, header ...string) *http.Response {
		req, _ := http.NewRequest(method, srv.URL, nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	resp := do("OPTIONS", "Origin", "https://b.example", "Access-Control-Request-Method", "GET")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || resp.Header.Get("Access-Control-Allow-Methods") == "" {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
	if got := resp.Header.Get("Access-Control-Allow-Methods"); got != "GET, HEAD, POST, QUERY" {
		t.Errorf("preflight allows the methods %q", got)
	}
	if got := resp.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(got, "Last-Event-ID") || !strings.Contains(got, "Idempotency-Key") {
		t.Errorf("preflight allows the headers %q", got)
	}
	if resp := do("HEAD"); resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", resp.StatusCode, resp.Header)
	}
	if resp := do("DELETE"); resp.StatusCode != 405 || resp.Header.Get("Allow") == "" {
		t.Errorf("DELETE: %d %v", resp.StatusCode, resp.Header)
	}
}

func TestWildcardOriginNeverGoesWithCredentials(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Fatal("AllowCredentials with * was accepted")
		}
	}()
	stream.Options{AllowOrigins: []string{"*"}, AllowCredentials: true}.SSE(nil)
}
