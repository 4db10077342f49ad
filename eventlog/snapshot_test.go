package eventlog_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// A shelf is a store that keeps everything.
type shelf map[uint64]*eventlog.Entry

func (s shelf) Load(_ context.Context, seqs []uint64) ([]*eventlog.Entry, error) {
	es := make([]*eventlog.Entry, len(seqs))
	for i, seq := range seqs {
		es[i] = s[seq]
	}
	return es, nil
}
func (s shelf) Trimmed(uint64, bool) {}
func (s shelf) Dropped(string)       {}

var snapshotOptions = eventlog.Options{
	Default: eventlog.Retention{MaxEntries: 5},
	Rules:   []eventlog.Rule{{Pattern: "long", Retention: eventlog.Retention{MaxEntries: 20}}, {Pattern: "none", Retention: eventlog.Retention{MaxEntries: -1}}},
}

func newIndex(t *testing.T, s shelf) *eventlog.Index {
	t.Helper()
	x, err := eventlog.NewIndex(snapshotOptions, "aaaaaaaa", s, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// fillIndex inserts entries at random.
func fillIndex(t *testing.T, rng *rand.Rand, x *eventlog.Index, s shelf, n int) {
	t.Helper()
	names := []string{"a", "b", "long", "none", "c/d"}
	for range n {
		e := &eventlog.Entry{Seq: x.Head() + 1, Time: time.Now()}
		e.Topics = []string{names[rng.IntN(5)], names[rng.IntN(5)]}[:1+rng.IntN(2)]
		e.Data = make([]byte, rng.IntN(50))
		if rng.IntN(4) == 0 {
			e.State, e.Key = true, fmt.Sprint(rng.IntN(9))
		}
		if rng.IntN(9) == 0 {
			e.IdempotencyKey = fmt.Sprint("key", e.Seq)
		}
		if err := eventlog.Prepare(e); err != nil {
			t.Fatal(err)
		}
		stored := eventlog.Entry{Message: e.Message, Seq: e.Seq, Time: e.Time}
		s[e.Seq] = &stored
		puts := []eventlog.Put{{Key: fmt.Sprint(rng.IntN(3)), Value: []byte{byte(e.Seq)}}}
		if err := x.Insert(puts, func(*eventlog.Entry) bool { return true }, e); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSnapshotMakesAnEqualIndex(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := make(shelf)
		x := newIndex(t, s)
		fillIndex(t, rng, x, s, 200)
		snap := x.Snapshot()
		y := newIndex(t, s)
		for _, seq := range snap.Kept {
			e := &eventlog.Entry{Message: s[seq].Message, Seq: seq, Time: s[seq].Time}
			y.Restore(e, len(e.Data))
		}
		for _, topic := range snap.Topics {
			y.RestoreTopic(topic.Name, topic.Gone, topic.Floor, 0)
		}
		for _, k := range snap.Keys {
			y.RestoreKey(k.Key, k.Seq, k.Time)
		}
		y.RestoreValues(snap.Values)
		y.RestoreHead(x.Head(), snap.Forgotten)
		wantEqual(t, seed, x, y)
		fillIndex(t, rand.New(rand.NewPCG(seed, 1)), x, s, 50)
		fillIndex(t, rand.New(rand.NewPCG(seed, 1)), y, s, 50)
		wantEqual(t, seed, x, y)
	}
}

// wantEqual compares what two indexes know.
func wantEqual(t *testing.T, seed uint64, x, y *eventlog.Index) {
	t.Helper()
	if err := y.Check(); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	if a, b := x.Kept(), y.Kept(); !slices.Equal(a, b) {
		t.Fatalf("seed %d: kept are %v, restored %v", seed, a, b)
	}
	for _, name := range x.Names() {
		if a, b := x.Bounds(selector(t, name)), y.Bounds(selector(t, name)); a != b {
			t.Errorf("seed %d: topic %q has %+v, restored %+v", seed, name, a, b)
		}
	}
	if a, b := x.Snapshot().Keys, y.Snapshot().Keys; len(a) != len(b) || len(a) > 0 && a[0].Key != b[0].Key {
		t.Errorf("seed %d: keys are %v, restored %v", seed, a, b)
	}
	if a, b := maps.Collect(x.Values("")), maps.Collect(y.Values("")); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("seed %d: values are %v, restored %v", seed, a, b)
	}
}

func TestLostEntryIsToldAndNotKept(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		s := make(shelf)
		x := newIndex(t, s)
		fillIndex(t, rng, x, s, 100)
		for len(x.Kept()) > 0 {
			kept := x.Kept()
			seq := kept[rng.IntN(len(kept))]
			x.Lose(seq)
			if err := x.Check(); err != nil || x.Keeps(seq) {
				t.Fatalf("seed %d: after Lose(%d) it is kept: %v; %v", seed, seq, x.Keeps(seq), err)
			}
			if lost := x.Bounds(selector(t, s[seq].Topics...)).Lost; lost < seq {
				t.Fatalf("seed %d: %d was lost, its readers are told %d", seed, seq, lost)
			}
		}
		x.Lose(1)
	}
}

func selector(t *testing.T, patterns ...string) *eventlog.Selector {
	t.Helper()
	sel, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}
