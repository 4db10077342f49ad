package redislog_test

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// TestAFarNodeGetsItsTurn has one node write without a pause, and another one that has a
// way of 20 ms to Redis and back: it is always late, unless the first waits for it.
func TestAFarNodeGetsItsTurn(t *testing.T) {
	s := startServer(t)
	way, relay := s.via()
	relay.Slow(10 * time.Millisecond)
	nodetest.FarNodeGetsItsTurn(t, s, way)
}
