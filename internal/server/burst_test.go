package server_test

import (
	"strings"
	"sync"
	"testing"
)

// TestDrainRightAfterABurst stops the server at the moment a large batch is
// acknowledged, when the loops have most of it still before them.
func TestDrainRightAfterABurst(t *testing.T) {
	const messages = 5000
	r := start(t, drainSettings(t))
	var readers []*reader
	for range 50 {
		readers = append(readers, r.follow(t, "/v1/topics/a", "text/plain"))
	}
	eventually(t, "all follow", func() bool { return r.Streams() == len(readers) })
	got := make([]int, len(readers))
	var reading sync.WaitGroup
	for i, c := range readers {
		reading.Go(func() { got[i] = len(c.rest(t)) })
	}
	publishLines(t, r, "", strings.Repeat("x", 1000), messages)
	r.cancel()
	reading.Wait()
	for i, n := range got {
		if n != messages {
			t.Errorf("reader %d got %d messages and a clean end, %d were acknowledged", i, n, messages)
		}
	}
}
