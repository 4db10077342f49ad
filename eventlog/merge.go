package eventlog

import "slices"

// A merge goes through the entries of a few topics in order, each entry once. The
// zero value has no topics.
type merge struct {
	queues [mergeLimit]*queue
	place  [mergeLimit]int // in queues[i]: the next entry forwards; the one before it is next backwards
	n      int
	gone   uint64 // highest position that is gone of these topics, or of selected ones that are not known
}

// add adds a topic, if it is new. It reports false if there is no room.
func (g *merge) add(q *queue) bool {
	if slices.Contains(g.queues[:g.n], q) {
		return true
	}
	if g.n == mergeLimit {
		return false
	}
	g.queues[g.n] = q
	g.gone = max(g.gone, q.gone)
	g.n++
	return true
}

// seek makes the first entry beyond after the next one.
func (g *merge) seek(after uint64) {
	for i, q := range g.queues[:g.n] {
		g.place[i] = q.after(after)
	}
}

// next returns nil at the end.
func (g *merge) next() *record {
	var r *record
	for i, q := range g.queues[:g.n] {
		if g.place[i] < q.len() {
			if c := q.at(g.place[i]); r == nil || c.seq < r.seq {
				r = c
			}
		}
	}
	for i, q := range g.queues[:g.n] {
		if g.place[i] < q.len() && q.at(g.place[i]) == r {
			g.place[i]++
		}
	}
	return r
}

// prev returns the entry before the next one, and nil at the beginning.
func (g *merge) prev() *record {
	var r *record
	for i, q := range g.queues[:g.n] {
		if g.place[i] > 0 {
			if c := q.at(g.place[i] - 1); r == nil || c.seq > r.seq {
				r = c
			}
		}
	}
	for i, q := range g.queues[:g.n] {
		if g.place[i] > 0 && q.at(g.place[i]-1) == r {
			g.place[i]--
		}
	}
	return r
}

// left is how many entries are ahead; those of several topics count more than once.
func (g *merge) left() int {
	n := 0
	for i, q := range g.queues[:g.n] {
		n += q.len() - g.place[i]
	}
	return n
}

// lost is Page.Lost for the range (after, next].
//
// Going through parted costs no more than the page: all entries looked at but the
// last are kept by a selected topic, so they are in the page.
func (g *merge) lost(after, next uint64) uint64 {
	lost := after
	if g.gone > after {
		lost = min(g.gone, next)
	}
	for _, q := range g.queues[:g.n] {
		for i := q.parted.after(next) - 1; i >= 0; i-- {
			r := q.parted.at(i)
			if r.seq <= lost {
				break
			}
			if !g.holds(r) {
				lost = r.seq
				break
			}
		}
	}
	if lost == after {
		return 0
	}
	return lost
}

// holds reports whether one of the topics keeps r, which has several.
func (g *merge) holds(r *record) bool {
	for _, q := range g.queues[:g.n] {
		if q.holds(r) && slices.Contains(r.topics(), q.name()) {
			return true
		}
	}
	return false
}
