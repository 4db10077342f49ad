package redislog_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// TestNothingAcknowledgedIsLostWhenRedisIsKilled kills it under load, several times.
func TestNothingAcknowledgedIsLostWhenRedisIsKilled(t *testing.T) {
	nodetest.NothingAcknowledgedIsLostWhenKilled(t, startDurable(t))
}

// TestPausedRedisIsWaitedForAndReadersGoOn stops the process for a while.
func TestPausedRedisIsWaitedForAndReadersGoOn(t *testing.T) {
	nodetest.PausedServerIsWaitedForAndReadersGoOn(t, startServer(t))
}

// TestReaderOfOldDataWaitsForRedis reads what is only in Redis while that is killed.
func TestReaderOfOldDataWaitsForRedis(t *testing.T) {
	nodetest.ReaderOfOldDataWaits(t, startDurable(t))
}

// TestCutConnectionsCostNothing cuts all connections again and again.
func TestCutConnectionsCostNothing(t *testing.T) {
	s := startServer(t)
	ld := nodetest.StartLoad(t, s.pair("cut", sharedlog.Options{}))
	for range 20 {
		ld.More(30)
		s.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	ld.More(30)
	ld.EndWithoutRefusal()
}

// TestFullRedisRefusesAndReadersGoOn fills the memory that Redis may use.
func TestFullRedisRefusesAndReadersGoOn(t *testing.T) {
	s := startServer(t, "--maxmemory", "6mb", "--maxmemory-policy", "noeviction")
	l := s.open("full", sharedlog.Options{})
	nodetest.FullServerRefusesAndReadersGoOn(t, s, l, func() { s.Do("CONFIG", "SET", "maxmemory", "0") })
}

// TestFullRedisMakesRoom fills far more memory than there may be. What deletes, and what
// must be stored for that, is stored all the same.
func TestFullRedisMakesRoom(t *testing.T) {
	s := startServer(t)
	l := s.open("room", sharedlog.Options{})
	for range 10 {
		nodetest.Add(t, l, nodetest.Message("a", strings.Repeat("x", 1_000_000)), nodetest.Message("b", strings.Repeat("x", 1_000_000)))
	}
	s.Do("CONFIG", "SET", "maxmemory", "16mb")
	if err := l.Append(t.Context(), nodetest.Message("a", "y")); !errors.Is(err, eventlog.ErrFull) {
		t.Fatalf("Append = %v, want ErrFull", err)
	}
	for _, topic := range []string{"a", "b"} {
		if n, err := l.Forget(topic); n != 10 || err != nil {
			t.Fatalf("Forget = %d, %v; want 10", n, err)
		}
	}
	nodetest.Within(t, 20*time.Second, "room again", func() bool {
		err := l.Append(t.Context(), nodetest.Message("a", "y"))
		if err != nil && !errors.Is(err, eventlog.ErrFull) {
			t.Fatalf("Append = %v", err)
		}
		return err == nil
	})
}

// TestWipedRedisIsAGap flushes everything: no position comes again, and readers are told.
func TestWipedRedisIsAGap(t *testing.T) {
	s := startServer(t)
	var lapsed atomic.Int32
	o := sharedlog.Options{Lapsed: func() { lapsed.Add(1) }}
	nodes := s.pair("wiped", o)
	epoch := nodes[0].Epoch()
	for i := range 10 {
		nodetest.Add(t, nodes[i%2], nodetest.Message("a", fmt.Sprint(i)))
	}
	if err := nodes[0].Commit(t.Context(), []eventlog.Put{{Key: "k", Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	s.Do("FLUSHALL")
	nodetest.Within(t, 10*time.Second, "both nodes have noticed", func() bool { return lapsed.Load() == 2 })
	e := nodetest.Message("a", "new")
	nodetest.Add(t, nodes[0], e)
	if e.Seq <= 10 || nodes[0].Epoch() != epoch {
		t.Errorf("position %d, epoch %q; want beyond 10, %q", e.Seq, nodes[0].Epoch(), epoch)
	}
	for i, l := range append(nodes[:], s.open("wiped", o)) {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for after, gap := range map[uint64]bool{0: true, 10: true, e.Seq - 1: false} {
			es, lost := nodetest.Read(t, l, after, "a")
			if got := strings.Join(nodetest.Data(es), " "); got != "new" || gap != (lost > 0) {
				t.Errorf("node %d after %d: %q, lost up to %d; want new, a gap %v", i, after, got, lost, gap)
			}
		}
		if l.Value("k") != nil {
			t.Errorf("node %d still has a value", i)
		}
	}
}

// TestNewNodeKnowsWhatIsGone deletes most of a log, and compares a new node with an old.
func TestNewNodeKnowsWhatIsGone(t *testing.T) {
	s := startServer(t)
	nodetest.NewNodeKnowsWhatIsGone(t, s, func() int {
		n, err := strconv.Atoi(s.Do("XLEN", "{weir:gone}:records"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	})
}

// TestNodeThatMissedACleanUpReadsTheLogAnew cuts one node off while another publishes
// and cleans up: records are gone that it has not seen.
func TestNodeThatMissedACleanUpReadsTheLogAnew(t *testing.T) {
	s := startServer(t)
	way, relay := s.via()
	nodetest.NodeThatMissedACleanUpReadsTheLogAnew(t, s, way, relay.Part)
}
