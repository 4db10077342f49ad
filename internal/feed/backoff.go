package feed

import (
	"context"
	"math/rand/v2"
	"time"
)

// A backoff tells how long to wait before the next attempt: about first, then twice as
// long each time, up to longest.
type backoff struct {
	first, longest time.Duration
	failures       int
}

// next returns a random time between half and all of the current wait, so that many
// who wait for the same server do not arrive together.
func (b *backoff) next() time.Duration {
	wait := b.current()
	b.failures++
	return wait/2 + rand.N(wait/2+1)
}

func (b *backoff) current() time.Duration {
	return min(b.first<<min(b.failures, 10), b.longest)
}

func (b *backoff) reset() { b.failures = 0 }

// pause waits for d or for the end of ctx, and reports whether d passed.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
