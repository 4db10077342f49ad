package eventlog

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Bounds describes what is kept. For "**", and for few topics without common
// entries, it does not look at entries.
func (m *Memory) Bounds(sel *Selector) Bounds {
	if b, ok := m.quickBounds(sel); ok {
		return b
	}
	var b Bounds
	lim := Limit{Entries: m.limits.scan, Bytes: math.MaxInt}
	for at, head := uint64(0), m.Head(); at < head; {
		p := pager{lim: lim, sum: true}
		if err := m.fill(&p, sel, at, head); err != nil {
			return Bounds{}
		}
		if p.n > 0 {
			b.Newest = p.last
			b.Oldest = cmp.Or(b.Oldest, p.first)
		}
		b.Entries += p.n
		b.Bytes += int64(p.bytes)
		at, b.Lost = p.Next, max(b.Lost, p.Lost)
	}
	return b
}

func (m *Memory) quickBounds(sel *Selector) (b Bounds, ok bool) {
	m.enter()
	defer m.mu.Unlock()
	if sel.all() {
		return m.allBounds(), true
	}
	var g merge
	if !m.few(sel, &g) || g.overlap() {
		return b, false
	}
	return g.bounds(m.Head()), true
}

// allBounds is Bounds for all topics.
func (m *Memory) allBounds() Bounds {
	b := Bounds{Entries: m.order.live, Bytes: m.bytes, Lost: max(m.tree.below, m.weakLost)}
	if b.Entries > 0 {
		b.Oldest = m.order.slots[m.order.first].seq
		b.Newest = m.order.slots[len(m.order.slots)-1].seq
	}
	return b
}

// overlap reports whether an entry may be in several of the topics.
func (g *merge) overlap() bool {
	n := 0
	for _, q := range g.queues[:g.n] {
		if _, common := q.size(); common {
			n++
		}
	}
	return n > 1
}

// bounds is Bounds for topics that do not overlap.
func (g *merge) bounds(head uint64) Bounds {
	b := Bounds{Lost: g.lost(0, head)}
	for _, q := range g.queues[:g.n] {
		n := q.len()
		if n == 0 {
			continue
		}
		bytes, _ := q.size()
		b.Entries += n
		b.Bytes += bytes
		b.Newest = max(b.Newest, q.at(n-1).seq)
		if oldest := q.at(0).seq; b.Oldest == 0 || oldest < b.Oldest {
			b.Oldest = oldest
		}
	}
	return b
}

// Since returns the position before the first entry that is not older than t.
func (m *Memory) Since(sel *Selector, t time.Time) uint64 {
	head := m.Head()
	at, found := m.quickSince(sel, nanos(t), head)
	for !found && at < head {
		p := pager{lim: Limit{Entries: 1}, sum: true}
		if m.fill(&p, sel, at, head) != nil {
			break
		}
		if p.n > 0 {
			return p.first - 1
		}
		at = p.Next
	}
	if found {
		return at
	}
	return head
}

// quickSince finds the answer if there are few topics, or else a position from
// which to look for it.
func (m *Memory) quickSince(sel *Selector, t int64, head uint64) (at uint64, found bool) {
	m.enter()
	defer m.mu.Unlock()
	var g merge
	if !m.few(sel, &g) {
		if i := m.order.since(t); i < len(m.order.slots) {
			return m.order.slots[i].seq - 1, false
		}
		return head, true
	}
	at = head
	for _, q := range g.queues[:g.n] {
		if i := q.since(t); i < q.len() {
			at = min(at, q.at(i).seq-1)
		}
	}
	return at, true
}

// nanos is t.UnixNano for any t: times that it cannot express are moved to the
// nearest that it can.
func nanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// Last returns the position before the newest n entries.
func (m *Memory) Last(sel *Selector, n int) uint64 {
	head := m.Head()
	l := lookBack{before: head + 1, want: n}
	for done := n <= 0; !done; {
		m.enter()
		done = l.step(m, sel)
		m.mu.Unlock()
	}
	if l.oldest == 0 {
		return head
	}
	return l.oldest - 1
}

// A lookBack looks for entries from the newest on.
type lookBack struct {
	before uint64 // what is at or above it has been looked at
	want   int    // how many more to find
	oldest uint64 // position of the last one found
}

// step looks at no more than limits.scan places and reports whether all is done.
func (l *lookBack) step(m *Memory, sel *Selector) (done bool) {
	var g merge
	if m.few(sel, &g) {
		return l.merge(&g, m.limits.scan)
	}
	i := m.order.after(l.before-1) - 1
	for stop := i - m.limits.scan; i > stop; i-- {
		if i < m.order.first || l.want == 0 {
			return true
		}
		s := &m.order.slots[i]
		l.before = s.seq
		if held, _ := m.visible(sel, s); held {
			l.found(s.seq)
		}
	}
	return l.want == 0
}

func (l *lookBack) merge(g *merge, scan int) (done bool) {
	g.seek(l.before - 1)
	if g.n == 1 {
		if i := max(0, g.place[0]-l.want); i < g.place[0] {
			l.found(g.queues[0].at(i).seq)
		}
		return true
	}
	for range scan {
		if l.want == 0 {
			return true
		}
		r := g.prev()
		if r == nil {
			return true
		}
		l.before = r.seq
		l.found(r.seq)
	}
	return false
}

func (l *lookBack) found(seq uint64) {
	l.oldest = seq
	l.want--
}

// Find returns the newest positions that have this chosen ID.
func (m *Memory) Find(sel *Selector, id string) []uint64 {
	m.enter()
	defer m.mu.Unlock()
	o := m.chosen[id]
	if o == nil {
		return nil
	}
	var found []uint64
	for i := len(o.slots) - 1; i >= o.first && len(found) < MaxFound; i-- {
		if held, _ := m.visible(sel, &o.slots[i]); held {
			found = append(found, o.slots[i].seq)
		}
	}
	slices.Reverse(found)
	return found
}
