package server_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/server"
)

// newRedis starts one, for the log of several nodes.
func newRedis(t *testing.T) *redisserver.Server {
	t.Helper()
	return redisserver.Start(t, redisserver.Options{})
}

// node starts a server that shares the log in redis.
func node(t *testing.T, redis *redisserver.Server) *running {
	t.Helper()
	s := defaults(t)
	s.Nodes = config.Nodes{Log: "redis://" + redis.Addr(), Name: "test", Wait: time.Second}
	return start(t, s)
}

// TestNodesShareOneLog publishes on one node and reads on the other, over a kill of
// what keeps the log.
func TestNodesShareOneLog(t *testing.T) {
	redis := newRedis(t)
	a, b := node(t, redis), node(t, redis)
	reader := b.follow(t, "/v1/topics/news", "application/x-ndjson")
	publish := func(r *running, text string) (id string) {
		t.Helper()
		resp, body := r.do(t, "POST", "/v1/topics/news", text)
		if resp.StatusCode != 201 {
			t.Fatalf("publish %s: %s %s", text, resp.Status, body)
		}
		_, id, _ = strings.Cut(strings.TrimSuffix(strings.TrimSpace(body), `"}`), `{"id":"`)
		return id
	}
	want := func(parts ...string) {
		t.Helper()
		for { // other lines say where the reader stands
			line := reader.line(t)
			if strings.Contains(line, parts[0]) {
				for _, part := range parts {
					if !strings.Contains(line, part) {
						t.Errorf("the reader got %s, want %q in it", line, part)
					}
				}
				return
			}
		}
	}
	first := publish(a, "one")
	want("one", first)
	for i := range 100 { // an ID of one node is known to the other at once
		id := publish(a, fmt.Sprint("message ", i))
		resp, body := b.do(t, "GET", "/v1/topics/news?wait=0s&last_event_id="+id, "", "Accept: application/x-ndjson")
		if resp.StatusCode != 200 || strings.Contains(body, "gap") {
			t.Fatalf("%s of the first node means to the second: %s %s", id, resp.Status, body)
		}
	}
	want("message 99")

	redis.Kill()
	eventually(t, "publishing is refused", func() bool {
		resp, body := a.do(t, "POST", "/v1/topics/news", "lost", "Idempotency-Key: lost")
		if resp.StatusCode == 503 && (!strings.Contains(body, `"log_unavailable"`) || resp.Header.Get("Retry-After") == "") {
			t.Fatalf("it is refused with %s %v", body, resp.Header)
		}
		return resp.StatusCode == 503
	})
	want(`{"status":`, `"unavailable"`)
	if resp, body := b.do(t, "GET", "/v1/topics/news?wait=0s&last=1", "", "Accept: text/plain"); resp.StatusCode != 200 || !strings.Contains(body, "message 99") {
		t.Errorf("reading without Redis: %s %q", resp.Status, body)
	}
	redis.Restart()
	want(`{"status":`, `"available"`)
	eventually(t, "publishing works again", func() bool {
		resp, _ := b.do(t, "POST", "/v1/topics/news", "two", "Idempotency-Key: two")
		return resp.StatusCode/100 == 2
	})
	want("two")
	eventually(t, "the other node makes a durable stream", func() bool { // it may find out later
		resp, _ := a.do(t, "PUT", "/v1/streams/x", "one", "Content-Type: text/plain")
		return resp.StatusCode/100 == 2
	})
	if resp, body := b.do(t, "GET", "/v1/streams/x", ""); resp.StatusCode != 200 || body != "one" {
		t.Errorf("the durable stream on the other node: %s %q", resp.Status, body)
	}
}

func TestLogThatCannotBeJoinedIsNamed(t *testing.T) {
	s := defaults(t)
	s.Nodes = config.Nodes{Log: "redis://127.0.0.1:1", Name: "test", Wait: 100 * time.Millisecond}
	if _, err := server.New(s, discard); err == nil || !strings.HasPrefix(err.Error(), "nodes.log: ") {
		t.Errorf("New gives %v, want an error that begins with nodes.log", err)
	}
}
