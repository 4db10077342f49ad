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
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	m.enter()
	defer m.mu.Unlock()
	if m.closed {
		return Page{}, ErrClosed
	}
	upTo = min(upTo, m.Head())
	if upTo <= after {
		return Page{Next: after}, nil
	}
	p := pager{lim: lim.orDefault()}
	p.Next = upTo
	from := m.order.after(after)
	var g merge
	if (len(sel.wild()) == 0 || len(m.order.slots)-from > m.limits.scan) && m.few(sel, &g) {
		p.merge(&g, after, upTo)
	} else {
		p.scan(m, sel, from, after, upTo)
	}
	return p.Page, nil
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
			g.gone = max(g.gone, m.forgotten)
		}
	}
	visits := 8 * m.limits.merge
	for _, pattern := range sel.wild() {
		g.gone = max(g.gone, m.forgotten)
		if !m.tree.collect(pattern, g.add, &visits) {
			return false
		}
	}
	return true
}

// A pager fills a page.
type pager struct {
	Page
	lim   Limit
	bytes int
}

// add reports false if the page has no room for e; room is a guess at how many
// entries will come.
func (p *pager) add(e *Entry, room int) bool {
	n := len(p.Entries)
	if n > 0 && (n >= p.lim.Entries || p.bytes+len(e.Data) > p.lim.Bytes) {
		return false
	}
	if n == 0 {
		p.Entries = make([]*Entry, 0, min(room, p.lim.Entries))
	}
	p.Entries = append(p.Entries, e)
	p.bytes += len(e.Data)
	return true
}

func (p *pager) merge(g *merge, after, upTo uint64) {
	g.seek(after)
	room := g.left()
	for e := g.next(); e != nil && e.Seq <= upTo; e = g.next() {
		if !p.add(e, room) {
			p.Next = p.Entries[len(p.Entries)-1].Seq
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
		if held && !p.add(s.e, min(len(slots), m.limits.scan)) {
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
	if s.e == nil {
		return false, false
	}
	if s.q != nil {
		held = s.q.selected(sel)
		return held, held
	}
	for _, name := range s.e.Topics {
		// A topic that is not known any more is counted by forgotten.
		if q := m.topics[name]; q != nil && q.selected(sel) {
			if q.holds(s.e) {
				return true, true
			}
			selected = true
		}
	}
	return false, selected
}

// gone returns the highest position that is gone of the topics that sel selects,
// or floor or less if none above floor is.
func (m *Memory) gone(sel *Selector, floor uint64) uint64 {
	if sel.all() || m.tree.below <= floor && m.forgotten <= floor {
		return m.tree.below
	}
	gone := floor
	for _, name := range sel.exact() {
		if q := m.topics[name]; q != nil {
			gone = max(gone, q.gone)
		} else {
			gone = max(gone, m.forgotten)
		}
	}
	visits := maxVisit
	for _, pattern := range sel.wild() {
		gone = max(gone, m.forgotten)
		gone = m.tree.gone(pattern, gone, &visits)
	}
	return gone
}
