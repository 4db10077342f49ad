package eventlog

import "context"

const (
	mergeLimit = 32   // topics up to which their queues are merged
	scanLimit  = 4096 // places in the log that are looked at in one go
	sweepLimit = 1024 // entries that are dropped in one go
)

// limits says when to do it another way, or to let others have the lock. Tests
// set lower ones.
type limits struct{ merge, scan, sweep int }

// Read returns entries in order.
//
// Hot path: it is called for each reader that is behind. It allocates nothing but
// Page.Entries. Few topics cost a search in each and the entries returned; many
// topics and wildcards go through the log from after on, up to 4,096 places.
func (m *Memory) Read(ctx context.Context, sel *Selector, after, upTo uint64, lim Limit) (Page, error) {
	for {
		if err := ctx.Err(); err != nil {
			return Page{}, err
		}
		p := pager{lim: lim.orDefault()}
		if err := m.fill(&p, sel, after, upTo); err != nil {
			return Page{}, err
		}
		if done, err := m.thaw(ctx, &p); done || err != nil {
			return p.Page, err
		}
	}
}

// fill looks for entries and puts them into p.
func (m *Memory) fill(p *pager, sel *Selector, after, upTo uint64) error {
	m.enter()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	upTo = min(upTo, m.Head())
	if upTo <= after {
		p.Next = after
		return nil
	}
	p.Next = upTo
	from := m.order.after(after)
	var g merge
	if (len(sel.wild()) == 0 || len(m.order.slots)-from > m.limits.scan) && m.few(sel, &g) {
		p.merge(&g, after, upTo)
	} else {
		p.scan(m, sel, from, after, upTo)
	}
	return nil
}

func (l Limit) orDefault() Limit {
	if l.Entries <= 0 {
		l.Entries = 256
	}
	if l.Bytes <= 0 {
		l.Bytes = 256 << 10
	}
	return l
}

// few adds to g the topics that sel selects and reports whether they are few.
func (m *Memory) few(sel *Selector, g *merge) bool {
	if sel.all() || len(sel.exact()) > m.limits.merge {
		return false
	}
	for _, name := range sel.exact() {
		if q := m.topics[name]; q != nil {
			g.add(q)
		} else {
			g.gone = max(g.gone, m.unknown(name))
		}
	}
	visits := 8 * m.limits.merge
	for _, pattern := range sel.wild() {
		g.gone = max(g.gone, m.unknown(pattern))
		if !m.tree.collect(pattern, g.add, &visits) {
			return false
		}
	}
	return true
}

// A pager fills a page, or sums it up.
type pager struct {
	Page
	lim   Limit
	sum   bool   // entries are only counted
	n     int    // entries so far
	first uint64 // position of the first of them
	last  uint64 // and of the last
	bytes int
	cold  []uint64 // positions of those that only the store has: nil in Entries
}

// add reports false if the page has no room for r; room is a guess at how many
// entries will come.
func (p *pager) add(r *record, room int) bool {
	if p.n > 0 && (p.n >= p.lim.Entries || p.bytes+int(r.size) > p.lim.Bytes) {
		return false
	}
	if p.n == 0 {
		p.first = r.seq
	}
	p.n++
	p.last = r.seq
	p.bytes += int(r.size)
	if p.sum {
		return true
	}
	if p.n == 1 {
		p.Entries = make([]*Entry, 0, min(room, p.lim.Entries))
	}
	p.Entries = append(p.Entries, r.entry)
	if r.entry == nil {
		p.cold = append(p.cold, r.seq)
	}
	return true
}

func (p *pager) merge(g *merge, after, upTo uint64) {
	g.seek(after)
	room := g.left()
	for r := g.next(); r != nil && r.seq <= upTo; r = g.next() {
		if !p.add(r, room) {
			p.Next = p.last
			break
		}
	}
	p.Lost = g.lost(after, p.Next)
}

func (p *pager) scan(m *Memory, sel *Selector, from int, after, upTo uint64) {
	slots := m.order.slots[max(from, m.order.first):]
	for i := range slots {
		s := &slots[i]
		if s.seq > upTo {
			break
		}
		if i == m.limits.scan {
			p.Next = slots[i-1].seq
			break
		}
		held, selected := m.visible(sel, s)
		if held && !p.add(s.r, min(len(slots), m.limits.scan)) {
			p.Next = slots[i-1].seq
			break
		}
		if selected && !held {
			p.Lost = s.seq
		}
	}
	if gone := m.gone(sel, after); gone > after {
		p.Lost = max(p.Lost, min(gone, p.Next))
	}
}

// visible reports whether sel selects a topic of the entry in s, and whether such
// a topic holds it.
func (m *Memory) visible(sel *Selector, s *slot) (held, selected bool) {
	if s.r == nil {
		return false, false
	}
	if s.q != nil {
		held = s.q.selected(sel)
		return held, held
	}
	for _, name := range s.r.topics() {
		// A topic that is not known any more is counted by forgotten.
		if q := m.topics[name]; q != nil && q.selected(sel) {
			if q.holds(s.r) {
				return true, true
			}
			selected = selected || q.parted.has(s.r)
		}
	}
	return false, selected
}

// gone returns the highest position that is gone of the topics that sel selects,
// or floor or less if none above floor is.
func (m *Memory) gone(sel *Selector, floor uint64) uint64 {
	if sel.all() || m.tree.below <= floor && max(m.forgotten, m.weakLost) <= floor {
		return max(m.tree.below, m.weakLost)
	}
	gone := floor
	for _, name := range sel.exact() {
		if q := m.topics[name]; q != nil {
			gone = max(gone, q.gone)
		} else {
			gone = max(gone, m.unknown(name))
		}
	}
	visits := maxVisit
	for _, pattern := range sel.wild() {
		gone = max(gone, m.unknown(pattern))
		gone = m.tree.gone(pattern, gone, &visits)
	}
	return gone
}
