package backoff_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

func TestWaitsDoubleUpToTheLongest(t *testing.T) {
	b := backoff.Backoff{First: 100 * time.Millisecond, Longest: time.Second}
	for round := range 2 {
		for i, want := range []time.Duration{100, 200, 400, 800, 1000, 1000, 1000} {
			want *= time.Millisecond
			if got := b.Next(); got < want/2 || got > want {
				t.Errorf("round %d, wait %d is %v, want %v to %v", round, i, got, want/2, want)
			}
		}
		for range 100 {
			if got := b.Next(); got < time.Second/2 || got > time.Second {
				t.Fatalf("after many failures it is %v", got)
			}
		}
		b.Reset()
	}
}

func TestWaitsDiffer(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for range 100 {
		b := backoff.Backoff{First: time.Second, Longest: time.Second}
		seen[b.Next()] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 first waits have %d values", len(seen))
	}
}

func TestPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if !backoff.Pause(t.Context(), time.Hour) || time.Since(began) != time.Hour {
			t.Errorf("a pause of an hour took %v", time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began = time.Now()
		if backoff.Pause(ctx, time.Hour) || time.Since(began) != time.Minute {
			t.Errorf("a pause that was ended took %v", time.Since(began))
		}
	})
}
