package bench

import (
	"math/rand/v2"
	"testing"
)

// TestBookAgreesWithModel compares with a list of all that arrived.
func TestBookAgreesWithModel(t *testing.T) {
	const slots = 3
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBook(slots)
		seen := make([]map[uint64]bool, slots)
		highest := [slots]int64{-1, -1, -1}
		for i := range seen {
			seen[i] = make(map[uint64]bool)
		}
		for step := range 300 {
			slot := rnd.IntN(slots)
			seq := uint64(max(highest[slot]+1+int64(rnd.IntN(9))-5, 0))
			want := inOrder
			switch {
			case seen[slot][seq]:
				want = doubled
			case int64(seq) < highest[slot]:
				want = late
			}
			seen[slot][seq] = true
			highest[slot] = max(highest[slot], int64(seq))
			if got := b.arrived(slot, seq); got != want {
				t.Fatalf("seed %d, step %d: message %d of slot %d gives %d, want %d", seed, step, seq, slot, got, want)
			}
		}
	}
}

func TestBookStartsWhereItIsTold(t *testing.T) {
	b := newBook(1)
	b.arrived(0, 5)
	b.start(0, 7)
	for _, c := range []struct {
		seq  uint64
		want verdict
	}{{7, inOrder}, {9, inOrder}, {8, late}, {8, doubled}, {6, doubled}, {2, doubled}} {
		if got := b.arrived(0, c.seq); got != c.want {
			t.Errorf("message %d gives %d, want %d", c.seq, got, c.want)
		}
	}
}

func TestBookOfMissingMessagesIsBounded(t *testing.T) {
	const slots = 1000
	b := newBook(slots)
	for i := range uint64(3 * maxSpans) {
		b.arrived(int(i%slots), 2*(i/slots)+1) // every other one is missing
	}
	count := 0
	for _, list := range b.missing {
		count += len(list)
	}
	if count != b.spans || count > maxSpans {
		t.Errorf("%d spans are remembered and counted as %d, limit %d", count, b.spans, maxSpans)
	}
}
