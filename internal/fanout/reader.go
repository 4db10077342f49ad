package fanout

import (
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/loop"
)

// pullLimit bounds what one reader holds on to while it catches up.
var pullLimit = eventlog.Limit{Entries: 64, Bytes: 64 << 10}

// latestPages bounds how much of the log a reader of policy Latest skims at once.
const latestPages = 64

// A reader is one connection's place in the log. It is the connection's source.
type reader struct {
	conn   *loop.Conn
	group  *group
	cursor uint64 // has everything up to here; not kept while live
	told   uint64 // losses up to here have been told
	joined int64  // group.bytes when it became live
	bytes  int64  // shared bytes written before that
	index  int32  // in group.live; -1 while behind
	policy Policy
	slow   Slow
	lagged bool // has been stalled since it was last live
}

// leave takes the reader out of the live ones; it has everything up to cursor.
func (r *reader) leave(cursor uint64) {
	r.group.remove(r)
	r.group.table.behind.Add(1)
	r.cursor = cursor
	r.lagged = true
}

// Stalled implements [loop.Source].
func (r *reader) Stalled() {
	if r.index >= 0 {
		r.leave(r.group.table.pos)
	}
	r.lagged = true
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
	if r.slow == Latest && r.lagged {
		return r.pullLatest(c)
	}
	return r.pull(c)
}

// goLive makes the reader live if it has everything that was dispatched.
func (r *reader) goLive() bool {
	t := r.group.table
	if r.cursor < t.pos {
		return false
	}
	r.group.join(r)
	t.behind.Add(-1)
	r.lagged = false
	return true
}

// pull enqueues the next page.
func (r *reader) pull(c *loop.Conn) bool {
	page, ok := r.page(c, pullLimit)
	if !ok {
		return false
	}
	told := r.tell(c, page)
	if r.cursor < page.Next {
		for _, e := range page.Entries {
			r.enqueue(c, e)
		}
		r.cursor = page.Next
	}
	if !told && len(page.Entries) == 0 {
		c.Kick() // a stretch without messages for this reader: look on in the next turn
		return false
	}
	return true
}

// page reads on from the cursor. It is false if the connection had to be ended.
func (r *reader) page(c *loop.Conn, lim eventlog.Limit) (eventlog.Page, bool) {
	page, err := r.group.table.read(r.group, r.cursor, lim)
	if err != nil {
		c.End(loop.Shutdown) // the log is closed: the reader should come back elsewhere
		return page, false
	}
	if page.Lost > r.told && r.slow == Cut {
		c.End(loop.TooSlow)
		return page, false
	}
	return page, true
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

// pullLatest skims what the reader missed and enqueues only the newest message of
// each topic and key, in log order.
func (r *reader) pullLatest(c *loop.Conn) bool {
	newest := make(map[[2]string]int)
	var entries []*eventlog.Entry
	sent := false
	for range latestPages {
		page, ok := r.page(c, eventlog.Limit{})
		if !ok {
			return false
		}
		r.told = max(r.told, page.Lost) // it asked for the newest only
		for _, e := range page.Entries {
			key := [2]string{e.Topics[0], e.Key}
			if i, ok := newest[key]; ok {
				entries[i] = nil
			}
			newest[key] = len(entries)
			entries = append(entries, e)
		}
		if r.cursor = page.Next; r.cursor >= r.group.table.pos {
			break
		}
	}
	for _, e := range entries {
		if e != nil {
			r.enqueue(c, e)
			sent = true
		}
	}
	if !sent {
		c.Kick()
	}
	return sent
}

func (r *reader) enqueue(c *loop.Conn, e *eventlog.Entry) {
	t, key := r.group.table, r.group.key
	frame := t.enc.Frame(e, key.form, key.framed)
	c.Enqueue(frame)
	t.count(1, len(frame))
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
func (r *reader) Shared() (last time.Duration, bytes int64) {
	if r.index < 0 {
		return 0, r.bytes
	}
	return r.group.last, r.bytes + r.group.bytes - r.joined
}
