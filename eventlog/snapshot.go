package eventlog

import (
	"maps"
	"slices"
	"time"
)

// A Snapshot is what an [Index] knows at one moment besides the entries themselves:
// with it, and the entries that are kept, its Restore methods make an equal one.
type Snapshot struct {
	Kept      []uint64 // positions of all kept entries, rising
	Topics    []TopicState
	Keys      []KeyState // in the order in which they were used
	Values    []Put      // owned by the index
	Forgotten uint64     // see Index.Forgotten
}

// A TopicState is what is remembered of a topic besides its entries: see
// [Index.RestoreTopic].
type TopicState struct {
	Name        string
	Gone, Floor uint64
}

// A KeyState is an idempotency key and the place of its entry.
type KeyState struct {
	Key  string
	Seq  uint64
	Time time.Time
}

// Snapshot returns what the index knows. It holds the lock meanwhile, which takes
// some 100 ns for each entry, topic and key.
func (x *Index) Snapshot() Snapshot {
	x.enter()
	defer x.mu.Unlock()
	s := Snapshot{Kept: x.kept(), Forgotten: x.forgotten}
	for name, q := range x.topics {
		s.Topics = append(s.Topics, TopicState{name, q.gone, q.floor()})
	}
	for _, key := range x.receipts.oldest[x.receipts.first:] {
		r := x.receipts.byKey[key]
		s.Keys = append(s.Keys, KeyState{key, r.seq, time.Unix(0, r.at).UTC()})
	}
	for key, value := range x.values.byKey {
		s.Values = append(s.Values, Put{key, value})
	}
	return s
}

// Kept returns the positions of all kept entries, rising.
func (x *Index) Kept() []uint64 {
	x.enter()
	defer x.mu.Unlock()
	return x.kept()
}

func (x *Index) kept() []uint64 {
	kept := make([]uint64, 0, x.order.live)
	for i := range x.order.slots {
		if x.order.slots[i].r != nil {
			kept = append(kept, x.order.slots[i].seq)
		}
	}
	return kept
}

// Names returns the names of all topics that are known.
func (x *Index) Names() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Collect(maps.Keys(x.topics))
}

// Keeps reports whether some topic keeps the entry at a position.
func (x *Index) Keeps(seq uint64) bool {
	x.enter()
	defer x.mu.Unlock()
	return x.order.find(seq) != nil
}

// floor is a position up to which q has given up all entries but the state of keys.
func (q *queue) floor() uint64 {
	if q.kept.n > 0 {
		return q.kept.at(0).seq - 1
	}
	return max(q.newest, q.gone)
}

// Lose tells that the store does not have the entry at seq any more, although the index
// keeps it. It counts as lost, and its topics give up all that is older.
func (x *Index) Lose(seq uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.order.find(seq)
	if s == nil {
		return
	}
	if s.q != nil {
		x.giveUp(s.q, s.r)
		return
	}
	r := s.r
	for _, name := range slices.Clone(r.topics()) {
		if q := x.topics[name]; q != nil && q.holds(r) {
			x.giveUp(q, r)
		}
	}
}

// giveUp takes r, and what its retention keeps of older entries, out of a topic.
func (m *Memory) giveUp(q *queue, r *record) {
	for q.kept.n > 0 && q.kept.at(0).seq < r.seq {
		m.trim(q)
	}
	if q.isLatest(r) {
		delete(q.state.latest, r.key())
	}
	if q.state != nil && q.state.unshelve(r) || q.kept.n > 0 && q.kept.at(0) == r && q.take() == r {
		m.part(r, q)
	}
}
