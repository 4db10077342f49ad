package nodetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// NodesHaveOneOrder publishes on three nodes at once.
func NodesHaveOneOrder(t *testing.T, s Server) {
	var nodes []*sharedlog.Log
	var witnesses []*Witness
	for range 3 {
		nodes = append(nodes, Open(t, s, "order", sharedlog.Options{}))
		witnesses = append(witnesses, Follow(nodes[len(nodes)-1]))
	}
	var mu sync.Mutex
	var all []string
	var wg sync.WaitGroup
	for i, l := range nodes {
		wg.Go(func() {
			acknowledged, unknown := publish(t, l, fmt.Sprint("node", i), 8, 100)
			mu.Lock()
			all = append(all, acknowledged...)
			mu.Unlock()
			if len(unknown) > 0 {
				t.Errorf("%d messages were not acknowledged", len(unknown))
			}
		})
	}
	wg.Wait()
	var seqs []uint64
	for i := range uint64(len(all)) {
		seqs = append(seqs, i+1)
	}
	_, first := witnesses[0].Seen()
	for i, l := range nodes {
		syncNode(t, l)
		es, lost := Read(t, l, 0, "**")
		checkStored(t, Data(es), all, nil)
		got, followed := witnesses[i].Seen()
		if !slices.Equal(got, seqs) || i > 0 && !slices.Equal(followed, first) || lost != 0 {
			t.Errorf("node %d: %d messages followed, %d are there, lost %d; or the order is another", i, len(got), len(seqs), lost)
		}
		if i == 0 {
			_, first = witnesses[0].Seen()
		}
	}
}

// KeyIsUsedOnceOnAllNodes publishes the same keys on three nodes at once.
func KeyIsUsedOnceOnAllNodes(t *testing.T, s Server) {
	const keys = 100
	var mu sync.Mutex
	places := make(map[string]map[uint64]bool)
	stored := 0
	var wg sync.WaitGroup
	for range 3 {
		l := Open(t, s, "keys", sharedlog.Options{})
		for range 4 {
			wg.Go(func() {
				for i := range keys {
					e := Message("a", "x")
					e.IdempotencyKey = fmt.Sprint(i)
					if err := l.Append(context.Background(), e); err != nil {
						t.Error(err)
					}
					mu.Lock()
					if places[e.IdempotencyKey] == nil {
						places[e.IdempotencyKey] = make(map[uint64]bool)
					}
					places[e.IdempotencyKey][e.Seq] = true
					if !e.Duplicate {
						stored++
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for key, seqs := range places {
		if len(seqs) != 1 {
			t.Errorf("key %s is at positions %v", key, seqs)
		}
	}
	if stored != keys {
		t.Errorf("%d messages of %d keys are stored", stored, keys)
	}
	if es, _ := Read(t, Open(t, s, "keys", sharedlog.Options{}), 0, "a"); len(es) != keys {
		t.Errorf("a new node has %d messages, want %d", len(es), keys)
	}
}

// ValuesAreChangedOneAfterTheOther counts on three nodes at once: each step expects
// the number that the node has read.
func ValuesAreChangedOneAfterTheOther(t *testing.T, s Server) {
	const steps = 50
	var wg sync.WaitGroup
	for range 3 {
		l := Open(t, s, "values", sharedlog.Options{})
		for range 2 {
			wg.Go(func() {
				for done := 0; done < steps; {
					old := l.Value("n")
					n := 0
					fmt.Sscan(string(old), &n)
					err := l.CommitIf(context.Background(), eventlog.Change{
						Expect: []eventlog.Put{{Key: "n", Value: old}}, Puts: []eventlog.Put{{Key: "n", Value: fmt.Append(nil, n+1)}},
						Entries: []*eventlog.Entry{Message("a", fmt.Sprint(n))},
					})
					switch {
					case err == nil:
						done++
					case !errors.Is(err, eventlog.ErrChanged):
						t.Errorf("CommitIf = %v", err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	l := Open(t, s, "values", sharedlog.Options{})
	es, _ := Read(t, l, 0, "a")
	if string(l.Value("n")) != fmt.Sprint(6*steps) || len(es) != 6*steps {
		t.Errorf("value %s, %d messages; want %d", l.Value("n"), len(es), 6*steps)
	}
	for i, e := range es {
		if string(e.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, e.Data)
		}
	}
}

// ResumeOnAnotherNode reads half on one node and the rest on a second and on one
// that was not there.
func ResumeOnAnotherNode(t *testing.T, s Server) {
	a, b := Open(t, s, "resume", sharedlog.Options{}), Open(t, s, "resume", sharedlog.Options{HotBytes: 1})
	for i := range 20 {
		Add(t, a, Message("a", fmt.Sprint(i)))
	}
	es, _ := Read(t, a, 0, "a")
	id := eventlog.FormatID(a.Epoch(), es[9].Seq)
	syncNode(t, b)
	for _, l := range []*sharedlog.Log{b, Open(t, s, "resume", sharedlog.Options{HotBytes: 1})} {
		epoch, seq, ok := eventlog.ParseID(id)
		if !ok || epoch != l.Epoch() {
			t.Fatalf("ID %q of one node is foreign on another, of epoch %q", id, l.Epoch())
		}
		rest, lost := Read(t, l, seq, "a")
		if got, want := strings.Join(Data(rest), " "), "10 11 12 13 14 15 16 17 18 19"; got != want || lost != 0 {
			t.Errorf("after %s: %s, lost %d; want %s", id, got, lost, want)
		}
	}
}
