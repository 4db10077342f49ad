package webhook_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/webhook"
)

// TestTroubleLosesNothing has a receiver that fails in all ways; what it has not accepted
// comes again with the same ID and body, and everything in order.
func TestTroubleLosesNothing(t *testing.T) {
	for name, bad := range map[string]answer{
		"500": status(500), "404": status(404), "302": redirect, "cut": status(0), "slow": hang, "304": status(304),
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, status(200), bad, bad, status(299), bad)
			b := newBed(t, r)
			if name == "slow" {
				b.spec.Timeout = 700 * time.Millisecond
			}
			run := b.start()
			b.join("a")
			r.await(joins("a")...)
			b.join("b")
			run.awaitState(webhook.Failing)
			b.join("c", "d")
			r.await(joins("a", "b", "c", "d")...)
			run.awaitState(webhook.Running)
			checkRetries(t, r.got())
			// net/http sends again by itself if a connection was cut that had been used before.
			if s := run.Stats(); s.Sent != 4 || s.Failures < 1 || s.Requests != s.Failures+3 || s.Error != "" || !s.Oldest.IsZero() {
				t.Errorf("stats are %+v", s)
			}
		})
	}
}

func redirect(w http.ResponseWriter, r *http.Request) int {
	w.Header().Set("Location", "/elsewhere")
	return http.StatusFound
}

// checkRetries looks at requests with the same ID, and at those of the same events.
func checkRetries(t *testing.T, requests []request) {
	t.Helper()
	byID := make(map[string]string)
	again := 0
	for i, req := range requests {
		if body, known := byID[req.id]; known {
			again++
			if body != req.body {
				t.Errorf("%s has the bodies\n%s\n%s", req.id, body, req.body)
			}
		}
		if i > 0 && requests[i-1].answer/100 != 2 && requests[i-1].id != req.id {
			t.Errorf("%s, which was not accepted, is followed by %s", requests[i-1].id, req.id)
		}
		byID[req.id] = req.body
	}
	if again == 0 {
		t.Error("no request came again")
	}
}

func TestAReceiverThatIsDownGetsEverythingLater(t *testing.T) {
	r := newReceiver(t)
	b := newBed(t, r)
	relay := feedtest.NewRelay(t, "127.0.0.1:1") // where nobody listens
	b.spec.URL = "http://" + relay.Addr() + "/hooks/path"
	run := b.start()
	b.join("a", "b")
	run.awaitState(webhook.Failing)
	feedtest.Await(t, "failures", func() error { return feedtest.Not(run.Stats().Failures >= 2, "%+v", run.Stats()) })
	if s := run.Stats(); time.Since(s.Oldest) > 30*time.Second || time.Since(s.Oldest) < 0 || s.Error == "" || strings.Contains(s.Error, "hooks") {
		t.Errorf("stats are %+v", s)
	}
	run.stop()
	b.spec.URL = r.URL
	b.start()
	r.await(joins("a", "b")...)
}

func TestARunThatEndsLeavesWhatWasNotAccepted(t *testing.T) {
	arrived := make(chan struct{})
	r := newReceiver(t, func(w http.ResponseWriter, req *http.Request) int {
		close(arrived)
		return hang(w, req)
	})
	b := newBed(t, r)
	run := b.start()
	b.join("a", "b")
	<-arrived
	run.stop() // within 2 s, though the receiver hangs
	b.start()
	r.await(joins("a", "b")...)
}

// TestARequestUnderWayMayFinish ends Run while the receiver is about to accept.
func TestARequestUnderWayMayFinish(t *testing.T) {
	arrived, proceed := make(chan struct{}), make(chan struct{})
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) int {
		close(arrived)
		<-proceed
		return 200
	})
	b := newBed(t, r)
	run := b.start()
	b.join("a")
	<-arrived
	b.join("b")
	time.AfterFunc(100*time.Millisecond, func() { close(proceed) })
	run.stop()
	b.start()
	r.await(joins("a", "b")...)
	if second := r.got()[1]; len(second.events) != 1 {
		t.Errorf("what was accepted came again: %q", second.events)
	}
}

// TestThePositionIsStoredWithoutSendingAgain has a log that refuses when the receiver has
// accepted.
func TestThePositionIsStoredWithoutSendingAgain(t *testing.T) {
	fb := feedtest.New(t)
	r := newReceiver(t, func(http.ResponseWriter, *http.Request) int {
		fb.Log.Full.Store(true)
		return 200
	})
	b := newBed(t, r)
	b.hub = fb.Hub
	run := b.start()
	b.join("a")
	run.awaitState(webhook.Failing)
	feedtest.Await(t, "attempts to store", func() error {
		return feedtest.Not(fb.Log.Refused.Load() >= 3, "%d", fb.Log.Refused.Load())
	})
	if s := run.Stats(); !strings.Contains(s.Error, "store the position") {
		t.Errorf("stats are %+v", s)
	}
	fb.Log.Full.Store(false)
	run.awaitState(webhook.Running)
	b.join("b")
	r.await(joins("a", "b")...)
}

// TestTheClockOfGivingUpOutlivesARun restarts the hook more often than give-up lasts.
func TestTheClockOfGivingUpOutlivesARun(t *testing.T) {
	r := newReceiver(t, slices.Repeat([]answer{status(500)}, 1000)...)
	b := newBed(t, r)
	run := b.start()
	b.join("a")
	feedtest.Await(t, "a failure", func() error { return feedtest.Not(run.Stats().Failures > 0, "%+v", run.Stats()) })
	run.stop()
	value := b.hub.Log().Value("webhook/app/failing")
	since, err := time.Parse(time.RFC3339, string(value))
	if err != nil || time.Since(since) > 30*time.Second || time.Since(since) < 0 {
		t.Fatalf("it is failing since %q", value)
	}
	run = b.start()
	feedtest.Await(t, "a failure", func() error { return feedtest.Not(run.Stats().Failures > 0, "%+v", run.Stats()) })
	if now := b.hub.Log().Value("webhook/app/failing"); string(now) != string(value) {
		t.Errorf("after another Run it is failing since %q, want %q", now, value)
	}
	r.mu.Lock()
	r.next = nil
	r.mu.Unlock()
	r.await(joins("a")...)
	for _, req := range r.got() {
		if req.id != r.got()[0].id {
			t.Errorf("the same event is sent as %s and as %s", r.got()[0].id, req.id)
		}
	}
	feedtest.Await(t, "no failure", func() error {
		return feedtest.Not(b.hub.Log().Value("webhook/app/failing") == nil, "it is failing still")
	})
}

func TestGoneStopsTheHook(t *testing.T) {
	r := newReceiver(t, status(410))
	b := newBed(t, r)
	h := b.hook()
	first := run(t, h)
	b.join("a")
	first.awaitState(webhook.Gone)
	first.stop()
	b.join("b")
	if s := h.Stats(); s.State != webhook.Gone || s.Requests != 1 || !strings.Contains(s.Error, "410 Gone") {
		t.Errorf("stats are %+v", s)
	}
	if !strings.Contains(b.log.String(), "webhook stopped") {
		t.Errorf("the log says\n%s", b.log)
	}
	b.start() // as after a restart
	r.await(joins("a", "b")...)
	if got := r.got(); len(got) > 3 {
		t.Errorf("the receiver got %d requests", len(got))
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	r := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) int {
		w.Header().Set("Retry-After", "1")
		return 429
	})
	b := newBed(t, r)
	b.start()
	b.join("a")
	r.await(joins("a")...)
	if got := r.got(); got[1].at.Sub(got[0].at) < time.Second {
		t.Errorf("it was tried again after %v, want 1s", got[1].at.Sub(got[0].at))
	}
}
