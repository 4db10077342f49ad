// Package backoff tells how long to wait before something is tried again.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Backoff tells how long to wait before the next attempt: about First, then twice as
// long each time, up to Longest. Both are more than 0. It belongs to one goroutine.
type Backoff struct {
	First, Longest time.Duration

	failures int
}

// Next returns a random time between half and all of the current wait, so that many who
// wait for the same server do not arrive together.
func (b *Backoff) Next() time.Duration {
	wait := b.Current()
	b.failures++
	return wait/2 + rand.N(wait/2+1)
}

// Current returns the longest that Next may return now.
func (b *Backoff) Current() time.Duration {
	return min(b.First<<min(b.failures, 10), b.Longest)
}

// Failures returns how often Next was called since the last Reset.
func (b *Backoff) Failures() int { return b.failures }

// Reset is called after a success.
func (b *Backoff) Reset() { b.failures = 0 }

// Pause waits for d or for the end of ctx, and reports whether d passed.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
