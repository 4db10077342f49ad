package nodetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A Load is two nodes on which messages are published all the time, each with the data
// of no other.
type Load struct {
	t         *testing.T
	nodes     [2]*sharedlog.Log
	witnesses [2]*Witness
	stop      chan struct{}
	once      sync.Once
	wg        sync.WaitGroup

	mu   sync.Mutex
	sure []string // guarded by mu
	not  []string // guarded by mu
}

// StartLoad begins to publish, with four goroutines for each node. They end with [Load.End]
// or with the test.
func StartLoad(t *testing.T, nodes [2]*sharedlog.Log) *Load {
	ld := &Load{t: t, nodes: nodes, stop: make(chan struct{})}
	for i, l := range nodes {
		ld.witnesses[i] = Follow(l)
		for g := range 4 {
			ld.wg.Go(func() { ld.run(i, g) })
		}
	}
	t.Cleanup(ld.halt)
	return ld
}

func (ld *Load) halt() {
	ld.once.Do(func() { close(ld.stop) })
	ld.wg.Wait()
}

// run is one of the goroutines of a node.
func (ld *Load) run(node, number int) {
	for i := 0; ; i++ {
		select {
		case <-ld.stop:
			return
		case <-time.After(time.Millisecond):
		}
		err := ld.Publish(node, fmt.Sprintf("node%d/%d/%d", node, number, i))
		if err != nil && !errors.Is(err, eventlog.ErrUnavailable) {
			ld.t.Errorf("Append = %v", err)
			return
		}
	}
}

// Publish publishes one more message on node 0 or 1. The data is of the form name/number.
func (ld *Load) Publish(node int, data string) error {
	err := ld.nodes[node].Append(context.Background(), Message(fmt.Sprint("t/node", node), data))
	ld.mu.Lock()
	defer ld.mu.Unlock()
	if err != nil {
		ld.not = append(ld.not, data)
		return err
	}
	ld.sure = append(ld.sure, data)
	return nil
}

// Acknowledged is how many messages have been acknowledged.
func (ld *Load) Acknowledged() int {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	return len(ld.sure)
}

// Unknown is the data of the messages that were not: each is stored, or not.
func (ld *Load) Unknown() []string {
	ld.mu.Lock()
	defer ld.mu.Unlock()
	return slices.Clone(ld.not)
}

// More waits until n more messages have been acknowledged.
func (ld *Load) More(n int) {
	ld.t.Helper()
	want := ld.Acknowledged() + n
	Within(ld.t, 30*time.Second, "more messages are acknowledged", func() bool { return ld.Acknowledged() >= want })
}

// End stops the load, and checks that all is well on both nodes and for their readers.
func (ld *Load) End() {
	ld.t.Helper()
	ld.halt()
	for i, l := range ld.nodes {
		Within(ld.t, 20*time.Second, "the node has caught up", func() bool { return l.Sync(context.Background()) == nil })
		es, lost := Read(ld.t, l, 0, "**")
		checkStored(ld.t, Data(es), ld.sure, ld.not)
		seqs, followed := ld.witnesses[i].Seen()
		if !slices.Equal(followed, Data(es)) || !slices.IsSorted(seqs) || lost != 0 {
			ld.t.Errorf("node %d: the follower got %d messages, %d are there, lost %d; or the order is another", i, len(followed), len(es), lost)
		}
	}
	ld.t.Logf("%d messages acknowledged, %d not", len(ld.sure), len(ld.not))
}

// EndWithoutRefusal is End for a load of which every message must have been acknowledged.
func (ld *Load) EndWithoutRefusal() {
	ld.t.Helper()
	ld.End()
	if n := len(ld.Unknown()); n > 0 {
		ld.t.Errorf("%d messages were not acknowledged", n)
	}
}
