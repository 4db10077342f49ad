package eventlog

import "sort"

// A state is the newest state message of each key of a topic.
type state struct {
	latest map[string]*record
	old    []*record // those of them that retention has taken out of queue.kept; by position
	bytes  int64     // data of old
	shared int       // how many of old have further topics
}

// set makes r the newest of its key.
func (q *queue) set(r *record) {
	if q.state == nil {
		q.state = &state{latest: make(map[string]*record)}
	}
	q.state.latest[r.key()] = r
}

// isLatest reports whether r is the newest of its key, which q must hold on to.
func (q *queue) isLatest(r *record) bool {
	return r.state && q.state != nil && q.state.latest[r.key()] == r
}

// superseded reports whether a newer message has taken the place of r, so that nobody
// misses it.
func (q *queue) superseded(r *record) bool {
	if !r.state || q.state == nil {
		return false
	}
	latest := q.state.latest[r.key()]
	return latest != nil && latest != r
}

// shelve keeps r, the newest of its key, that is leaving q.kept.
func (s *state) shelve(r *record) {
	s.old = append(s.old, r)
	s.count(r, 1)
}

// find returns the place of the first of old beyond seq.
func (s *state) find(seq uint64) int {
	return sort.Search(len(s.old), func(i int) bool { return s.old[i].seq > seq })
}

// unshelve takes r out of old and reports whether it was there.
func (s *state) unshelve(r *record) bool {
	i := s.find(r.seq) - 1
	if i < 0 || s.old[i] != r {
		return false
	}
	s.old = append(s.old[:i], s.old[i+1:]...)
	s.count(r, -1)
	return true
}

func (s *state) count(r *record, n int) {
	s.bytes += int64(n) * int64(r.size)
	if r.several {
		s.shared += n
	}
}

// shelf returns what q holds besides q.kept, all of it older.
func (q *queue) shelf() []*record {
	if q.state == nil {
		return nil
	}
	return q.state.old
}

// len is how many entries q holds.
func (q *queue) len() int { return len(q.shelf()) + q.kept.n }

// at returns entry number i of those that q holds, the oldest first.
func (q *queue) at(i int) *record {
	old := q.shelf()
	if i < len(old) {
		return old[i]
	}
	return q.kept.at(i - len(old))
}

// after returns the number of the first entry beyond seq, or len.
func (q *queue) after(seq uint64) int {
	old := q.shelf()
	if n := len(old); n > 0 && old[n-1].seq > seq {
		return q.state.find(seq)
	}
	return len(old) + q.kept.after(seq)
}

// size is how many bytes of data q holds, and common whether some of it is in further
// topics.
func (q *queue) size() (bytes int64, common bool) {
	bytes, common = q.bytes, q.shared > 0
	if q.state != nil {
		bytes, common = bytes+q.state.bytes, common || q.state.shared > 0
	}
	return bytes, common
}
