package fanout

import (
	"runtime"
	"sort"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/loop"
)

// A group is the readers of a table that see the same bytes.
type group struct {
	table    *Table
	key      groupKey
	selector *eventlog.Selector
	pending  *batch   // nil: none
	readers  int      // live and behind
	live     []member // their position is the table's

	last  time.Duration // when it was last written to
	bytes int64         // written to each member that was live all the time
}

// A batch is what one step has for a group. Groups have one only while entries are
// pending, so that thousands of quiet ones hold none.
type batch struct {
	entries []*eventlog.Entry
	bytes   int // of their data
}

// A member is a live reader. The descriptor stands beside it, so that delivering
// does not touch the reader.
type member struct {
	fd     int32 // -1: a pipe
	reader *reader
}

// writesPerSlice is after how many system calls in a row, about a millisecond's, a
// loop lets other goroutines run. What is published meanwhile leaves together in
// the next round, and a publisher's answer does not wait for the end of this one.
const writesPerSlice = 256

// Hot path: deliver writes the pending entries to every live reader: one slice,
// one system call each.
func (g *group) deliver() {
	if g.pending == nil { // a full batch has left already
		return
	}
	t, entries := g.table, g.pending.entries
	buf := t.assemble(g.key, entries)
	g.last = t.now()
	n := len(g.live)
	for i := n - 1; i >= 0; i-- { // downwards: cutting takes member i out
		if t.writes++; t.writes%writesPerSlice == 0 {
			runtime.Gosched()
		}
		m := g.live[i]
		var wrote int
		var err error
		if m.fd >= 0 {
			wrote, err = loop.Write(int(m.fd), buf)
		} else {
			wrote, err = m.reader.conn.WriteShared(buf)
		}
		if wrote < len(buf) {
			t.count(-len(entries), -len(buf)) // cut counts what it really gets
			g.cut(m.reader, entries, wrote, err)
		}
	}
	g.bytes += int64(len(buf))
	t.count(n*len(entries), n*len(buf))
	t.recycle(g.pending)
	g.pending = nil
}

// assemble returns the frames of entries as one slice and notes where each ends.
func (t *Table) assemble(key groupKey, entries []*eventlog.Entry) []byte {
	if len(entries) == 1 {
		return t.enc.Frame(entries[0], key.form, key.framed)
	}
	t.buf, t.ends = t.buf[:0], t.ends[:0]
	for _, e := range entries {
		t.buf = append(t.buf, t.enc.Frame(e, key.form, key.framed)...)
		t.ends = append(t.ends, len(t.buf))
	}
	return t.buf
}

// cut handles a write that fell short: the reader leaves the group, with the rest
// of the frame that was cut, and its cursor behind that frame.
func (g *group) cut(r *reader, entries []*eventlog.Entry, wrote int, err error) {
	t := g.table
	if err != nil {
		r.conn.Short(nil, err)
		return
	}
	i := 0
	start := 0
	if len(entries) > 1 {
		i = sort.SearchInts(t.ends, wrote+1) // first frame that ends after what was written
		if i > 0 {
			start = t.ends[i-1]
		}
	}
	r.conn.CountShared(int64(wrote))
	if wrote == start { // nothing of frame i went out
		t.count(i, start)
		r.leave(entries[i].Seq - 1)
		r.conn.Short(nil, nil)
		return
	}
	frame := t.enc.Frame(entries[i], g.key.form, g.key.framed)
	t.count(i+1, start+len(frame))
	r.leave(entries[i].Seq)
	r.conn.Short(frame[wrote-start:], nil)
}

// join makes r live.
func (g *group) join(r *reader) {
	r.index = int32(len(g.live))
	r.joined = g.bytes
	g.live = append(g.live, member{int32(r.conn.FD()), r})
}

// remove takes a live reader out.
func (g *group) remove(r *reader) {
	last := len(g.live) - 1
	moved := g.live[last]
	g.live[r.index] = moved
	moved.reader.index = r.index
	g.live[last] = member{}
	g.live = g.live[:last]
	r.index = -1
	r.conn.CountShared(g.bytes - r.joined)
}
