package eventlog

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/topic"
)

// Append stores the entries. It does not wait for anything but the lock.
//
// Hot path: the cost of an entry depends on its own topics and on how much it
// pushes out, not on how many topics there are.
func (m *Memory) Append(ctx context.Context, es ...*Entry) error { return m.Commit(ctx, nil, es...) }

// Commit stores entries and values.
func (m *Memory) Commit(ctx context.Context, puts []Put, es ...*Entry) error {
	_, err := m.commit(ctx, nil, puts, es)
	return err
}

// commit stores entries and values if values are as expected, and returns the head before.
// A Change would make the entries' slice escape.
func (m *Memory) commit(ctx context.Context, expect, puts []Put, es []*Entry) (before uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := Prepare(es...); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	if err := differs(expect, m.values.get); err != nil {
		return 0, err
	}
	if err := m.values.check(puts, m.options.ValueBytes); err != nil {
		return 0, err
	}
	before = m.Head()
	m.setValues(puts)
	m.add(es)
	return before, nil
}

// add gives entries their places, now.
func (m *Memory) add(es []*Entry) {
	now := time.Now().UnixNano()
	m.sweep(now)
	m.last = max(m.last, now)
	m.receipts.expire(m.last - int64(m.options.KeyWindow))
	for _, e := range es {
		if !m.known(e) {
			m.insert(e)
		}
	}
	m.tell(es)
}

// tell calls the follower.
func (m *Memory) tell(es []*Entry) {
	if m.follow == nil {
		return
	}
	for _, e := range es {
		if !e.Duplicate {
			m.follow(e)
		}
	}
}

// prepare checks e and removes topics that it names again.
func prepare(e *Entry) error {
	if n := len(e.Topics); n == 0 {
		return fmt.Errorf("%w: entry has no topic", ErrTopic)
	} else if n > MaxEntryTopics {
		return fmt.Errorf("%w: entry has %d topics, limit %d", ErrTopic, n, MaxEntryTopics)
	}
	for _, name := range e.Topics {
		if err := topic.Check(name); err != nil {
			return fmt.Errorf("%w: %v", ErrTopic, err)
		}
	}
	if _, _, ok := ParseID(e.ID); ok {
		return fmt.Errorf("%w: %q has the form of a position", ErrID, e.ID)
	}
	for i := 1; i < len(e.Topics); i++ {
		if slices.Contains(e.Topics[:i], e.Topics[i]) {
			e.Topics = distinct(e.Topics)
			break
		}
	}
	return nil
}

// distinct returns a new slice: the old one may be the publisher's.
func distinct(names []string) []string {
	var d []string
	for _, name := range names {
		if !slices.Contains(d, name) {
			d = append(d, name)
		}
	}
	return d
}

// insert gives e its place and trims what has become too much.
func (m *Memory) insert(e *Entry) {
	e.Seq = m.head.Load() + 1
	e.Time = time.Unix(0, m.last).UTC()
	m.place(e, len(e.Data))
	m.remember(e)
	m.head.Store(e.Seq)
}

// remember notes the idempotency key of e.
func (m *Memory) remember(e *Entry) {
	if e.IdempotencyKey != "" {
		m.receipts.add(e.IdempotencyKey, e.Seq, m.last, m.options.MaxKeys)
	}
}

// place puts an entry, which has a position, a time and so many bytes of data, where
// it is found.
func (m *Memory) place(e *Entry, size int) {
	s := slot{seq: e.Seq, at: m.last}
	if len(e.Topics) == 1 {
		s.q = m.topic(e.Topics[0])
		e.Topics = s.q.self[:]
	}
	// All topics count as holders from the start: one may be trimmed, even
	// dropped, while r is put into the next.
	r := m.newRecord(e, size)
	s.r = r
	m.order.push(s)
	if e.ID != "" {
		m.index(s, e.ID)
	}
	m.size += int64(r.charge)
	m.bytes += int64(r.size)
	for _, name := range e.Topics {
		m.put(r, m.topic(name))
	}
	m.shrink()
}

// put adds r to one of its topics.
func (m *Memory) put(r *record, q *queue) {
	if r.state {
		m.supersede(r, q)
	}
	q.put(r)
	q.leave()
	m.busy.push(q)
	for q.over() {
		m.trim(q)
	}
	if q.kept.n > 0 {
		m.expiry.watch(q)
	}
}

// topic returns the queue of a topic, which it makes if need be.
func (m *Memory) topic(name string) *queue {
	if q := m.topics[name]; q != nil {
		return q
	}
	for len(m.topics) >= m.options.MaxTopics {
		m.dropIdle()
	}
	q := &queue{self: [1]string{name}, keep: m.options.retention(name), heapAt: -1, gone: m.unknown(name)}
	m.topics[name] = q
	q.node = m.tree.insert(name)
	q.node.q = q
	m.empty.push(q)
	return q
}

// index notes the chosen ID of an entry.
func (m *Memory) index(s slot, id string) {
	o := m.chosen[id]
	if o == nil {
		o = new(order)
		m.chosen[id] = o
	}
	o.push(s)
}
