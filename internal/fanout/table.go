package fanout

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/topic"
)

// What one Step dispatches is bounded, so that mail and timers wait only so long.
// The more it takes at once, the more messages of one group leave in one write.
const (
	stepEntries = 8192
	batchBytes  = 64 << 10 // of data in one write
	maxSpare    = 1024     // batches kept for later
	maxSpareCap = 1024     // entries of one
)

// A Table holds the readers of one log on one loop.
type Table struct {
	loop *loop.Loop
	feed *Feed
	log  eventlog.Log
	enc  *Encoder

	fetcher fetcher

	// Any goroutine.
	readers   atomic.Int64
	next      atomic.Uint64 // number of the next entry of the feed; stored by the loop
	delivered atomic.Int64  // messages written to sockets; stored by the loop
	bytes     atomic.Int64  // of those messages; stored by the loop
	behind    atomic.Int64  // readers that are catching up; stored by the loop

	// Owned by the loop goroutine.
	pos    uint64 // position of the last entry dispatched: live readers have everything up to it
	groups map[groupKey]*group
	index  topic.Index[*group]
	dirty  []*group        // groups with pending entries
	full   []*group        // those of them whose entries fill one write
	entry  *eventlog.Entry // being matched
	match  func(*group)    // t.pend, made once
	spare  []*batch        // for groups that become dirty
	writes int             // since the loop last let others run
	buf    []byte          // scratch: the frames of one step for one group
	ends   []int           // scratch: where each frame of buf ends
	pulled pulled          // what was last pulled from the log
	idle   bool            // no readers: position is not kept up to date
}

// pulled is the page that was enqueued last: while nobody else has pulled, the end of
// its reader's queue is the end of seqs.
type pulled struct {
	reader *reader
	seqs   []uint64
}

// NewTable returns the table of a loop. The loop must AddTable it.
func NewTable(l *loop.Loop, feed *Feed, log eventlog.Log, enc *Encoder) *Table {
	t := &Table{loop: l, feed: feed, log: log, enc: enc, groups: make(map[groupKey]*group), idle: true}
	t.match = t.pend
	return t
}

// Pending implements [loop.Table].
func (t *Table) Pending() bool {
	return t.readers.Load() > 0 && t.next.Load() <= t.feed.Head()
}

// Wake tells the table that the feed has grown. Any goroutine.
func (t *Table) Wake() {
	if t.readers.Load() > 0 {
		t.loop.Wake()
	}
}

// Stats are counts of one table. Readers and Behind are now, the others since start.
type Stats struct {
	Readers, Behind  int64
	Delivered, Bytes int64
}

// Stats returns the counts. Any goroutine.
func (t *Table) Stats() Stats {
	return Stats{t.readers.Load(), t.behind.Load(), t.delivered.Load(), t.bytes.Load()}
}

// count adds to what was delivered. On the loop, so there is no other writer.
func (t *Table) count(messages, bytes int) {
	t.delivered.Store(t.delivered.Load() + int64(messages))
	t.bytes.Store(t.bytes.Load() + int64(bytes))
}

// Hot path: Step dispatches the next entries of the feed, in one write per socket.
// It allocates nothing and takes no lock.
func (t *Table) Step() (more bool) {
	if !t.Pending() {
		return false
	}
	head, n := t.feed.Head(), t.next.Load()
	for end := n + stepEntries; n <= head && n < end; n++ {
		e := t.feed.At(n)
		if e == nil {
			t.deliver()
			t.overrun()
			return true
		}
		t.dispatch(e)
	}
	t.next.Store(n)
	t.deliver()
	return n <= head
}

// dispatch notes e for every group that follows one of its topics. The log's head
// is ahead of the feed: after catchUp took it, the feed may still bring entries
// that readers have pulled from the log.
func (t *Table) dispatch(e *eventlog.Entry) {
	if e.Seq <= t.pos {
		return
	}
	t.entry, t.pos = e, e.Seq
	for _, name := range e.Topics {
		t.index.Each(name, t.match)
	}
	// Not before: e would come again by its next topic, and a connection that
	// turns out broken may take its group out of the index.
	for i, g := range t.full {
		g.deliver()
		t.full[i] = nil
	}
	t.full = t.full[:0]
}

// pend adds the entry being matched to a group, once.
func (t *Table) pend(g *group) {
	if len(g.live) == 0 {
		return
	}
	p := g.pending
	switch {
	case p == nil:
		p = t.newBatch()
		g.pending = p
		t.dirty = append(t.dirty, g)
	case p.entries[len(p.entries)-1] == t.entry:
		return
	}
	p.entries = append(p.entries, t.entry)
	if p.bytes += len(t.entry.Data); p.bytes >= batchBytes {
		t.full = append(t.full, g)
	}
}

func (t *Table) newBatch() *batch {
	n := len(t.spare)
	if n == 0 {
		return new(batch)
	}
	p := t.spare[n-1]
	t.spare = t.spare[:n-1]
	return p
}

// recycle takes back a batch.
func (t *Table) recycle(p *batch) {
	clear(p.entries)
	if cap(p.entries) <= maxSpareCap && len(t.spare) < maxSpare {
		p.entries, p.bytes = p.entries[:0], 0
		t.spare = append(t.spare, p)
	}
}

// deliver writes what is pending.
func (t *Table) deliver() {
	for i, g := range t.dirty {
		g.deliver()
		t.dirty[i] = nil
	}
	t.dirty = t.dirty[:0]
	t.entry = nil
}

// overrun handles entries that left the feed before this loop came to them: all
// live readers go on from the log, which still has them or reports them lost.
func (t *Table) overrun() {
	for _, g := range t.groups {
		for len(g.live) > 0 {
			r := g.live[len(g.live)-1].reader
			r.leave(t.pos)
			r.conn.Kick()
		}
	}
	t.skipToHead()
}

func (t *Table) skipToHead() {
	n, e := t.feed.Newest()
	if e != nil {
		t.pos = e.Seq
	}
	t.next.Store(n + 1)
}

// catchUp dispatches until the table's position is at least pos, so that a reader
// standing at pos does not get older messages again.
func (t *Table) catchUp(pos uint64) {
	if t.idle {
		t.idle = false
		t.pos = t.log.Head()
		t.skipToHead()
	}
	for t.pos < pos && t.Step() {
	}
}

// pushTries bounds how often Join looks for an entry that is in the log and not yet in
// the feed. Without it a reader who stands at that entry would get it again.
const pushTries = 1000

// Join makes c follow the log. It is called on the loop, once for a connection.
func (t *Table) Join(c *loop.Conn, j Join) {
	if c.Ending() {
		return
	}
	t.readers.Add(1)
	t.catchUp(j.After)
	for range pushTries { // the log's head is a moment ahead of the feed
		if t.pos >= j.After {
			break
		}
		runtime.Gosched()
		t.catchUp(j.After)
	}
	g := t.group(groupKey{j.Selector.String(), j.Form, j.Framed}, j)
	g.readers++
	r := &reader{conn: c, group: g, cursor: j.After, told: j.Told, index: -1, policy: j.Policy, slow: j.Slow, replayed: j.Replayed}
	t.behind.Add(1)
	c.SetSource(r)
	if !c.Stalled() && c.Pending() == 0 { // else first things first: Refill will do it
		r.goLive()
	}
}

// A Join says what a connection follows and from where.
type Join struct {
	Selector *eventlog.Selector
	Form     Form
	Framed   bool   // frames are HTTP/1.1 chunks
	After    uint64 // the position the reader stands at
	Told     uint64 // losses up to here are known to the reader
	Policy   Policy
	Slow     Slow

	// Replayed is told how many bytes were read from the log for the reader, page by
	// page: of each message its data and 64 more. Live messages do not count. It is
	// called on any goroutine and must not block; nil for none.
	Replayed func(bytes int64)
}

type groupKey struct {
	selector string
	form     Form
	framed   bool
}

// group returns the group for a key, making it if needed.
func (t *Table) group(key groupKey, j Join) *group {
	if g := t.groups[key]; g != nil {
		return g
	}
	g := &group{table: t, key: key, selector: j.Selector}
	t.groups[key] = g
	for _, p := range j.Selector.Patterns() {
		t.index.Add(p, g)
	}
	return g
}

// dropGroup removes a group without readers.
func (t *Table) dropGroup(g *group) {
	delete(t.groups, g.key)
	for _, p := range g.selector.Patterns() {
		t.index.Remove(p, g)
	}
}

// left notes that a reader is gone.
func (t *Table) left() {
	if t.readers.Add(-1) == 0 {
		t.idle = true
	}
}

// readNow reads what the log has in memory.
func (t *Table) readNow(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, bool, error) {
	if log, ok := t.log.(nowReader); ok {
		return log.ReadNow(sel, after, upTo, lim)
	}
	return eventlog.Page{}, false, nil
}

func (t *Table) now() time.Duration { return t.loop.Now() }

// Loop returns the table's loop. Any goroutine.
func (t *Table) Loop() *loop.Loop { return t.loop }

// Each calls fn for every reader, with what it follows. On the loop.
func (t *Table) Each(fn func(c *loop.Conn, sel *eventlog.Selector)) {
	t.loop.EachConn(func(c *loop.Conn) {
		if r, ok := c.Source().(*reader); ok && r.group.table == t {
			fn(c, r.group.selector)
		}
	})
}

// End ends every reader's stream, because the log is closing. On the loop.
func (t *Table) End() {
	t.Each(func(c *loop.Conn, _ *eventlog.Selector) { c.End(loop.Shutdown) })
}
