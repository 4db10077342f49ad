package server_test

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// TestDurableStreamsAreServedBelowTheirPrefix uses a stream, and the same by the
// server's own interface.
func TestDurableStreamsAreServedBelowTheirPrefix(t *testing.T) {
	text := "Content-Type: text/plain"
	for prefix, want := range map[string]int{"/v1/streams/": 201, "/somewhere/else/": 201, "": 404} {
		s := defaults(t)
		s.Durable = config.Durable{Prefix: prefix, Wait: 10 * time.Millisecond}
		s.Hub.MaxMessage = 100
		r := start(t, s)
		path := prefix
		if path == "" {
			path = "/v1/streams/"
		}
		resp, body := r.do(t, "PUT", path+"a", "1", text)
		if resp.StatusCode != want || want == 404 && !strings.Contains(body, "not_found") {
			t.Errorf("prefix %q: PUT is answered with %s %s", prefix, resp.Status, body)
		}
		if want == 404 {
			continue
		}
		r.publish(t, "a", "2")
		if _, body := r.do(t, "GET", path+"a", ""); body != "12" {
			t.Errorf("prefix %q: the stream has %q", prefix, body)
		}
		if _, body := r.do(t, "GET", "/v1/topics/a?wait=0s&since=start", "", "Accept: text/plain"); body != "1\n2\n" {
			t.Errorf("prefix %q: the topic has %q", prefix, body)
		}
		if resp, _ := r.do(t, "GET", path+"a?live=long-poll&offset=now", ""); resp.StatusCode != 204 {
			t.Errorf("durable-streams-wait: %s", resp.Status)
		}
		if resp, body := r.do(t, "POST", path+"a", strings.Repeat("x", 101), text); resp.StatusCode != 413 || !strings.Contains(body, `"limit":100`) {
			t.Errorf("hub.max-message: %s %s", resp.Status, body)
		}
		if resp, _ := r.do(t, "PUT", path+"weir/stats", "", text); resp.StatusCode != 400 {
			t.Errorf("a stream of the server's own topic: %s", resp.Status)
		}
	}
}

// TestFollowersOfDurableStreamsDoNotHoldUpTheEnd stops a server while somebody
// follows.
func TestFollowersOfDurableStreamsDoNotHoldUpTheEnd(t *testing.T) {
	r := start(t, defaults(t))
	r.do(t, "PUT", "/v1/streams/a", "1", "Content-Type: text/plain")
	follower := r.follow(t, "/v1/streams/a?live=sse&offset=-1", "*/*")
	for follower.line(t) != "data:1" {
	}
	before := time.Now()
	r.stop(t)
	if took := time.Since(before); took > patience {
		t.Errorf("the server has taken %v to stop", took)
	}
	if rest, err := io.ReadAll(follower.body); err != nil {
		t.Errorf("the follower is cut off after %q: %v", rest, err)
	}
}
