package eventlog

import "math"

// A queue is one topic: the entries it keeps and what it remembers of those that
// it no longer keeps.
type queue struct {
	self [1]string // the topic's name; the Topics of its entries that have no other
	keep *Retention
	node *node

	kept   fifo
	state  *state // nil: no state messages
	bytes  int64  // data of kept
	shared int    // how many of kept have further topics
	newest uint64 // position of the last entry ever put in

	// An entry that this topic has trimmed is gone if no other topic keeps it
	// either, and is remembered by position. Otherwise it is in parted, because
	// whether a reader has lost it depends on what else that reader selects.
	gone   uint64 // highest position that is gone
	parted fifo   // all above gone

	// The selector that asked last, and the answer.
	asked  *Selector
	answer bool

	due    int64 // when to look for expired entries; valid if heapAt >= 0
	heapAt int   // place in the expiry heap; -1 if not in it

	prev, next *queue // in the list of topics that are, or are not, empty
	in         *queues
}

func (q *queue) name() string { return q.self[0] }

// put adds r at the end.
func (q *queue) put(r *record) {
	q.kept.push(r)
	q.bytes += int64(r.size)
	q.newest = r.seq
	if r.several {
		q.shared++
	}
}

// take removes the oldest entry. There must be one.
func (q *queue) take() *record {
	r := q.kept.pop()
	q.bytes -= int64(r.size)
	if r.several {
		q.shared--
	}
	return r
}

// lose notes that the entry at seq, which q had, is gone.
func (q *queue) lose(seq uint64) {
	if seq <= q.gone {
		return
	}
	q.gone = seq
	q.node.mark(seq)
	for q.parted.n > 0 && q.parted.at(0).seq <= seq {
		q.parted.pop()
	}
}

// over reports whether q keeps more than its retention allows, age aside.
func (q *queue) over() bool {
	r := q.keep
	return q.kept.n > 0 && (r.MaxEntries < 0 ||
		r.MaxEntries > 0 && q.kept.n > r.MaxEntries ||
		r.MaxBytes > 0 && q.bytes > r.MaxBytes)
}

// expires returns when the oldest entry expires. There must be one, and a MaxAge.
func (q *queue) expires() int64 {
	at, age := q.kept.at(0).at, int64(q.keep.MaxAge)
	if at > math.MaxInt64-age {
		return math.MaxInt64
	}
	return at + age
}

// holds reports whether q keeps r, given that q is a topic of r. Entries leave kept
// only at the front, so everything from the front on is there.
func (q *queue) holds(r *record) bool {
	return q.kept.n > 0 && q.kept.at(0).seq <= r.seq || q.isLatest(r)
}

// since returns the number of the first kept entry not older than t.
func (q *queue) since(t int64) int {
	return searchFromEnd(q.len(), func(i int) bool { return q.at(i).at >= t })
}

// selected is sel.Match for q's name, which it remembers for the next question.
func (q *queue) selected(sel *Selector) bool {
	if q.asked != sel {
		q.asked, q.answer = sel, sel.Match(q.name())
	}
	return q.answer
}
