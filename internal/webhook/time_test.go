package webhook_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/internal/webhook"
)

// A clock is a hook in virtual time, with a receiver in memory.
type clock struct {
	*testing.T
	hub  *hub.Hub
	opts webhook.Options

	answer http.HandlerFunc
	began  time.Time

	mu       sync.Mutex
	attempts []time.Duration // guarded by mu: since began
	ids      []string        // guarded by mu
}

// newClock must be called in a bubble.
func newClock(t *testing.T, answer http.HandlerFunc) *clock {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	err := os.WriteFile(path, []byte(secret), 0o600)
	c := &clock{T: t, answer: answer, began: time.Now()}
	if err == nil {
		c.hub, err = hub.New(hub.Options{})
	}
	if err != nil {
		t.Fatal(err)
	}
	c.opts = webhook.Options{
		Hub: c.hub, Transport: &http.Transport{DialContext: c.serve().Dial}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Spec: webhook.Spec{Name: "app", URL: "http://app.example/", SecretFile: path, Topics: []string{"room/1"}, DeadLetter: "dead"},
	}
	t.Cleanup(func() { c.hub.Close() })
	return c
}

func (c *clock) serve() *testnet.Listener {
	ln, done := testnet.Listen(), make(chan struct{})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.attempts = append(c.attempts, time.Since(c.began))
		c.ids = append(c.ids, r.Header.Get("Webhook-Id"))
		c.mu.Unlock()
		_, _ = io.Copy(io.Discard, r.Body)
		c.answer(w, r)
	})}
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	c.Cleanup(func() {
		server.Close()
		<-done
	})
	return ln
}

// run runs a new hook for a time.
func (c *clock) run(d time.Duration, meanwhile func()) *webhook.Hook {
	c.Helper()
	h, err := webhook.New(c.opts)
	if err != nil {
		c.Fatal(err)
	}
	c.runHook(h, d, meanwhile)
	return h
}

func (c *clock) runHook(h *webhook.Hook, d time.Duration, meanwhile func()) {
	c.Helper()
	ctx, cancel := context.WithTimeout(c.Context(), d)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.Run(ctx)
	}()
	synctest.Wait()
	meanwhile()
	<-done
}

func (c *clock) publish(topic, kind string) {
	c.Helper()
	if _, err := c.hub.Publish(context.Background(), hub.Message{Topics: []string{topic}, Type: kind, Data: []byte("{}")}); err != nil {
		c.Fatal(err)
	}
}

func (c *clock) dead() int {
	c.Helper()
	b, err := c.hub.Bounds("dead")
	if err != nil {
		c.Fatal(err)
	}
	return b.Entries
}

func answers(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

// TestWaitsGrowUpToAMinute looks at the times between attempts.
func TestWaitsGrowUpToAMinute(t *testing.T) {
	second := time.Second
	for name, c := range map[string]struct {
		answer      http.HandlerFunc
		least, most []time.Duration // the last counts for all that follow
	}{
		"refused":   {answers(500), []time.Duration{second / 2, 1 * second, 2 * second, 4 * second, 8 * second, 16 * second, 30 * second}, []time.Duration{1 * second, 2 * second, 4 * second, 8 * second, 16 * second, 32 * second, 60 * second}},
		"asked":     {answers(503, "Retry-After", "100"), []time.Duration{100 * second}, []time.Duration{100 * second}},
		"for long":  {answers(429, "Retry-After", "999999"), []time.Duration{time.Hour}, []time.Duration{time.Hour}},
		"no answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []time.Duration{second * 21 / 2, 11 * second, 12 * second, 14 * second, 18 * second, 26 * second, 40 * second}, []time.Duration{11 * second, 12 * second, 14 * second, 18 * second, 26 * second, 42 * second, 70 * second}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cl := newClock(t, c.answer)
				cl.run(5*time.Hour, func() { cl.publish("weir/presence/room/1", "join") })
				cl.mu.Lock()
				defer cl.mu.Unlock()
				for i := range len(cl.attempts) - 1 {
					took := cl.attempts[i+1] - cl.attempts[i]
					least, most := c.least[min(i, len(c.least)-1)], c.most[min(i, len(c.most)-1)]
					if took < least || took > most {
						t.Errorf("attempt %d came after %v, want %v to %v", i+2, took, least, most)
					}
				}
				if len(cl.attempts) < 5 || len(slices.Compact(cl.ids)) != 1 {
					t.Errorf("%d attempts with the IDs %q", len(cl.attempts), slices.Compact(cl.ids))
				}
			})
		})
	}
}

// TestWaitsAreShortAfterASuccess has a receiver that fails five times, and then once.
func TestWaitsAreShortAfterASuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := newClock(t, func(w http.ResponseWriter, _ *http.Request) {
			if n++; n != 6 && n != 8 {
				w.WriteHeader(500)
			}
		})
		c.run(time.Hour, func() {
			c.publish("weir/presence/room/1", "join")
			time.Sleep(30 * time.Minute)
			c.publish("weir/presence/room/1", "leave")
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.attempts) != 8 || c.attempts[7]-c.attempts[6] > time.Second {
			t.Errorf("attempts were after %v, want 8, the last of them a second after the other", c.attempts)
		}
	})
}

// TestGoneStaysGone runs the same hook again.
func TestGoneStaysGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(410))
		h := c.run(time.Hour, func() { c.publish("weir/presence/room/1", "join") })
		c.runHook(h, time.Hour, func() { c.publish("weir/presence/room/1", "leave") })
		if s := h.Stats(); s.State != webhook.Gone || s.Requests != 1 || c.dead() != 0 {
			t.Errorf("stats are %+v, with %d dead letters", s, c.dead())
		}
	})
}

// TestEachEventIsTriedForADay publishes events while the receiver is down.
func TestEachEventIsTriedForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(500))
		c.run(60*time.Hour, func() {
			check := func(at time.Duration, want int) {
				t.Helper()
				time.Sleep(at - time.Since(c.began))
				if got := c.dead(); got != want {
					t.Errorf("after %v there are %d dead letters, want %d", at, got, want)
				}
			}
			c.publish("weir/presence/room/1", "join")
			time.Sleep(20 * time.Hour)
			c.publish("weir/presence/room/1", "leave")
			c.publish("weir/presence/room/1", "vacated")
			check(24*time.Hour-time.Second, 0)
			check(24*time.Hour+2*time.Minute, 1)
			check(44*time.Hour-time.Second, 1)
			check(44*time.Hour+2*time.Minute, 3)
		})
	})
}

// TestWhatIsOldIsTriedForAWhile stops the hook for hours: what waited meanwhile is not
// given up at the first failure.
func TestWhatIsOldIsTriedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(500))
		c.run(time.Hour, func() { c.publish("weir/presence/room/1", "join") })
		time.Sleep(8 * time.Hour)
		c.opts.Spec.GiveUp = 6 * time.Hour
		c.publish("weir/presence/room/1", "leave")
		c.run(30*time.Minute, func() {})
		if got := c.dead(); got != 0 {
			t.Errorf("%d dead letters, though the batch has an event that is fresh", got)
		}
		time.Sleep(7 * time.Hour)
		c.run(30*time.Minute, func() {
			time.Sleep(10*time.Minute - time.Second)
			if got := c.dead(); got != 0 {
				t.Errorf("%d dead letters before ten minutes have passed", got)
			}
		})
		if got := c.dead(); got != 2 {
			t.Errorf("%d dead letters after half an hour, want 2", got)
		}
	})
}

// TestWhatIsOldIsTriedAsLong stops the hook while the receiver is fine: what waited
// meanwhile is sent again as long as anything else.
func TestWhatIsOldIsTriedAsLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(500))
		c.opts.Spec.GiveUp = 6 * time.Hour
		c.run(time.Hour, func() {})
		c.publish("weir/presence/room/1", "join")
		time.Sleep(8 * time.Hour)
		c.run(7*time.Hour, func() {
			time.Sleep(6*time.Hour - time.Second)
			if got := c.dead(); got != 0 {
				t.Errorf("%d dead letters before six hours have passed", got)
			}
		})
		if got := c.dead(); got != 1 {
			t.Errorf("%d dead letters after seven hours, want 1", got)
		}
	})
}

// TestThePositionMovesWithoutEvents publishes what the hook does not want: what is
// dropped of it must not look like a gap.
func TestThePositionMovesWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(200))
		stores := 0
		c.run(10*time.Minute, func() {
			before := ""
			for range 600 {
				c.publish("weir/presence/room/1", "of no interest")
				c.publish("elsewhere", "")
				time.Sleep(time.Second)
				if now := string(c.hub.Log().Value("webhook/app")); now != before {
					before, stores = now, stores+1
				}
			}
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		_, at, _ := eventlog.ParseID(string(c.hub.Log().Value("webhook/app")))
		if head := c.hub.Log().Head(); at+130 < head || len(c.attempts) > 0 || stores > 12 || stores < 9 {
			t.Errorf("the position is %d of %d, stored %d times, with %d requests; want once a minute", at, head, stores, len(c.attempts))
		}
	})
}

func TestLettersOfALogWithSmallMessagesAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, answers(500))
		small, err := hub.New(hub.Options{MaxBytes: 400})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { small.Close() })
		c.hub, c.opts.Hub, c.opts.Spec.GiveUp = small, small, time.Second
		c.opts.Spec.Events = []string{"join", "message"}
		h := c.run(time.Hour, func() {
			for _, m := range []hub.Message{
				{Topics: []string{"room/1"}, Data: []byte(strings.Repeat("<", 390))},
				{Topics: []string{"room/1"}, Key: strings.Repeat("k", 380), Data: []byte("x")},
				{Topics: []string{"weir/presence/room/1"}, Type: "join", Data: []byte(`{"user":"u","info":"` + strings.Repeat("i", 300) + `"}`)},
			} {
				if _, err := small.Publish(context.Background(), m); err != nil {
					t.Fatal(err)
				}
			}
		})
		if s := h.Stats(); s.Dead != 2 || s.Dropped != 1 || c.dead() != 2 {
			t.Errorf("stats are %+v, with %d dead letters", s, c.dead())
		}
	})
}
