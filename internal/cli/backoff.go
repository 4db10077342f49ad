package cli

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	firstWait   = 200 * time.Millisecond
	longestWait = 10 * time.Second
)

// A backoff tells how long to wait before the next attempt: about 200 ms at
// first, then twice as long each time, up to 10 s. The zero value is ready.
type backoff struct {
	failures int
}

// next returns a random time between half and all of the current wait, so that
// many clients of a server that comes back do not arrive together.
func (b *backoff) next() time.Duration {
	wait := longestWait
	if b.failures < 6 {
		wait = min(firstWait<<b.failures, longestWait)
	}
	b.failures++
	return wait/2 + rand.N(wait/2+1)
}

// reset is called after a success.
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
