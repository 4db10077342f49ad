package clients_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// otherOrigin serves an empty page that is not weir's, but of the same host, so
// that cookies of the page belong to weir too.
func otherOrigin(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>elsewhere</title>")
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

const setCookie = `() => document.cookie = "weir-test=secret"`

func TestPageOfAnotherOriginReadsIfAllowed(t *testing.T) {
	t.Parallel()
	origin := otherOrigin(t)
	for name, args := range map[string][]string{
		"any":         {"--cors.origins", "*"},
		"pattern":     {"--cors.origins", "http://127.0.0.1:*"},
		"listed":      {"--cors.origins", "https://example.com," + origin},
		"credentials": {"--cors.origins", origin, "--cors.credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, args...)
			p := newProxy(t, s.addr)
			page := open(t, origin)
			eval[string](page, setCookie)
			source := page.source(p.url + "/v1/topics/a")
			source.opened()
			s.publish("a", "hello", "")
			if got := source.await(1, "message"); got[0].Data != "hello" {
				t.Errorf("got %v", got)
			}
			if h := p.requests()[0]; h.field("Origin") != origin || h.field("Cookie") != "" {
				t.Errorf("the request has origin %q and cookie %q, want %q and none", h.field("Origin"), h.field("Cookie"), origin)
			}
		})
	}
}

func TestPageOfAnotherOriginSendsCookiesIfAllowed(t *testing.T) {
	t.Parallel()
	origin := otherOrigin(t)
	s := serve(t, "--cors.origins", origin, "--cors.credentials", "--stream.retry", "100ms")
	p := newProxy(t, s.addr)
	page := open(t, origin)
	eval[string](page, setCookie)
	source := page.sourceWithCredentials(p.url + "/v1/topics/a")
	source.opened()
	id := s.publish("a", "hello", "")
	source.await(1, "message")
	p.cut()
	source.await(2, "open")
	s.publish("a", "again", "")
	source.await(2, "message")

	requests := p.requests()
	for _, h := range requests {
		if !strings.Contains(h.field("Cookie"), "weir-test=secret") || strings.HasPrefix(h.text, "OPTIONS") {
			t.Errorf("a request without the cookie, or a preflight: %q", h.text)
		}
	}
	if got := requests[len(requests)-1].field("Last-Event-ID"); got != id {
		t.Errorf("the browser came back with ID %q, want %q", got, id)
	}
}

func TestPageOfAnotherOriginIsRefused(t *testing.T) {
	t.Parallel()
	origin := otherOrigin(t)
	for _, c := range []struct {
		name        string
		args        []string
		credentials bool
	}{
		{"nothing allowed", nil, false},
		{"another allowed", []string{"--cors.origins", "http://127.0.0.1:1"}, false},
		{"credentials with any origin", []string{"--cors.origins", "*"}, true},
		{"credentials not allowed", []string{"--cors.origins", origin}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, c.args...)
			page := open(t, origin)
			connect := func(address string) *source { return page.source(address) }
			if c.credentials {
				connect = page.sourceWithCredentials
			}
			source := connect(s.topicURL("a") + "?since=start")
			s.publish("a", "secret", "")
			source.await(1, "error")
			if got := source.records(); len(got) != 1 || got[0].Left != 2 {
				t.Errorf("the page was told %v, want one error for good", got)
			}
		})
	}
}

func TestPageOfAnotherOriginPublishesOnlyIfAllowed(t *testing.T) {
	t.Parallel()
	const post = `(url, mode) => fetch(url, {method: "POST", mode, body: "x"}).then(r => String(r.status), e => e.name)`
	origin := otherOrigin(t)
	refusing, allowing := serve(t), serve(t, "--cors.origins", origin)
	page := open(t, origin)
	if got := eval[string](page, post, allowing.topicURL("a"), "cors"); got != "201" {
		t.Errorf("publish from an allowed origin: %s, want 201", got)
	}
	if got := eval[string](page, post, refusing.topicURL("a"), "cors"); got != "TypeError" {
		t.Errorf("publish from another origin: %s, want TypeError", got)
	}
	eval[string](page, post, refusing.topicURL("a"), "no-cors") // the page sees nothing, the server must refuse
	for s, want := range map[*server]string{allowing: "1", refusing: "0"} {
		resp, err := s.http.Head(s.topicURL("a"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Weir-Messages"); got != want {
			t.Errorf("%s messages are kept by %v, want %s", got, s.args, want)
		}
	}
}
