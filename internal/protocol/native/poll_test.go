package native_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/native"
)

// The tests of this file run in virtual time: a poll needs no socket.

// A poller is a handler and its hub.
type poller struct {
	hub    *hub.Hub
	native *native.Handler
}

// polling runs a test in a bubble.
func polling(t *testing.T, test func(t *testing.T, p *poller)) {
	synctest.Test(t, func(t *testing.T) {
		h, err := hub.New(hub.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		test(t, &poller{h, native.New(h, native.Options{})})
	})
}

func (p *poller) publish(t *testing.T, data string) {
	t.Helper()
	if _, err := p.hub.Publish(context.Background(), text("a", data)); err != nil {
		t.Fatal(err)
	}
}

// A reply comes when a poll is answered.
type reply struct {
	status     int
	body, last string
	after      time.Duration
}

// poll begins to poll as plain text. The caller must receive the reply.
func (p *poller) poll(ctx context.Context, query string) <-chan reply {
	replies := make(chan reply, 1)
	r := httptest.NewRequestWithContext(ctx, "GET", "/v1/topics/a?"+query, nil)
	r.Header.Set("Accept", "text/plain")
	start := time.Now()
	go func() {
		w := httptest.NewRecorder()
		p.native.ServeHTTP(w, r)
		replies <- reply{w.Code, w.Body.String(), w.Header().Get("Weir-Last-Event-Id"), time.Since(start)}
	}()
	synctest.Wait() // it waits, or has been answered
	return replies
}

func TestPollWaitsForTheFirstMessage(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		p.publish(t, "old")
		replies := p.poll(t.Context(), "wait=30s")
		time.Sleep(12 * time.Second)
		p.publish(t, "new")
		first := <-replies
		if first.status != 200 || first.body != "new\n" || first.after != 12*time.Second {
			t.Errorf("got %+v, want the message after 12 s", first)
		}
		p.publish(t, "between")
		if next := <-p.poll(t.Context(), "wait=30s&last_event_id="+first.last); next.body != "between\n" || next.after != 0 {
			t.Errorf("the next poll got %+v, want at once what came between the two", next)
		}
	})
}

func TestPollEndsWithTheTime(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		p.publish(t, "old")
		first := <-p.poll(t.Context(), "wait=5m")
		if first.status != 200 || first.body != "" || first.after != 5*time.Minute {
			t.Errorf("got %+v, want nothing after 5 minutes", first)
		}
		p.publish(t, "new")
		if next := <-p.poll(t.Context(), "wait=0s&last_event_id="+first.last); next.body != "new\n" {
			t.Errorf("the next poll got %+v, want the message", next)
		}
	})
}

func TestPollOfAGapIsAnsweredAtOnce(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		if got := <-p.poll(t.Context(), "wait=5m&last_event_id=unheard-of"); got.after != 0 || got.body == "" {
			t.Errorf("got %+v, want the gap at once", got)
		}
	})
}

func TestPollEndsWithItsClient(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		ctx, cancel := context.WithCancel(t.Context())
		replies := p.poll(ctx, "wait=5m")
		cancel()
		if got := <-replies; got.after != 0 {
			t.Errorf("the handler held on for %v", got.after)
		}
	})
}

// TestEndPollsAnswersThoseThatWait and those that come later, with a place to go
// on from. Messages that were published before are in the answer.
func TestEndPollsAnswersThoseThatWait(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		p.publish(t, "old")
		waiting := p.poll(t.Context(), "wait=5m")
		p.native.EndPolls()
		got := <-waiting
		if got.status != 200 || got.body != "" || got.after != 0 || got.last == "" {
			t.Errorf("the poll that waited got %+v, want 200 at once", got)
		}
		if got := <-p.poll(t.Context(), "wait=5m"); got.status != 200 || got.after != 0 {
			t.Errorf("a later poll got %+v, want 200 at once", got)
		}
		if got := <-p.poll(t.Context(), "wait=5m&since=start"); got.body != "old\n" {
			t.Errorf("a later poll for what there is got %+v", got)
		}
	})
}

func TestPollOfAClosedHubIsUnavailable(t *testing.T) {
	polling(t, func(t *testing.T, p *poller) {
		waiting := p.poll(t.Context(), "wait=5m")
		p.hub.Close()
		if got := <-waiting; got.status != http.StatusServiceUnavailable || got.after != 0 {
			t.Errorf("got %+v, want 503 at once", got)
		}
		if got := <-p.poll(t.Context(), "wait=5m"); got.status != http.StatusServiceUnavailable || got.after != 0 {
			t.Errorf("a later poll got %+v, want 503 at once", got)
		}
	})
}
