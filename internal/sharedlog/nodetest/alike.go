package nodetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/sharedlog"
)

// AllNodesAnswerAlike compares three nodes with a model.
func AllNodesAnswerAlike(t *testing.T, s Server) {
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
			c := newCluster(t, s, fmt.Sprint("alike", seed), sharedlog.Options{History: o, HotBytes: 2000})
			logtest.Compare(t, c, logtest.Comparison{Seed: seed, Steps: 300, Options: o})
		})
	}
}

// A cluster is several nodes of which each call uses another one, which may have been
// closed and opened again, or cleaned up, just before. Nobody must notice.
type cluster struct {
	eventlog.Log // for calls that are not random
	t            *testing.T
	server       Server
	name         string
	o            sharedlog.Options
	nodes        []*sharedlog.Log
	calls        int
}

func newCluster(t *testing.T, s Server, name string, o sharedlog.Options) *cluster {
	c := &cluster{t: t, server: s, name: name, o: o}
	for range 3 {
		c.nodes = append(c.nodes, Open(t, s, name, o))
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
		c.nodes[i] = Open(c.t, c.server, c.name, c.o)
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
