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
	for q.kept.n > 0 && q.kept.at(0).Seq <= upTo {
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
	e := q.take()
	if q.kept.n == 0 {
		q.leave()
		m.empty.push(q)
	}
	e.holders--
	if e.holders > 0 {
		q.parted.push(e)
		return
	}
	m.bury(e, q)
}

// bury removes an entry that no topic keeps any more; q was the last.
func (m *Memory) bury(e *Entry, q *queue) {
	m.order.remove(e.Seq)
	if e.ID != "" {
		m.unindex(e)
	}
	m.size -= entrySize(e)
	m.bytes -= int64(len(e.Data))
	if len(e.Topics) == 1 {
		q.lose(e.Seq)
		return
	}
	for _, name := range e.Topics {
		if q := m.topics[name]; q != nil {
			q.lose(e.Seq)
		}
	}
}

func (m *Memory) unindex(e *Entry) {
	o := m.chosen[e.ID]
	o.remove(e.Seq)
	if o.live == 0 {
		delete(m.chosen, e.ID)
	}
}

// shrink brings the log below its TotalBytes again: what has expired goes first,
// then what is oldest.
func (m *Memory) shrink() {
	for m.size > m.options.TotalBytes {
		if m.sweep(m.last) && m.size > m.options.TotalBytes {
			m.evict(m.order.slots[m.order.first].e)
		}
	}
}

// evict takes the oldest entry of the whole log out of its topics. It is the
// oldest of each that keeps it.
func (m *Memory) evict(e *Entry) {
	for _, name := range e.Topics {
		if q := m.topics[name]; q != nil && q.holds(e) {
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
	q.node.remove()
}
