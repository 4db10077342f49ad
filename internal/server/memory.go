package server

import (
	"context"
	"runtime/debug"
	"time"
)

const (
	trimEvery = time.Second
	trimAfter = 250 // streams more or fewer than when memory was last given back
)

// trimMemory gives memory back to the system after many streams have come or
// gone. While a stream opens, net/http needs far more for it than the open stream
// does later; Go's runtime alone would keep what a rush has needed for minutes.
func (s *Server) trimMemory(ctx context.Context) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	trimmed, before := 0, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.engine.Len()
		quiet := abs(now-before) < trimAfter/10
		before = now
		if quiet && abs(now-trimmed) >= trimAfter {
			trimmed = now
			debug.FreeOSMemory() // a collection, and what it freed is returned
		}
	}
}

func abs(n int) int { return max(n, -n) }
