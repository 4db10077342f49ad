package fanout_test

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/loop"
)

// TestMain fails if a loop, a poller or anything else of this module is left running.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A bed is a log, its feed, and one loop with a table.
type bed struct {
	t     testing.TB
	log   *eventlog.Memory
	feed  *fanout.Feed
	enc   *fanout.Encoder
	loop  *loop.Loop
	table *fanout.Table
	all   []*eventlog.Entry // everything published, in order
}

func newBed(t testing.TB, o eventlog.Options) *bed {
	log, err := eventlog.NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, log: log, feed: new(fanout.Feed), enc: fanout.NewEncoder(log.Epoch()), loop: loop.New(1).Pick()}
	b.table = fanout.NewTable(b.loop, b.feed, b.log, b.enc)
	log.Follow(func(e *eventlog.Entry) {
		b.feed.Push(e)
		b.table.Wake()
	})
	b.on(func() { b.loop.AddTable(b.table) })
	return b
}

// on runs fn on the loop and waits for it.
func (b *bed) on(fn func()) {
	done := make(chan struct{})
	b.loop.Do(func() {
		fn()
		close(done)
	})
	<-done
}

// hold keeps the loop from working until the function returned is called. What is
// posted in between is handled in one turn, before the table's next step.
func (b *bed) hold() (release func()) {
	held, gate := make(chan struct{}), make(chan struct{})
	b.loop.Do(func() {
		close(held)
		<-gate
	})
	<-held
	return func() { close(gate) }
}

// publish appends a message with topics and data.
func (b *bed) publish(data string, topics ...string) *eventlog.Entry {
	b.t.Helper()
	return b.publishMessage(eventlog.Message{Topics: topics, Data: []byte(data)})
}

func (b *bed) publishMessage(m eventlog.Message) *eventlog.Entry {
	b.t.Helper()
	e := &eventlog.Entry{Message: m}
	if err := b.log.Append(context.Background(), e); err != nil {
		b.t.Fatal(err)
	}
	b.all = append(b.all, e)
	return e
}

// frames returns what a reader that joined with j should get.
func (b *bed) frames(j fanout.Join) (want []byte) {
	for _, e := range b.all {
		if e.Seq > j.After && j.Selector.MatchEntry(e) {
			want = append(want, b.enc.Frame(e, j.Form, j.Framed)...)
		}
	}
	return want
}

func selector(patterns ...string) *eventlog.Selector {
	sel, err := eventlog.Select(patterns...)
	if err != nil {
		panic(err)
	}
	return sel
}

// A client is a connection whose socket is in memory. It is its own owner.
type client struct {
	conn loop.Conn

	mu     sync.Mutex
	room   int // how much the socket takes; -1 for everything
	err    error
	got    []byte
	writes int
	reason loop.Reason
}

func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes++
	n := len(p)
	if c.room >= 0 {
		n = min(n, c.room)
		c.room -= n
	}
	if c.err != nil {
		n = 0
	}
	c.got = append(c.got, p[:n]...)
	return n, c.err
}

func (c *client) Close(bool) {}

func (c *client) Closed(r loop.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reason = r
}

func (c *client) Drained()                    {}
func (c *client) Farewell(loop.Reason) []byte { return nil }
func (c *client) Reuse(int)                   {}

// give makes room for n more bytes; -1 for all.
func (c *client) give(n int) {
	c.mu.Lock()
	if c.room += n; n < 0 {
		c.room = n
	}
	c.mu.Unlock()
	c.conn.Room()
}

// block takes all room away.
func (c *client) block() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room = 0
}

func (c *client) bytes() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got)
}

func (c *client) closed() loop.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

var roomy = &loop.Config{Limit: 1 << 20}

// connect puts a connection on the loop.
func (b *bed) connect() *client {
	c := &client{room: -1}
	c.conn.Init(b.loop, roomy, c, -1, c, 0, false)
	c.conn.Add()
	return c
}

// join makes a new connection follow the log.
func (b *bed) join(j fanout.Join) *client {
	c := b.connect()
	b.loop.Do(func() { b.table.Join(&c.conn, j) })
	return c
}
