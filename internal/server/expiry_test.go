package server_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/server"
)

// openAs sends a request on a connection of its own, which must get a stream.
func (r *running) openAs(t *testing.T, key, target, accept string) *reader {
	t.Helper()
	c := r.connect(t)
	if resp := c.send(t, "GET", target, "", key, "Accept: "+accept); resp.StatusCode != 200 {
		t.Fatalf("GET %s: %s", target, resp.Status)
	}
	return c
}

// endingSoon returns a grant for mine/** that ends in about two seconds: tokens count
// whole ones.
func endingSoon() access.Grant {
	g := mine
	g.Expires = time.Now().Add(2500 * time.Millisecond).Truncate(time.Second)
	return g
}

// TestStreamsEndWithTheToken opens one of each kind.
func TestStreamsEndWithTheToken(t *testing.T) {
	defer server.WarnBefore(time.Second)()
	s := guarded(t)
	r := start(t, s)
	lasting := bearer(signed(t, mine))
	r.do(t, "PUT", "/v1/streams/mine/s", "first", plain, lasting)
	g := endingSoon()
	key := bearer(signed(t, g))
	warned := []struct{ target, accept, notice string }{
		{"/v1/topics/mine/a", "text/event-stream", "event: weir.expiring\ndata: {\"expires\":"},
		{"/v1/topics/mine/**?envelope=true", "text/event-stream", "event: weir.expiring\n"},
		{"/v1/events?topic=mine/a", "application/x-ndjson", `{"expiring":{"expires":"`},
		{"/v1/topics/mine/a", "text/plain", ""},
		{"/demo/time", "text/event-stream", "event: weir.expiring\n"},
		{"/v1/streams/mine/s?offset=-1&live=sse", "text/event-stream", ""},
	}
	var readers []*reader
	for _, w := range warned {
		readers = append(readers, r.openAs(t, key, w.target, w.accept))
	}
	for i, w := range warned {
		text, err := io.ReadAll(readers[i].body)
		if early := time.Until(g.Expires); err != nil || early > 0 || early < -patience {
			t.Errorf("%s as %s ended %v before the token, %v", w.target, w.accept, early, err)
		}
		if w.notice == "" && strings.Contains(string(text), "weir.") || !strings.Contains(string(text), w.notice) {
			t.Errorf("%s as %s got %q, want %q in it", w.target, w.accept, text, w.notice)
		}
	}
	_, page := r.do(t, "GET", "/metrics", "", lasting)
	if n := parse(t, page)["weir_connections_closed_total"].samples[`{reason="access_expired"}`]; n != 5 {
		t.Errorf("%v streams are counted as expired, want 5", n)
	}
	eventually(t, "all have ended", func() bool { return r.Streams() == 0 })
}

// TestLongPollsEndWithTheToken does not wait for as long as the client wants.
func TestLongPollsEndWithTheToken(t *testing.T) {
	s := guarded(t)
	s.Durable.Wait = 2 * time.Minute
	r := start(t, s)
	r.do(t, "PUT", "/v1/streams/mine/s", "first", plain, bearer(signed(t, mine)))
	g := endingSoon()
	key := bearer(signed(t, g))
	native, durable := r.connect(t), r.connect(t)
	if resp := native.send(t, "GET", "/v1/topics/mine/a?wait=5m", "", key); resp.StatusCode != 401 || time.Until(g.Expires) > 0 {
		t.Errorf("a long poll: %s, %v before the token's end", resp.Status, time.Until(g.Expires))
	} else if body, _ := io.ReadAll(resp.Body); problemCode(string(body)) != "expired_token" {
		t.Errorf("a long poll: %s", body)
	}
	if resp := durable.send(t, "GET", "/v1/streams/mine/s?offset=now&live=long-poll", "", key); resp.StatusCode != 204 && resp.StatusCode != 401 {
		t.Errorf("a long poll of a stream: %s", resp.Status)
	}
}

// TestTokensThatHoldForAges must not overflow a timer.
func TestTokensThatHoldForAges(t *testing.T) {
	r := start(t, guarded(t))
	g := mine
	g.Expires = time.Unix(253402300799, 0) // the last second of 9999
	key := bearer(signed(t, g))
	stream := r.openAs(t, key, "/v1/topics/mine/a", "text/plain")
	demo := r.openAs(t, key, "/demo/time", "text/event-stream")
	for range 3 { // a retry, its end, and what comes a second later
		demo.line(t)
	}
	if r.do(t, "POST", "/v1/topics/mine/a", "hello", key); stream.line(t) != "hello" {
		t.Error("the stream has something else")
	}
	if resp, body := r.do(t, "GET", "/v1/topics/mine/a?wait=1s&since=start", "", key); resp.StatusCode != 200 || !strings.Contains(body, "hello") {
		t.Errorf("a long poll: %s %s", resp.Status, body)
	}
	if n := r.Streams(); n != 2 {
		t.Errorf("%d streams are open, want 2", n)
	}
}

// TestLinesEndWithTheToken sends lines for longer than the token holds.
func TestLinesEndWithTheToken(t *testing.T) {
	r := start(t, guarded(t))
	g := endingSoon()
	c := r.connect(t)
	c.beginLines(t, bearer(signed(t, g)))
	c.chunk(t, `{"topic":"mine/a","data":"1"}`+"\n")
	eventually(t, "the first line is published", func() bool { return r.kept(t, "mine/a", bearer(signed(t, mine))) == 1 })
	time.Sleep(time.Until(g.Expires))
	c.chunk(t, `{"topic":"mine/a","data":"2"}`+"\n")
	if status, body := c.answer(t); status != 401 || problemCode(body) != "expired_token" || !strings.Contains(body, `"line":2,"published":1`) {
		t.Errorf("a line after the end of the token: %d %s", status, body)
	}
}
