package wheel_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/wheel"
)

const tick = 100 * time.Millisecond

type alarm struct {
	timer wheel.Timer[*alarm]
	at    time.Duration
	fired time.Duration
}

// TestTimersFireWithinOneTick compares the wheel with the deadlines themselves,
// over several rounds, with timers moved and stopped on the way.
func TestTimersFireWithinOneTick(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	w := wheel.New[*alarm](tick, 16)
	alarms := make([]*alarm, 500)
	for i := range alarms {
		a := &alarm{at: time.Duration(rnd.Int64N(int64(10 * time.Second)))}
		a.timer.Owner = a
		w.Set(&a.timer, time.Duration(rnd.Int64N(int64(time.Minute))))
		w.Set(&a.timer, a.at)
		alarms[i] = a
	}
	stopped := alarms[:50]
	for _, a := range stopped {
		w.Stop(&a.timer)
	}
	for now := time.Duration(0); now < 11*time.Second; now += time.Duration(rnd.Int64N(int64(400 * time.Millisecond))) {
		w.Advance(now, func(a *alarm) { a.fired = now })
		for _, a := range alarms[50:] {
			if due := a.at+tick <= now; due && a.fired == 0 {
				t.Fatalf("at %v: timer for %v has not fired", now, a.at)
			}
			if a.fired != 0 && a.fired < a.at {
				t.Fatalf("timer for %v fired early, at %v", a.at, a.fired)
			}
		}
	}
	for _, a := range stopped {
		if a.fired != 0 {
			t.Fatalf("stopped timer for %v fired at %v", a.at, a.fired)
		}
	}
	if w.Len() != 0 {
		t.Fatalf("Len() = %d after all fired, want 0", w.Len())
	}
}

// TestNextNeverSkipsATimer drives the wheel only at the times that Next names.
func TestNextNeverSkipsATimer(t *testing.T) {
	w := wheel.New[*alarm](tick, 8)
	for _, at := range []time.Duration{tick, 5 * tick, 5*tick + 1, 31 * tick, 400 * tick} {
		a := &alarm{at: at}
		a.timer.Owner = a
		w.Set(&a.timer, at)
	}
	var got []time.Duration
	for range 1000 {
		at, ok := w.Next()
		if !ok {
			break
		}
		w.Advance(at, func(a *alarm) {
			if at < a.at || at > a.at+tick {
				t.Errorf("timer for %v fired at %v", a.at, at)
			}
			got = append(got, a.at)
		})
	}
	if len(got) != 5 {
		t.Fatalf("fired %v, want all five", got)
	}
}

func TestFireMaySetItsOwnTimerAgain(t *testing.T) {
	w := wheel.New[*alarm](tick, 8)
	a := &alarm{}
	a.timer.Owner = a
	w.Set(&a.timer, tick)
	fired := 0
	for now := time.Duration(0); now < 3*time.Second; now += tick {
		w.Advance(now, func(a *alarm) {
			fired++
			w.Set(&a.timer, now+500*time.Millisecond)
		})
	}
	if fired != 6 {
		t.Fatalf("fired %d times in 3 s, want 6 (0.1 s, then every 0.5 s)", fired)
	}
}

func TestSetAllocs(t *testing.T) {
	w := wheel.New[*alarm](tick, 8)
	a := &alarm{}
	a.timer.Owner = a
	at := time.Duration(0)
	if n := testing.AllocsPerRun(100, func() { at += tick; w.Set(&a.timer, at) }); n != 0 {
		t.Fatalf("Set allocates %v times, want 0", n)
	}
}
