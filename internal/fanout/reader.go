package fanout

import (
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/loop"
)

// pullLimit bounds what one reader holds on to while it catches up.
var pullLimit = eventlog.Limit{Entries: 64, Bytes: 64 << 10}

// A reader is one connection's place in the log. It is the connection's source.
type reader struct {
	conn   *loop.Conn
	group  *group
	cursor uint64 // has everything up to here; not kept while live
	told   uint64 // losses up to here have been told
	joined int64  // group.bytes when it became live
	index  int32  // in group.live; -1 while behind
	policy Policy
	slow   Slow
	lagged bool // has been stalled since it was last live

	waiting bool   // for a page that is being fetched
	fetched *fetch // that page, when it has come

	replayed func(bytes int64) // Join.Replayed
}

// leave takes the reader out of the live ones; it has everything up to cursor.
func (r *reader) leave(cursor uint64) {
	r.group.remove(r)
	r.group.table.behind.Add(1)
	r.cursor = cursor
	r.lagged = true
}

// Stalled implements [loop.Source]. What is queued and has not begun to leave is
// given back to the log, so that a stuck client holds on to one frame only.
func (r *reader) Stalled() {
	t := r.group.table
	if r.index >= 0 {
		r.leave(t.pos)
	}
	r.lagged = true
	left := r.conn.Queued()
	if t.pulled.reader == r && left > 1 && left <= len(t.pulled.seqs) {
		seqs := t.pulled.seqs
		r.cursor = seqs[len(seqs)-left]
		t.count(1-left, -r.conn.Truncate(1))
	}
}

// Refill implements [loop.Source]: it pulls what comes next from the log, or
// makes the reader live if there is nothing.
func (r *reader) Refill(c *loop.Conn) bool {
	if r.index >= 0 || r.goLive() {
		if c.Ending() && r.group.table.Pending() {
			c.Kick() // what was published before the end is still on its way
		}
		return false
	}
	page, ok := r.next(c)
	return ok && r.pull(c, page)
}

// next returns the page after the cursor. It is false if the page is being fetched,
// and if the connection had to be ended.
func (r *reader) next(c *loop.Conn) (page eventlog.Page, ok bool) {
	var err error
	switch {
	case r.fetched != nil:
		page, err = r.fetched.page, r.fetched.err
		r.waiting, r.fetched = false, nil
	case r.waiting:
		return page, false
	default:
		t := r.group.table
		q := query{r.group.selector, r.cursor, t.pos, r.slow == Latest && r.lagged}
		if page, ok, err = q.run(r.metered(t.readNow)); !ok && err == nil {
			r.waiting = true
			t.fetcher.get(&fetch{reader: r, query: q})
			return page, false
		}
	}
	switch {
	case err != nil:
		c.End(loop.Shutdown) // the log is closed: the reader should come back elsewhere
		return page, false
	case page.Lost > r.told && r.slow == Cut:
		c.End(loop.TooSlow)
		return page, false
	}
	return page, true
}

// goLive makes the reader live if it has everything that was dispatched.
func (r *reader) goLive() bool {
	t := r.group.table
	if r.cursor < t.pos {
		return false
	}
	r.group.join(r)
	t.behind.Add(-1)
	if t.pulled.reader == r {
		t.pulled.reader = nil
	}
	r.lagged = false
	return true
}

// pull enqueues a page.
func (r *reader) pull(c *loop.Conn, page eventlog.Page) bool {
	if r.slow == Latest && r.lagged {
		r.told = max(r.told, page.Lost) // it asked for the newest only
	}
	told := r.tell(c, page)
	if r.cursor < page.Next {
		r.enqueue(c, page.Entries)
		r.cursor = page.Next
	}
	if !told && len(page.Entries) == 0 {
		c.Kick() // a stretch without messages for this reader: look on in the next turn
		return false
	}
	return true
}

// tell enqueues a gap notice if messages were lost that the reader does not know
// of. Under policy Reset it moves the cursor past everything.
func (r *reader) tell(c *loop.Conn, page eventlog.Page) bool {
	if page.Lost <= r.told {
		return false
	}
	t := r.group.table
	bounds := t.log.Bounds(r.group.selector)
	r.told = Told(page, bounds)
	requested, after := eventlog.FormatID(t.enc.epoch, r.cursor), page.Next
	switch {
	case r.policy == Reset:
		r.cursor, after = t.pos, t.pos
	case len(page.Entries) > 0:
		after = page.Entries[0].Seq - 1
	}
	gap := t.enc.NewGap(ReasonSlow, requested, r.policy, bounds, after)
	c.Enqueue(r.framed(t.enc.Gap(r.group.key.form, gap)))
	return true
}

func (r *reader) enqueue(c *loop.Conn, es []*eventlog.Entry) {
	t, key := r.group.table, r.group.key
	t.pulled.reader, t.pulled.seqs = r, t.pulled.seqs[:0]
	for _, e := range es {
		frame := t.enc.Frame(e, key.form, key.framed)
		c.Enqueue(frame)
		t.count(1, len(frame))
		t.pulled.seqs = append(t.pulled.seqs, e.Seq)
	}
}

// framed returns a frame of this reader's own.
func (r *reader) framed(b []byte) []byte {
	if r.group.key.framed {
		return chunk(b)
	}
	return b
}

// Closed implements [loop.Source].
func (r *reader) Closed() {
	g := r.group
	if r.index >= 0 {
		g.remove(r)
	} else {
		g.table.behind.Add(-1)
	}
	if g.readers--; g.readers == 0 {
		g.table.dropGroup(g)
	}
	g.table.left()
}

// Shared implements [loop.Source].
func (r *reader) Shared() time.Duration {
	if r.index < 0 {
		return 0
	}
	return r.group.last
}
