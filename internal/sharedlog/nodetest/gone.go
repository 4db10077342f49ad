package nodetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// clean has a node clean up twice: the first makes records that the second deletes.
func clean(t *testing.T, l *sharedlog.Log) {
	t.Helper()
	for range 2 {
		if err := l.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// NewNodeKnowsWhatIsGone deletes most of the log named gone, and compares a new node with
// an old. The server says how many records it has.
func NewNodeKnowsWhatIsGone(t *testing.T, s Server, records func() int) {
	o := sharedlog.Options{HotBytes: 1, History: eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 10},
		Rules:   []eventlog.Rule{{Pattern: "rare/*", Retention: eventlog.Retention{MaxEntries: 1}}, {Pattern: "none", Retention: eventlog.Retention{MaxEntries: -1}}},
	}}
	nodes := Pair(t, s, "gone", o)
	key := Message("hot/1", "first")
	key.IdempotencyKey = "k"
	Add(t, nodes[0], key)
	fillAndForget(t, nodes)
	before := records()
	clean(t, nodes[0])
	if n := records(); n > 200 || before < 2000 {
		t.Errorf("%d records are left of %d, want 200 at most of 2000 or more", n, before)
	}
	fresh := Open(t, s, "gone", o)
	for _, l := range nodes {
		syncNode(t, l)
		compareNodes(t, fresh, l)
	}
	again := Message("hot/1", "again")
	again.IdempotencyKey = "k"
	if Add(t, fresh, again); !again.Duplicate || again.Seq != key.Seq {
		t.Errorf("the idempotency key is forgotten: position %d", again.Seq)
	}
}

// fillAndForget publishes far more than is kept, of every kind, and forgets a topic.
func fillAndForget(t *testing.T, nodes [2]*sharedlog.Log) {
	t.Helper()
	for i := range 2000 {
		es := []*eventlog.Entry{Message(fmt.Sprint("hot/", i%7), fmt.Sprint(i)), Message("none", "x")}
		if i%100 == 0 {
			es = append(es, Message(fmt.Sprint("rare/", i/200), "r"))
			es = append(es, &eventlog.Entry{Message: eventlog.Message{Topics: []string{"state"}, Key: fmt.Sprint(i), State: true, Data: []byte("s")}})
		}
		if err := nodes[i%2].Commit(t.Context(), []eventlog.Put{{Key: fmt.Sprint(i % 3), Value: []byte(fmt.Sprint(i))}}, es...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := nodes[1].Forget("rare/3"); err != nil {
		t.Fatal(err)
	}
}

// compareNodes wants the bounds, entries and values of an old node on a fresh one.
func compareNodes(t *testing.T, fresh, old *sharedlog.Log) {
	t.Helper()
	for _, pattern := range []string{"**", "hot/1", "hot/2", "rare/*", "rare/3", "rare/4", "none", "state", "hot/*", "other"} {
		if got, want := fresh.Bounds(Select(t, pattern)), old.Bounds(Select(t, pattern)); got != want {
			t.Errorf("%q: the new node has %+v, the old %+v", pattern, got, want)
		}
		got, lost := Read(t, fresh, 0, pattern)
		want, _ := Read(t, old, 0, pattern)
		if !slices.Equal(Data(got), Data(want)) {
			t.Errorf("%q: the new node has %q (lost %d), the old %q", pattern, Data(got), lost, Data(want))
		}
	}
	for i := range 3 {
		if got, want := string(fresh.Value(fmt.Sprint(i))), string(old.Value(fmt.Sprint(i))); got != want {
			t.Errorf("value %d is %q, want %q", i, got, want)
		}
	}
}

// NodeThatMissedACleanUpReadsTheLogAnew cuts one node off, which reaches the server by a
// way of its own, while another publishes and cleans up: records are gone that it has not
// seen. The function cut closes the way, and returns what opens it.
func NodeThatMissedACleanUpReadsTheLogAnew(t *testing.T, s, way Server, cut func() (heal func())) {
	o := sharedlog.Options{Wait: time.Second, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 5}}}
	a := Open(t, s, "lag", o)
	b := Open(t, way, "lag", o)
	w := Follow(b)
	Add(t, a, Message("a", "first"))
	syncNode(t, b)
	heal := cut()
	for i := range 100 {
		Add(t, a, Message("a", fmt.Sprint(i)))
	}
	clean(t, a)
	heal()
	Within(t, 10*time.Second, "the node has caught up", func() bool { return b.Head() == a.Head() })
	for _, l := range []*sharedlog.Log{a, b} {
		if es, lost := Read(t, l, 1, "a"); strings.Join(Data(es), " ") != "95 96 97 98 99" || lost != 96 {
			t.Errorf("%q, lost %d; want 95 to 99, 96", Data(es), lost)
		}
	}
	if seqs, got := w.Seen(); !slices.Equal(got, []string{"first", "95", "96", "97", "98", "99"}) || !slices.IsSorted(seqs) {
		t.Errorf("the follower got %q", got)
	}
}
