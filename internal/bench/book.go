package bench

// A verdict says what one arrival means.
type verdict uint8

const (
	inOrder verdict = iota // the next one, or one after some that are missing
	late                   // one that was missing: messages changed places
	doubled                // one that had arrived already
)

// maxSpans bounds what a book remembers of missing messages. The oldest are
// forgotten; they stay lost, and count as doubled if they arrive after all.
const maxSpans = 1 << 16

// A book tells for many pairs of reader and stream, called slots, which messages
// have arrived: those below next, except the missing ones.
type book struct {
	next    []uint32 // by slot: the number after the highest that arrived
	missing map[int][]span
	spans   int // in missing
}

// A span is a range of message numbers.
type span struct{ from, to uint32 } // without to

func newBook(slots int) *book {
	return &book{next: make([]uint32, slots), missing: make(map[int][]span)}
}

// start makes seq the first message that is expected in slot.
func (b *book) start(slot int, seq uint64) {
	b.next[slot] = uint32(seq)
	b.forget(slot)
}

// arrived takes note of a message.
//
// Hot path: once per delivery; no allocation, no map while nothing is missing.
func (b *book) arrived(slot int, seq uint64) verdict {
	next := uint64(b.next[slot])
	switch {
	case seq == next:
	case seq > next:
		b.miss(slot, span{uint32(next), uint32(seq)})
	case b.found(slot, uint32(seq)):
		return late
	default:
		return doubled
	}
	b.next[slot] = uint32(seq) + 1
	return inOrder
}

func (b *book) miss(slot int, s span) {
	if b.spans >= maxSpans {
		for old := range b.missing { // any; there is no order among slots
			b.forget(old)
			break
		}
	}
	b.missing[slot] = append(b.missing[slot], s)
	b.spans++
}

func (b *book) forget(slot int) {
	b.spans -= len(b.missing[slot])
	delete(b.missing, slot)
}

// found takes seq off the missing messages and reports whether it was one.
func (b *book) found(slot int, seq uint32) bool {
	list := b.missing[slot]
	for i, s := range list {
		if seq < s.from || seq >= s.to {
			continue
		}
		left := list[:i:i]
		if s.from < seq {
			left = append(left, span{s.from, seq})
		}
		if seq+1 < s.to {
			left = append(left, span{seq + 1, s.to})
		}
		left = append(left, list[i+1:]...)
		b.spans += len(left) - len(list)
		b.missing[slot] = left
		return true
	}
	return false
}
