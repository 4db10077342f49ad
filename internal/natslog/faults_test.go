package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A load is two nodes on which messages are published all the time.
type load struct {
	t            *testing.T
	nodes        [2]*sharedlog.Log
	witnesses    [2]*witness
	stop         chan struct{}
	once         sync.Once
	wg           sync.WaitGroup
	acknowledged atomic.Int64

	mu   sync.Mutex
	sure []string // guarded by mu
	not  []string // guarded by mu
}

func startLoad(t *testing.T, nodes [2]*sharedlog.Log) *load {
	ld := &load{t: t, nodes: nodes, stop: make(chan struct{})}
	for i, l := range nodes {
		ld.witnesses[i] = follow(l)
		for g := range 4 {
			ld.wg.Go(func() { ld.publish(l, fmt.Sprint("node", i, "/", g)) })
		}
	}
	t.Cleanup(ld.halt)
	return ld
}

func (ld *load) halt() {
	ld.once.Do(func() { close(ld.stop) })
	ld.wg.Wait()
}

func (ld *load) publish(l *sharedlog.Log, name string) {
	for i := 0; ; i++ {
		select {
		case <-ld.stop:
			return
		case <-time.After(time.Millisecond):
		}
		data := fmt.Sprintf("%s/%d", name, i)
		err := l.Append(context.Background(), message("t/"+name[:5], data))
		ld.mu.Lock()
		switch {
		case err == nil:
			ld.sure = append(ld.sure, data)
			ld.acknowledged.Add(1)
		case errors.Is(err, eventlog.ErrUnavailable):
			ld.not = append(ld.not, data)
		default:
			ld.t.Errorf("Append = %v", err)
			ld.mu.Unlock()
			return
		}
		ld.mu.Unlock()
	}
}

// more waits until more messages have been acknowledged.
func (ld *load) more(n int64) {
	ld.t.Helper()
	want := ld.acknowledged.Load() + n
	within(ld.t, 30*time.Second, "more messages are acknowledged", func() bool { return ld.acknowledged.Load() >= want })
}

// end stops the load, and checks that all is well on both nodes and for their readers.
func (ld *load) end() {
	ld.t.Helper()
	ld.halt()
	for i, l := range ld.nodes {
		within(ld.t, 20*time.Second, "the node has caught up", func() bool { return l.Sync(context.Background()) == nil })
		es, lost := read(ld.t, l, 0, "**")
		checkStored(ld.t, data(es), ld.sure, ld.not)
		seqs, followed := ld.witnesses[i].seen()
		if !slices.Equal(followed, data(es)) || !slices.IsSorted(seqs) || lost != 0 {
			ld.t.Errorf("node %d: the follower got %d messages, %d are there, lost %d; or the order is another", i, len(followed), len(es), lost)
		}
	}
	ld.t.Logf("%d messages acknowledged, %d not", len(ld.sure), len(ld.not))
}

func (s *server) pair(name string, o sharedlog.Options) [2]*sharedlog.Log {
	s.t.Helper()
	return [2]*sharedlog.Log{s.open(name, o), s.open(name, o)}
}

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills it under load, several times.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	var mu sync.Mutex
	var status []bool
	o := sharedlog.Options{Wait: time.Second, Status: func(up bool, reason error) {
		mu.Lock()
		defer mu.Unlock()
		status = append(status, up)
	}}
	a := s.open("killed", o)
	o.Status = nil
	ld := startLoad(t, [2]*sharedlog.Log{a, s.open("killed", o)})
	for range 3 {
		ld.more(200)
		mu.Lock()
		n := len(status)
		mu.Unlock()
		s.Kill()
		within(t, 5*time.Second, "the node says that the server is down", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(status) > n
		})
		s.Restart()
	}
	ld.more(200)
	ld.end()
	mu.Lock()
	defer mu.Unlock()
	if want := []bool{false, true, false, true, false, true}; !slices.Equal(status, want) {
		t.Errorf("status %v, want %v", status, want)
	}
}

// TestPausedServerIsWaitedForAndReadersGoOn stops the process for a while.
func TestPausedServerIsWaitedForAndReadersGoOn(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	o := sharedlog.Options{Wait: 500 * time.Millisecond}
	ld := startLoad(t, s.pair("paused", o))
	ld.more(100)
	s.Pause()
	pause := time.After(3 * time.Second)
	time.Sleep(100 * time.Millisecond) // what was on its way is answered
	before := ld.acknowledged.Load()
	start := time.Now()
	err := ld.nodes[0].Append(t.Context(), message("t/x", "node9/9/9"))
	if took := time.Since(start); !errors.Is(err, eventlog.ErrUnavailable) || took > 2*time.Second {
		t.Errorf("Append = %v after %v, want ErrUnavailable after about %v", err, took, o.Wait)
	}
	if es, _ := read(t, ld.nodes[1], 0, "**"); len(es) < 100 {
		t.Errorf("%d messages can be read, want at least 100", len(es))
	}
	<-pause
	if after := ld.acknowledged.Load(); after != before {
		t.Errorf("%d messages were acknowledged while the server was stopped", after-before)
	}
	s.Resume()
	ld.more(100)
	ld.mu.Lock()
	ld.not = append(ld.not, "node9/9/9")
	ld.mu.Unlock()
	ld.end()
}

// TestReaderOfOldDataWaitsForTheServer reads what is only there while that is killed.
func TestReaderOfOldDataWaitsForTheServer(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := s.open("old", sharedlog.Options{HotBytes: 1, Wait: 200 * time.Millisecond})
	for i := range 10 {
		add(t, l, message("a", fmt.Sprint(i)))
	}
	s.Kill()
	done := make(chan []string)
	go func() {
		es, _ := read(t, l, 0, "a")
		done <- data(es)
	}()
	select {
	case got := <-done:
		t.Errorf("%q was read while the server was away", got)
	case <-time.After(time.Second):
	}
	s.Restart()
	if got := <-done; len(got) != 10 {
		t.Errorf("%d messages, want 10", len(got))
	}
}

// TestCutConnectionsCostNothing cuts all connections again and again.
func TestCutConnectionsCostNothing(t *testing.T) {
	s, r := startServer(t).via()
	ld := startLoad(t, s.pair("cut", sharedlog.Options{}))
	for range 20 {
		ld.more(30)
		r.Cut()
	}
	ld.more(30)
	ld.end()
	if len(ld.not) > 0 {
		t.Errorf("%d messages were not acknowledged", len(ld.not))
	}
}

// TestLostAnswersAreResolved loses the answers to what the server has carried out, again
// and again: nothing is stored twice, and all of it is acknowledged after all.
func TestLostAnswersAreResolved(t *testing.T) {
	s, r := startServer(t).via()
	ld := startLoad(t, s.pair("answers", sharedlog.Options{}))
	for range 5 {
		ld.more(30)
		before := r.Lost()
		heal := r.LoseAnswers()
		within(t, 10*time.Second, "answers to both nodes are lost", func() bool { return r.Lost() >= before+2 })
		heal()
	}
	ld.more(30)
	ld.end()
	if len(ld.not) > 0 {
		t.Errorf("%d messages were not acknowledged", len(ld.not))
	}
}

// TestNodeThatIsCutOffCatchesUp cuts one of two nodes off, which goes on serving readers.
func TestNodeThatIsCutOffCatchesUp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	way, r := s.via()
	o := sharedlog.Options{Wait: 500 * time.Millisecond}
	ld := startLoad(t, [2]*sharedlog.Log{s.open("split", o), way.open("split", o)})
	ld.more(100)
	heal := r.Unplug()
	within(t, 10*time.Second, "the node refuses", func() bool {
		ld.mu.Lock()
		defer ld.mu.Unlock()
		return slices.ContainsFunc(ld.not, func(data string) bool { return strings.HasPrefix(data, "node1") })
	})
	if es, _ := read(t, ld.nodes[1], 0, "**"); len(es) < 50 {
		t.Errorf("%d messages can be read, want at least 50", len(es))
	}
	ld.more(100)
	heal()
	within(t, 10*time.Second, "the node publishes again", func() bool { return ld.nodes[1].Append(t.Context(), message("t/x", "node9/9/9")) == nil })
	ld.mu.Lock()
	ld.not = append(ld.not, "node9/9/9")
	ld.mu.Unlock()
	ld.end()
}

// TestFullStreamRefusesAndReadersGoOn fills a stream up to a limit that the node does not
// know of.
func TestFullStreamRefusesAndReadersGoOn(t *testing.T) {
	s := startServer(t)
	l := s.open("full", sharedlog.Options{})
	s.edit("WEIR_full", func(c *jetstream.StreamConfig) { c.MaxBytes = 4_000_000 })
	big := strings.Repeat("x", 100_000)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = l.Append(t.Context(), message("a", big))
	}
	if !errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("Append number %d = %v, want ErrFull", n, err)
	}
	if es, lost := read(t, l, 0, "a"); len(es) != n-1 || lost != 0 {
		t.Errorf("%d messages are there, %d were acknowledged", len(es), n-1)
	}
	s.edit("WEIR_full", func(c *jetstream.StreamConfig) { c.MaxBytes = -1 })
	add(t, l, message("a", "y"))
	if es, _ := read(t, s.open("full", sharedlog.Options{}), 0, "a"); len(es) != n {
		t.Errorf("a new node has %d messages, want %d", len(es), n)
	}
}

// TestFullServerRefuses fills what the server has for streams, without a limit of this
// one.
func TestFullServerRefuses(t *testing.T) {
	process := natsserver.Start(t, natsserver.Options{Bare: true,
		Config: fmt.Sprintf("max_payload: 8MB\njetstream { max_file_store: 4000000, store_dir: %q }", t.TempDir())})
	s := &server{process, t, process.URL()}
	l := s.open("full", sharedlog.Options{})
	big := strings.Repeat("x", 100_000)
	var err error
	n := 0
	for ; err == nil && n < 1000; n++ {
		err = l.Append(t.Context(), message("a", big))
	}
	if !errors.Is(err, eventlog.ErrFull) || errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("Append number %d = %v, want ErrFull", n, err)
	}
	if es, lost := read(t, l, 0, "a"); len(es) != n-1 || lost != 0 {
		t.Errorf("%d messages are there, %d were acknowledged", len(es), n-1)
	}
}

// TestFullStreamMakesRoom fills a stream with large messages and then with small ones.
// What deletes, and what must be stored for that, is stored all the same.
func TestFullStreamMakesRoom(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	l := s.at(t, s.url+"?max_bytes=8000000").open("room", sharedlog.Options{})
	for _, size := range []int{500_000, 50_000, 5000, 10} {
		for topic := 0; ; topic++ {
			err := l.Append(t.Context(), message([]string{"a", "b"}[topic%2], strings.Repeat("x", size)))
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
	within(t, 20*time.Second, "room again", func() bool {
		err := l.Append(t.Context(), message("a", strings.Repeat("x", 500_000)))
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
		add(t, nodes[i%2], message("a", fmt.Sprint(i)))
	}
	s.manage(lose)
	within(t, 10*time.Second, "both nodes have noticed", func() bool { return lapsed.Load() == 2 })
	e := message("a", "new")
	add(t, nodes[0], e)
	if e.Seq <= 10 || nodes[0].Epoch() != epoch {
		t.Errorf("position %d, epoch %q; want beyond 10, %q", e.Seq, nodes[0].Epoch(), epoch)
	}
	for i, l := range append(nodes[:], s.open("wiped", o)) {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, after := range []uint64{0, 10} {
			es, lost := read(t, l, after, "a")
			if got := data(es); len(got) == 0 || got[len(got)-1] != "new" || lost < 10 {
				t.Errorf("node %d after %d: %q, lost up to %d; want new last, a gap from before", i, after, got, lost)
			}
		}
	}
}

// TestNewNodeKnowsWhatIsGone deletes most of a log, and compares a new node with an old.
func TestNewNodeKnowsWhatIsGone(t *testing.T) {
	s := startServer(t)
	o := sharedlog.Options{HotBytes: 1, History: eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 10},
		Rules:   []eventlog.Rule{{Pattern: "rare/*", Retention: eventlog.Retention{MaxEntries: 1}}, {Pattern: "none", Retention: eventlog.Retention{MaxEntries: -1}}},
	}}
	nodes := s.pair("gone", o)
	key := message("hot/1", "first")
	key.IdempotencyKey = "k"
	add(t, nodes[0], key)
	for i := range 2000 {
		es := []*eventlog.Entry{message(fmt.Sprint("hot/", i%7), fmt.Sprint(i)), message("none", "x")}
		if i%100 == 0 {
			es = append(es, message(fmt.Sprint("rare/", i/200), "r"))
			es = append(es, &eventlog.Entry{Message: eventlog.Message{Topics: []string{"state"}, Key: fmt.Sprint(i), State: true, Data: []byte("s")}})
		}
		if err := nodes[i%2].Commit(t.Context(), []eventlog.Put{{Key: fmt.Sprint(i % 3), Value: []byte(fmt.Sprint(i))}}, es...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nodes[1].Forget("rare/3"); err != nil {
		t.Fatal(err)
	}
	before := s.records("WEIR_gone")
	for range 2 { // the first makes records that the second deletes
		if err := nodes[0].Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.records("WEIR_gone"); n > 200 {
		t.Errorf("%d records are left of %d", n, before)
	}
	fresh := s.open("gone", o)
	for _, l := range nodes {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, pattern := range []string{"**", "hot/1", "hot/2", "rare/*", "rare/3", "rare/4", "none", "state", "hot/*", "other"} {
			if got, want := fresh.Bounds(sel(t, pattern)), l.Bounds(sel(t, pattern)); got != want {
				t.Errorf("%q: the new node has %+v, the old %+v", pattern, got, want)
			}
			got, lost := read(t, fresh, 0, pattern)
			want, _ := read(t, l, 0, pattern)
			if !slices.Equal(data(got), data(want)) {
				t.Errorf("%q: the new node has %q (lost %d), the old %q", pattern, data(got), lost, data(want))
			}
		}
	}
	for i := range 3 {
		if got, want := string(fresh.Value(fmt.Sprint(i))), string(nodes[0].Value(fmt.Sprint(i))); got != want {
			t.Errorf("value %d is %q, want %q", i, got, want)
		}
	}
	again := message("hot/1", "again")
	again.IdempotencyKey = "k"
	if add(t, fresh, again); !again.Duplicate || again.Seq != key.Seq {
		t.Errorf("the idempotency key is forgotten: position %d", again.Seq)
	}
}

// TestNodeThatMissedACleanUpReadsTheLogAnew cuts one node off while another publishes
// and cleans up: records are gone that it has not seen.
func TestNodeThatMissedACleanUpReadsTheLogAnew(t *testing.T) {
	s := startServer(t)
	way, relay := s.via()
	o := sharedlog.Options{Wait: time.Second, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 5}}}
	a := s.open("lag", o)
	b := way.open("lag", o)
	w := follow(b)
	add(t, a, message("a", "first"))
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	heal := relay.Unplug()
	for i := range 100 {
		add(t, a, message("a", fmt.Sprint(i)))
	}
	for range 2 {
		if err := a.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	heal()
	within(t, 10*time.Second, "the node has caught up", func() bool { return b.Head() == a.Head() })
	for _, l := range []*sharedlog.Log{a, b} {
		if es, lost := read(t, l, 1, "a"); strings.Join(data(es), " ") != "95 96 97 98 99" || lost != 96 {
			t.Errorf("%q, lost %d; want 95 to 99, 96", data(es), lost)
		}
	}
	if seqs, got := w.seen(); !slices.Equal(got, []string{"first", "95", "96", "97", "98", "99"}) || !slices.IsSorted(seqs) {
		t.Errorf("the follower got %q", got)
	}
}
