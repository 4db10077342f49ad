package redislog_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// TestAFarNodeGetsItsTurn has one node write without a pause, and another one that has a
// way of 20 ms to Redis and back: it is always late, unless the first waits for it.
func TestAFarNodeGetsItsTurn(t *testing.T) {
	s := startServer(t)
	near := s.open("turn", sharedlog.Options{})
	relay := feedtest.NewRelay(t, s.addr)
	relay.Slow(10 * time.Millisecond)
	engine, err := redislog.Connect(t.Context(), redislog.Options{URL: "redis://" + relay.Addr(), Name: "turn", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	far, err := sharedlog.Open(t.Context(), engine, sharedlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()

	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	for range 4 {
		writing.Go(func() {
			for ctx.Err() == nil {
				if err := near.Append(context.WithoutCancel(ctx), entry("near")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	const n = 10
	begin, head := time.Now(), near.Head()
	for range n {
		if err := far.Append(ctx, entry("far")); err != nil {
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

func entry(data string) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: []string{"a"}, Data: []byte(data)}}
}
