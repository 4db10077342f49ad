package nodetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/sharedlog"
)

// FarNodeGetsItsTurn has one node write without a pause, and another one that has a way
// of 20 ms to the server and back: it is always late, unless the first waits for it.
func FarNodeGetsItsTurn(t *testing.T, s, way Server) {
	near, far := Open(t, s, "turn", sharedlog.Options{}), Open(t, way, "turn", sharedlog.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for ctx.Err() == nil {
				if err := near.Append(context.WithoutCancel(ctx), Message("a", "near")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const n = 10
	begin, head := time.Now(), near.Head()
	for range n {
		if err := far.Append(ctx, Message("a", "far")); err != nil {
			t.Error(err)
		}
	}
	took := time.Since(begin)
	cancel()
	writing.Wait()
	if limit := n * 500 * time.Millisecond; took > limit {
		t.Errorf("%d messages of the far node took %v, want %v at most", n, took, limit)
	}
	if rate := float64(near.Head()-head-n) / took.Seconds(); rate < 100 {
		t.Errorf("meanwhile the near node stored %.0f a second, want more than 100", rate)
	} else {
		t.Logf("%d messages of the far node took %v; meanwhile the near node stored %.0f a second", n, took, rate)
	}
}
