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
	readers  int      // live and behind
	live     []member // their position is the table's
	pending  []*eventlog.Entry

	pendingBytes int           // of data in pending
	last         time.Duration // when it was last written to
	bytes        int64         // written to each member that was live all the time
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
	if len(g.pending) == 0 { // a full batch has left already
		return
	}
	t := g.table
	buf := t.assemble(g)
	g.last = t.now()
	n := len(g.live)
	for i := n - 1; i >= 0; i-- { // downwards: cutting takes member i out
		if i%writesPerSlice == writesPerSlice-1 {
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
			t.count(-len(g.pending), -len(buf)) // cut counts what it really gets
			g.cut(m.reader, wrote, err)
		}
	}
	g.bytes += int64(len(buf))
	t.count(n*len(g.pending), n*len(buf))
	clear(g.pending)
	g.pending, g.pendingBytes = g.pending[:0], 0
	if cap(g.pending) > 1024 {
		g.pending = nil
	}
}

// assemble returns the pending frames of g as one slice and notes where each ends.
func (t *Table) assemble(g *group) []byte {
	t.ends = t.ends[:0]
	if len(g.pending) == 1 {
		return t.enc.Frame(g.pending[0], g.key.form, g.key.framed)
	}
	t.batch = t.batch[:0]
	for _, e := range g.pending {
		t.batch = append(t.batch, t.enc.Frame(e, g.key.form, g.key.framed)...)
		t.ends = append(t.ends, len(t.batch))
	}
	return t.batch
}

// cut handles a write that fell short: the reader leaves the group, with the rest
// of the frame that was cut, and its cursor behind that frame.
func (g *group) cut(r *reader, wrote int, err error) {
	t := g.table
	if err != nil {
		r.conn.Short(nil, err)
		return
	}
	i := 0
	start := 0
	if len(g.pending) > 1 {
		i = sort.SearchInts(t.ends, wrote+1) // first frame that ends after what was written
		if i > 0 {
			start = t.ends[i-1]
		}
	}
	r.bytes += int64(wrote)
	if wrote == start { // nothing of frame i went out
		t.count(i, start)
		r.leave(g.pending[i].Seq - 1)
		r.conn.Short(nil, nil)
		return
	}
	frame := t.enc.Frame(g.pending[i], g.key.form, g.key.framed)
	t.count(i+1, start+len(frame))
	r.leave(g.pending[i].Seq)
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
	r.bytes += g.bytes - r.joined
}
