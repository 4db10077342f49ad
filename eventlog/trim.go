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
func (m *Memory) Forget(name string) (int, error) { return m.forgetUpTo(name, m.Head()), nil }

func (m *Memory) forgetUpTo(name string, upTo uint64) (n int) {
	for done := false; !done; {
		var some int
		m.enter()
		some, done = m.forget(name, upTo)
		m.mu.Unlock()
		n += some
	}
	return n
}

// forget drops up to limits.sweep entries of a topic, state as well, and reports
// whether it got through.
func (m *Memory) forget(name string, upTo uint64) (n int, done bool) {
	q := m.topics[name]
	if q == nil {
		return 0, true
	}
	for q.len() > 0 && q.at(0).seq <= upTo {
		if n == m.limits.sweep {
			return n, false
		}
		m.drop(q)
		n++
	}
	return n, true
}

// trim takes the oldest entry out of what one topic keeps. The newest of a key stays.
func (m *Memory) trim(q *queue) {
	r := q.take()
	if q.isLatest(r) {
		q.state.shelve(r)
		return
	}
	m.part(r, q)
}

// drop takes the oldest entry out of one topic, also if it is the newest of its key.
func (m *Memory) drop(q *queue) {
	r := q.at(0)
	if q.isLatest(r) {
		delete(q.state.latest, r.key())
	}
	if q.state == nil || !q.state.unshelve(r) {
		q.take()
	}
	m.part(r, q)
}

// supersede makes r the newest of its key in q.
func (m *Memory) supersede(r *record, q *queue) {
	var before *record
	if q.state != nil {
		before = q.state.latest[r.key()]
	}
	q.set(r)
	if before != nil && q.state.unshelve(before) {
		m.part(before, q)
	}
}

// part notes that r has left a topic.
func (m *Memory) part(r *record, q *queue) {
	if q.len() == 0 {
		q.leave()
		m.empty.push(q)
	}
	missed := !q.superseded(r)
	r.holders--
	switch {
	case r.holders == 0:
		m.bury(r, q, missed)
	case missed && r.seq > q.gone:
		q.parted.insert(r)
	}
}

// bury removes an entry that no topic keeps any more; q was the last, and missed says
// whether its readers miss it.
func (m *Memory) bury(r *record, q *queue, missed bool) {
	m.order.remove(r.seq)
	if id := r.id(); id != "" {
		m.unindex(id, r.seq)
	}
	m.size -= int64(r.charge)
	m.bytes -= int64(r.size)
	lost := missed
	if missed {
		q.lose(r.seq)
	}
	if r.several {
		for _, name := range r.topics() {
			if q := m.topics[name]; q != nil && q.parted.has(r) {
				q.lose(r.seq)
				lost = true
			}
		}
	}
	m.release(r, lost)
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
		m.drop(s.q)
		return
	}
	r := s.r
	for _, name := range r.topics() {
		if q := m.topics[name]; q != nil && q.holds(r) {
			m.drop(q)
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
	for q.len() > 0 {
		m.drop(q)
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
