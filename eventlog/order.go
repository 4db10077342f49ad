package eventlog

import "sort"

// A slot is the place of one entry in an order. When the entry goes, seq and at
// stay behind until the next compaction, so that the slots can be searched.
type slot struct {
	seq uint64
	at  int64   // the entry's time, in nanoseconds since 1970
	r   *record // nil: gone
	q   *queue  // the entry's topic if it has only one
}

// An order holds entries by rising position. They go in at the end and out
// anywhere.
type order struct {
	slots []slot // the last one is live
	first int    // the first that is live
	live  int    // how many are
}

// smallOrder is the number of slots below which holes are not worth removing.
const smallOrder = 64

func (o *order) push(s slot) {
	if dead := len(o.slots) - o.live; len(o.slots) == cap(o.slots) && dead > len(o.slots)/2 {
		o.compact()
	}
	o.slots = append(o.slots, s)
	o.live++
}

// remove takes the entry at seq out. It must be there.
func (o *order) remove(seq uint64) {
	i := o.first
	if o.slots[i].seq != seq {
		i = o.after(seq - 1)
	}
	o.slots[i].r, o.slots[i].q = nil, nil
	o.live--
	for len(o.slots) > 0 && o.slots[len(o.slots)-1].r == nil {
		o.slots = o.slots[:len(o.slots)-1]
	}
	for o.first < len(o.slots) && o.slots[o.first].r == nil {
		o.first++
	}
	o.first = min(o.first, len(o.slots))
	if o.live == 0 && cap(o.slots) > smallOrder {
		*o = order{}
	}
	if dead := len(o.slots) - o.live; dead > smallOrder && dead > o.live {
		o.compact()
	}
}

// compact removes the holes. It takes as long as there are slots, and at least
// half of them have become holes since the last time.
func (o *order) compact() {
	old, kept := o.slots, o.slots[:0]
	if o.live < cap(old)/8 {
		kept = make([]slot, 0, 2*o.live)
	}
	for _, s := range old[o.first:] {
		if s.r != nil {
			kept = append(kept, s)
		}
	}
	clear(old[len(kept):])
	o.slots, o.first = kept, 0
}

// after returns the index of the first slot with a position higher than seq.
func (o *order) after(seq uint64) int {
	return searchFromEnd(len(o.slots), func(i int) bool { return o.slots[i].seq > seq })
}

// find returns the slot of a live entry, or nil.
func (o *order) find(seq uint64) *slot {
	i := o.after(seq - 1)
	if i == len(o.slots) || o.slots[i].seq != seq || o.slots[i].r == nil {
		return nil
	}
	return &o.slots[i]
}

// since returns the index of the first slot not older than at.
func (o *order) since(at int64) int {
	return sort.Search(len(o.slots), func(i int) bool { return o.slots[i].at >= at })
}
