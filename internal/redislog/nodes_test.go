package redislog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A cluster is several nodes of which each call uses another one, which may have been
// closed and opened again, or cleaned up, just before. Nobody must notice.
type cluster struct {
	eventlog.Log // for calls that are not random
	t            *testing.T
	server       *server
	name         string
	o            sharedlog.Options
	nodes        []*sharedlog.Log
	calls        int
}

func newCluster(t *testing.T, s *server, name string, o sharedlog.Options) *cluster {
	c := &cluster{t: t, server: s, name: name, o: o}
	for range 3 {
		c.nodes = append(c.nodes, s.open(name, o))
	}
	c.Log = c.nodes[0]
	return c
}

// node returns the node for the next call.
func (c *cluster) node() *sharedlog.Log {
	c.t.Helper()
	c.calls++
	i := c.calls % len(c.nodes)
	if c.calls%7 == 0 {
		if err := c.nodes[i].Close(); err != nil {
			c.t.Fatal(err)
		}
		c.nodes[i] = c.server.open(c.name, c.o)
		c.Log = c.nodes[0]
	}
	if c.calls%11 == 0 {
		if err := c.nodes[i].Clean(context.Background()); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.nodes[i].Sync(context.Background()); err != nil {
		c.t.Fatal(err)
	}
	return c.nodes[i]
}

func (c *cluster) Append(ctx context.Context, es ...*eventlog.Entry) error {
	return c.node().Append(ctx, es...)
}

func (c *cluster) Read(ctx context.Context, sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, error) {
	return c.node().Read(ctx, sel, after, upTo, lim)
}
func (c *cluster) Bounds(sel *eventlog.Selector) eventlog.Bounds { return c.node().Bounds(sel) }
func (c *cluster) Forget(topic string) (int, error)              { return c.node().Forget(topic) }
func (c *cluster) Head() uint64                                  { return c.node().Head() }
func (c *cluster) Find(sel *eventlog.Selector, id string) []uint64 {
	return c.node().Find(sel, id)
}
func (c *cluster) Last(sel *eventlog.Selector, n int) uint64 { return c.node().Last(sel, n) }
func (c *cluster) Since(sel *eventlog.Selector, t time.Time) uint64 {
	return c.node().Since(sel, t)
}

// TestAllNodesAnswerAlike compares three nodes with a model.
func TestAllNodesAnswerAlike(t *testing.T) {
	s := startServer(t)
	o := eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 6},
		Rules: []eventlog.Rule{
			{Pattern: "a", Retention: eventlog.Retention{MaxBytes: 60}},
			{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 3}},
			{Pattern: "b/x", Retention: eventlog.Retention{MaxEntries: 1}},
			{Pattern: "b/**", Retention: eventlog.Retention{MaxEntries: 40}},
		},
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			s := s.at(t)
			c := newCluster(t, s, fmt.Sprint("alike", seed), sharedlog.Options{History: o, HotBytes: 2000})
			logtest.Compare(t, c, logtest.Comparison{Seed: seed, Steps: 300, Options: o})
		})
	}
}

// A witness notes what the follower of a node gets.
type witness struct {
	mu   sync.Mutex
	seqs []uint64
	data []string
}

func follow(l *sharedlog.Log) *witness {
	w := new(witness)
	l.Follow(func(e *eventlog.Entry) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seqs, w.data = append(w.seqs, e.Seq), append(w.data, string(e.Data))
	})
	return w
}

func (w *witness) seen() ([]uint64, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seqs), slices.Clone(w.data)
}

// publish publishes n messages, one after the other, in each of some goroutines. It
// returns what was acknowledged, and what was not.
func publish(t testing.TB, l *sharedlog.Log, name string, goroutines, n int) (acknowledged, unknown []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range n {
				data := fmt.Sprintf("%s/%d/%d", name, g, i)
				err := l.Append(context.Background(), message(fmt.Sprint("t/", g), data))
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, data)
				case errors.Is(err, eventlog.ErrUnavailable):
					unknown = append(unknown, data)
				default:
					t.Errorf("Append = %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged, unknown
}

// checkStored wants all that was acknowledged once, what is unknown at most once, and
// nothing else; and that each publisher's messages are in order.
func checkStored(t *testing.T, got, acknowledged, unknown []string) {
	t.Helper()
	times := make(map[string]int)
	last := make(map[string]int)
	for _, data := range got {
		times[data]++
		i := strings.LastIndexByte(data, '/')
		var n int
		fmt.Sscan(data[i+1:], &n)
		if before, ok := last[data[:i]]; ok && n <= before {
			t.Errorf("%s comes after number %d", data, before)
		}
		last[data[:i]] = n
	}
	for _, data := range acknowledged {
		if times[data] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", data, times[data])
		}
		delete(times, data)
	}
	for _, data := range unknown {
		if times[data] > 1 {
			t.Errorf("%s is there %d times", data, times[data])
		}
		delete(times, data)
	}
	if len(times) > 0 {
		t.Errorf("nobody has published %v", times)
	}
}

func data(es []*eventlog.Entry) (list []string) {
	for _, e := range es {
		list = append(list, string(e.Data))
	}
	return list
}

// TestNodesHaveOneOrder publishes on three nodes at once.
func TestNodesHaveOneOrder(t *testing.T) {
	s := startServer(t)
	var nodes []*sharedlog.Log
	var witnesses []*witness
	for range 3 {
		nodes = append(nodes, s.open("order", sharedlog.Options{}))
		witnesses = append(witnesses, follow(nodes[len(nodes)-1]))
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
	_, first := witnesses[0].seen()
	for i, l := range nodes {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		es, lost := read(t, l, 0, "**")
		checkStored(t, data(es), all, nil)
		got, followed := witnesses[i].seen()
		if !slices.Equal(got, seqs) || i > 0 && !slices.Equal(followed, first) || lost != 0 {
			t.Errorf("node %d: %d messages followed, %d are there, lost %d; or the order is another", i, len(got), len(seqs), lost)
		}
		if i == 0 {
			_, first = witnesses[0].seen()
		}
	}
}

// TestKeyIsUsedOnceOnAllNodes publishes the same keys on three nodes at once.
func TestKeyIsUsedOnceOnAllNodes(t *testing.T) {
	s := startServer(t)
	const keys = 100
	var mu sync.Mutex
	places := make(map[string]map[uint64]bool)
	stored := 0
	var wg sync.WaitGroup
	for range 3 {
		l := s.open("keys", sharedlog.Options{})
		for range 4 {
			wg.Go(func() {
				for i := range keys {
					e := message("a", "x")
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
	if es, _ := read(t, s.open("keys", sharedlog.Options{}), 0, "a"); len(es) != keys {
		t.Errorf("a new node has %d messages, want %d", len(es), keys)
	}
}

// TestValuesAreChangedOneAfterTheOther counts on three nodes at once: each step expects
// the number that the node has read.
func TestValuesAreChangedOneAfterTheOther(t *testing.T) {
	s := startServer(t)
	const steps = 50
	var wg sync.WaitGroup
	for range 3 {
		l := s.open("values", sharedlog.Options{})
		for range 2 {
			wg.Go(func() {
				for done := 0; done < steps; {
					old := l.Value("n")
					n := 0
					fmt.Sscan(string(old), &n)
					err := l.CommitIf(context.Background(), eventlog.Change{
						Expect: []eventlog.Put{{Key: "n", Value: old}}, Puts: []eventlog.Put{{Key: "n", Value: fmt.Append(nil, n+1)}},
						Entries: []*eventlog.Entry{message("a", fmt.Sprint(n))},
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
	l := s.open("values", sharedlog.Options{})
	es, _ := read(t, l, 0, "a")
	if string(l.Value("n")) != fmt.Sprint(6*steps) || len(es) != 6*steps {
		t.Errorf("value %s, %d messages; want %d", l.Value("n"), len(es), 6*steps)
	}
	for i, e := range es {
		if string(e.Data) != fmt.Sprint(i) {
			t.Fatalf("message %d is %s", i, e.Data)
		}
	}
}

// TestResumeOnAnotherNode reads half on one node and the rest on a second and on one
// that was not there.
func TestResumeOnAnotherNode(t *testing.T) {
	s := startServer(t)
	a, b := s.open("resume", sharedlog.Options{}), s.open("resume", sharedlog.Options{HotBytes: 1})
	for i := range 20 {
		add(t, a, message("a", fmt.Sprint(i)))
	}
	es, _ := read(t, a, 0, "a")
	id := eventlog.FormatID(a.Epoch(), es[9].Seq)
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*sharedlog.Log{b, s.open("resume", sharedlog.Options{HotBytes: 1})} {
		epoch, seq, ok := eventlog.ParseID(id)
		if !ok || epoch != l.Epoch() {
			t.Fatalf("ID %q of one node is foreign on another, of epoch %q", id, l.Epoch())
		}
		rest, lost := read(t, l, seq, "a")
		if got, want := strings.Join(data(rest), " "), "10 11 12 13 14 15 16 17 18 19"; got != want || lost != 0 {
			t.Errorf("after %s: %s, lost %d; want %s", id, got, lost, want)
		}
	}
}
