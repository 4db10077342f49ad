package eventlog

import "time"

// enter locks the log after dropping all entries that have expired, so that the
// code that follows need not think of age. When there are many, others get the
// lock in between: each entry is dropped once, whoever does it.
func (m *Memory) enter() {
	for {
		m.mu.Lock()
		if len(m.expiry) == 0 || m.sweep(time.Now().UnixNano()) {
			return
		}
		m.mu.Unlock()
	}
}

// Sweep drops what has expired. Other methods do so on their way; call it now and
// then if a log that falls silent should give its memory back.
func (m *Memory) Sweep() {
	m.enter()
	m.mu.Unlock()
}

// Forget drops all entries kept of one topic. Entries appended meanwhile stay.
func (m *Memory) Forget(name string) int {
	n, upTo := 0, m.Head()
	for done := false; !done; {
		var some int
		m.enter()
		some, done = m.forget(name, upTo)
		m.mu.Unlock()
		n += some
	}
	return n
}

// forget drops up to limits.sweep entries of a topic and reports whether it got
// through.
func (m *Memory) forget(name string, upTo uint64) (n int, done bool) {
	q := m.topics[name]
	if q == nil {
		return 0, true
	}
	for q.kept.n > 0 && q.kept.at(0).seq <= upTo {
		if n == m.limits.sweep {
			return n, false
		}
		m.trim(q)
		n++
	}
	return n, true
}

// trim takes the oldest entry out of one topic.
func (m *Memory) trim(q *queue) {
	r := q.take()
	if q.kept.n == 0 {
		q.leave()
		m.empty.push(q)
	}
	r.holders--
	if r.holders > 0 {
		q.parted.push(r)
		return
	}
	m.bury(r, q)
}

// bury removes an entry that no topic keeps any more; q was the last.
func (m *Memory) bury(r *record, q *queue) {
	m.order.remove(r.seq)
	if id := r.id(); id != "" {
		m.unindex(id, r.seq)
	}
	m.size -= int64(r.charge)
	m.bytes -= int64(r.size)
	m.release(r)
	if !r.several {
		q.lose(r.seq)
		return
	}
	for _, name := range r.topics() {
		if q := m.topics[name]; q != nil {
			q.lose(r.seq)
		}
	}
}

func (m *Memory) unindex(id string, seq uint64) {
	o := m.chosen[id]
	o.remove(seq)
	if o.live == 0 {
		delete(m.chosen, id)
	}
}

// shrink brings the log below its TotalBytes again: what has expired goes first,
// then what is oldest.
func (m *Memory) shrink() {
	for m.size > m.options.TotalBytes {
		if m.sweep(m.last) && m.size > m.options.TotalBytes {
			m.evict(&m.order.slots[m.order.first])
		}
	}
}

// evict takes an entry, which is the oldest of each topic that keeps it, out of all
// of them.
func (m *Memory) evict(s *slot) {
	if s.q != nil {
		m.trim(s.q)
		return
	}
	r := s.r
	for _, name := range r.topics() {
		if q := m.topics[name]; q != nil && q.holds(r) {
			m.trim(q)
		}
	}
}

// dropIdle drops the topic that is idle for longest, of those that keep nothing
// if there are any. What it lost from then on counts as lost by every topic that
// is not known.
func (m *Memory) dropIdle() {
	q := m.empty.first
	if q == nil {
		q = m.busy.first
	}
	for q.kept.n > 0 {
		m.trim(q)
	}
	m.forgotten = max(m.forgotten, q.newest, q.gone)
	m.expiry.ignore(q)
	q.leave()
	delete(m.topics, q.name())
	if m.store != nil {
		m.store.Dropped(q.name())
	}
	q.node.remove()
}
