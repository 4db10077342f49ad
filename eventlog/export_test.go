package eventlog

import (
	"fmt"
	"time"
)

// EntrySize is what an entry counts towards Options.TotalBytes.
var EntrySize = entrySize

// SetLimits makes m change its ways, and give up its lock, sooner than it would.
func (m *Memory) SetLimits(merge, scan, sweep int) {
	m.limits = limits{merge, scan, sweep}
}

// SetLastTime makes m believe that its clock has shown t.
func (m *Memory) SetLastTime(t time.Time) { m.last = t.UnixNano() }

// Kept is the number of entries in memory, expired or not.
func (m *Memory) Kept() int { return m.order.live }

// Check returns an error if the parts of m do not agree with each other.
func (m *Memory) Check() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	holders := map[*record]int32{}
	watched := 0
	for name, q := range m.topics {
		if err := m.checkQueue(name, q, holders); err != nil {
			return fmt.Errorf("topic %q: %v", name, err)
		}
		if q.heapAt >= 0 {
			watched++
		}
	}
	if len(m.expiry) != watched {
		return fmt.Errorf("%d topics in the heap, %d of them known", len(m.expiry), watched)
	}
	if topics, nodes := m.tree.count(); topics != len(m.topics) {
		return fmt.Errorf("%d topics in the tree of %d nodes, %d in the map", topics, nodes, len(m.topics))
	}
	return m.checkOrder(holders)
}

func (m *Memory) checkQueue(name string, q *queue, holders map[*record]int32) error {
	bytes, shared := int64(0), 0
	for i := range q.kept.n {
		r := q.kept.at(i)
		holders[r]++
		bytes += int64(r.size)
		if r.several {
			shared++
		}
	}
	for _, r := range q.shelf() {
		if holders[r]++; !q.isLatest(r) {
			return fmt.Errorf("%d is shelved and not the newest of key %q", r.seq, r.key())
		}
	}
	list := &m.busy
	if q.len() == 0 {
		list = &m.empty
	}
	switch {
	case q.name() != name || q.in != list || q.node.q != q:
		return fmt.Errorf("it is called %q, or in the wrong list or node", q.name())
	case q.bytes != bytes || q.shared != shared:
		return fmt.Errorf("counted %d bytes, %d shared; there are %d, %d", q.bytes, q.shared, bytes, shared)
	case q.heapAt >= 0 && m.expiry[q.heapAt] != q, q.heapAt < 0 && q.keep.MaxAge > 0 && q.kept.n > 0:
		return fmt.Errorf("not in its place in the heap, %d", q.heapAt)
	case q.parted.n > 0 && q.parted.at(0).seq <= q.gone:
		return fmt.Errorf("%d is parted, up to %d is gone", q.parted.at(0).seq, q.gone)
	}
	return nil
}

func (m *Memory) checkOrder(holders map[*record]int32) error {
	size, bytes, chosen := int64(0), int64(0), 0
	for _, s := range m.order.slots {
		if s.r == nil {
			continue
		}
		if s.r.holders != holders[s.r] || s.r.holders == 0 {
			return fmt.Errorf("entry %d counts %d holders, has %d", s.seq, s.r.holders, holders[s.r])
		}
		size += int64(s.r.charge)
		bytes += int64(s.r.size)
		if s.r.id() != "" {
			chosen++
		}
	}
	for _, o := range m.chosen {
		chosen -= o.live
	}
	if m.order.live != len(holders) || m.size != size || m.bytes != bytes || chosen != 0 {
		return fmt.Errorf("%d entries, size %d, bytes %d; there are %d, %d, %d; IDs missing: %d",
			m.order.live, m.size, m.bytes, len(holders), size, bytes, chosen)
	}
	return nil
}

// count counts the topics and all nodes, and no node may be a dead end.
func (n *node) count() (topics, nodes int) {
	nodes = 1
	if n.q != nil {
		topics = 1
	}
	for _, kid := range n.kids {
		t, k := kid.count()
		if t == 0 {
			return -1, k
		}
		topics, nodes = topics+t, nodes+k
	}
	return topics, nodes
}
