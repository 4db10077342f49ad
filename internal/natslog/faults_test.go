package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills it under load, several times.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	nodetest.NothingAcknowledgedIsLostWhenKilled(t, startServer(t))
}

// TestPausedServerIsWaitedForAndReadersGoOn stops the process for a while.
func TestPausedServerIsWaitedForAndReadersGoOn(t *testing.T) {
	t.Parallel()
	nodetest.PausedServerIsWaitedForAndReadersGoOn(t, startServer(t))
}

// TestReaderOfOldDataWaitsForTheServer reads what is only there while that is killed.
func TestReaderOfOldDataWaitsForTheServer(t *testing.T) {
	t.Parallel()
	nodetest.ReaderOfOldDataWaits(t, startServer(t))
}

// TestCutConnectionsCostNothing cuts all connections again and again.
func TestCutConnectionsCostNothing(t *testing.T) {
	s, r := startServer(t).via()
	ld := nodetest.StartLoad(t, s.pair("cut", sharedlog.Options{}))
	for range 20 {
		ld.More(30)
		r.Cut()
	}
	ld.More(30)
	ld.EndWithoutRefusal()
}

// TestLostAnswersAreResolved loses the answers to what the server has carried out, again
// and again: nothing is stored twice, and all of it is acknowledged after all.
func TestLostAnswersAreResolved(t *testing.T) {
	s, r := startServer(t).via()
	ld := nodetest.StartLoad(t, s.pair("answers", sharedlog.Options{}))
	for range 5 {
		ld.More(30)
		before := r.Lost()
		heal := r.LoseAnswers()
		nodetest.Within(t, 10*time.Second, "answers to both nodes are lost", func() bool { return r.Lost() >= before+2 })
		heal()
	}
	ld.More(30)
	ld.EndWithoutRefusal()
}

// TestNodeThatIsCutOffCatchesUp cuts one of two nodes off, which goes on serving readers.
func TestNodeThatIsCutOffCatchesUp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	way, r := s.via()
	o := sharedlog.Options{Wait: 500 * time.Millisecond}
	nodes := [2]*sharedlog.Log{s.open("split", o), way.open("split", o)}
	ld := nodetest.StartLoad(t, nodes)
	ld.More(100)
	heal := r.Unplug()
	nodetest.Within(t, 10*time.Second, "the node refuses", func() bool {
		return slices.ContainsFunc(ld.Unknown(), func(data string) bool { return strings.HasPrefix(data, "node1") })
	})
	if es, _ := nodetest.Read(t, nodes[1], 0, "**"); len(es) < 50 {
		t.Errorf("%d messages can be read, want at least 50", len(es))
	}
	ld.More(100)
	heal()
	nodetest.Within(t, 10*time.Second, "the node publishes again", func() bool { return ld.Publish(1, "node9/9/9") == nil })
	ld.End()
}

// TestFullStreamRefusesAndReadersGoOn fills a stream up to a limit that the node does not
// know of.
func TestFullStreamRefusesAndReadersGoOn(t *testing.T) {
	s := startServer(t)
	l := s.open("full", sharedlog.Options{})
	s.edit("WEIR_full", func(c *jetstream.StreamConfig) { c.MaxBytes = 4_000_000 })
	nodetest.FullServerRefusesAndReadersGoOn(t, s, l, func() {
		s.edit("WEIR_full", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 })
	})
}

// TestFullServerRefuses fills what the server has for streams, without a limit of this
// one.
func TestFullServerRefuses(t *testing.T) {
	process := natsserver.Start(t, natsserver.Options{Bare: true,
		Config: fmt.Sprintf("max_payload: 8MB\njetstream { max_file_store: 4000000, store_dir: %q }", t.TempDir())})
	s := &server{process, t, process.URL()}
	nodetest.Fill(t, s.open("full", sharedlog.Options{}))
}

// TestFullStreamMakesRoom fills a stream with large messages and then with small ones.
// What deletes, and what must be stored for that, is stored all the same.
func TestFullStreamMakesRoom(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := s.at(t, s.url+"?max_bytes=8000000").open("room", sharedlog.Options{})
	for _, size := range []int{500_000, 50_000, 5000, 10} {
		for topic := 0; ; topic++ {
			err := l.Append(t.Context(), nodetest.Message([]string{"a", "b"}[topic%2], strings.Repeat("x", size)))
			if errors.Is(err, eventlog.ErrFull) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, topic := range []string{"a", "b"} {
		if n, err := l.Forget(topic); n == 0 || err != nil {
			t.Fatalf("Forget = %d, %v; want some", n, err)
		}
	}
	nodetest.Within(t, 20*time.Second, "room again", func() bool {
		err := l.Append(t.Context(), nodetest.Message("a", strings.Repeat("x", 500_000)))
		if err != nil && !errors.Is(err, eventlog.ErrFull) {
			t.Fatalf("Append = %v", err)
		}
		return err == nil
	})
}

// TestLostStreamIsAGap deletes the stream, all of its messages, or the newest: no position
// comes again, and readers who were there before are told.
func TestLostStreamIsAGap(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(context.Context, jetstream.JetStream) error{
		"deleted": func(ctx context.Context, js jetstream.JetStream) error { return js.DeleteStream(ctx, "WEIR_wiped") },
		"purged": func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, "WEIR_wiped")
			if err != nil {
				return err
			}
			return stream.Purge(ctx)
		},
		"without the newest": func(ctx context.Context, js jetstream.JetStream) error {
			stream, err := js.Stream(ctx, "WEIR_wiped")
			if err != nil {
				return err
			}
			return stream.DeleteMsg(ctx, stream.CachedInfo().State.LastSeq)
		},
	} {
		t.Run(name, func(t *testing.T) { testLostStream(t, lose) })
	}
}

func testLostStream(t *testing.T, lose func(context.Context, jetstream.JetStream) error) {
	t.Helper()
	s := startServer(t)
	var lapsed atomic.Int32
	o := sharedlog.Options{Lapsed: func() { lapsed.Add(1) }}
	nodes := s.pair("wiped", o)
	epoch := nodes[0].Epoch()
	for i := range 10 {
		nodetest.Add(t, nodes[i%2], nodetest.Message("a", fmt.Sprint(i)))
	}
	s.manage(lose)
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
		for _, after := range []uint64{0, 10} {
			es, lost := nodetest.Read(t, l, after, "a")
			if got := nodetest.Data(es); len(got) == 0 || got[len(got)-1] != "new" || lost < 10 {
				t.Errorf("node %d after %d: %q, lost up to %d; want new last, a gap from before", i, after, got, lost)
			}
		}
	}
}

// TestNewNodeKnowsWhatIsGone deletes most of a log, and compares a new node with an old.
func TestNewNodeKnowsWhatIsGone(t *testing.T) {
	s := startServer(t)
	nodetest.NewNodeKnowsWhatIsGone(t, s, func() int { return int(s.records("WEIR_gone")) })
}

// TestNodeThatMissedACleanUpReadsTheLogAnew cuts one node off while another publishes
// and cleans up: records are gone that it has not seen.
func TestNodeThatMissedACleanUpReadsTheLogAnew(t *testing.T) {
	s := startServer(t)
	way, relay := s.via()
	nodetest.NodeThatMissedACleanUpReadsTheLogAnew(t, s, way, relay.Unplug)
}
