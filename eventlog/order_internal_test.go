package eventlog

import (
	"slices"
	"testing"
)

// FuzzOrderAgreesWithSlice reads ops as instructions: push, or remove the entry
// with that number.
func FuzzOrderAgreesWithSlice(f *testing.F) {
	f.Add([]byte{255, 255, 255, 0, 1, 255, 0})
	f.Add(append(slices.Repeat([]byte{255}, 300), slices.Repeat([]byte{0, 7}, 140)...))
	f.Fuzz(func(t *testing.T, ops []byte) {
		var o order
		var model []uint64
		seq := uint64(0)
		for _, op := range ops {
			if op >= 128 || len(model) == 0 {
				seq += 1 + uint64(op%3)
				o.push(slot{seq: seq, at: int64(seq), r: new(record)})
				model = append(model, seq)
			} else {
				i := int(op) % len(model)
				o.remove(model[i])
				model = slices.Delete(model, i, i+1)
			}
			checkOrder(t, &o, model, seq)
		}
	})
}

func TestEmptiedOrderLetsItsMemoryGo(t *testing.T) {
	var o order
	for seq := uint64(1); seq <= 1000; seq++ {
		o.push(slot{seq: seq, r: new(record)})
	}
	for seq := uint64(1000); seq > 0; seq-- {
		o.remove(seq)
	}
	checkOrder(t, &o, nil, 1000)
}

func checkOrder(t *testing.T, o *order, model []uint64, seq uint64) {
	t.Helper()
	var got []uint64
	for _, s := range o.slots[o.first:] {
		if s.r != nil {
			got = append(got, s.seq)
		}
	}
	if !slices.Equal(got, model) || o.live != len(model) {
		t.Fatalf("order holds %v, %d live; want %v", got, o.live, model)
	}
	if n := len(o.slots); n > 2*o.live+smallOrder+1 || n > 0 && (o.slots[n-1].r == nil || o.slots[o.first].r == nil) {
		t.Fatalf("order of %d has %d slots, or one that is gone first or last", o.live, n)
	}
	for _, s := range o.slots[len(o.slots):cap(o.slots)] {
		if s.r != nil {
			t.Fatalf("entry %d is gone, but a slot still points to it", s.seq)
		}
	}
	if o.live == 0 && cap(o.slots) > smallOrder {
		t.Fatalf("an empty order has room for %d", cap(o.slots))
	}
	for _, after := range []uint64{0, seq / 2, seq} {
		i, j := o.after(after), o.since(int64(after)+1)
		if i != j || i > 0 && o.slots[i-1].seq > after || i < len(o.slots) && o.slots[i].seq <= after {
			t.Fatalf("after(%d) = %d, since(%d) = %d", after, i, after+1, j)
		}
	}
}

// FuzzFifoAgreesWithSlice reads ops as instructions: push, or pop.
func FuzzFifoAgreesWithSlice(f *testing.F) {
	f.Add([]byte{255, 255, 255, 0, 0, 255, 0, 0})
	f.Add(append(slices.Repeat([]byte{255}, 70), slices.Repeat([]byte{0}, 70)...))
	f.Fuzz(func(t *testing.T, ops []byte) {
		var q fifo
		var model []uint64
		seq := uint64(0)
		for _, op := range ops {
			if op >= 128 || len(model) == 0 {
				seq += 1 + uint64(op%3)
				q.push(&record{seq: seq})
				model = append(model, seq)
			} else {
				if got := q.pop(); got.seq != model[0] {
					t.Fatalf("pop() = %d, want %d", got.seq, model[0])
				}
				model = model[1:]
			}
			checkFifo(t, &q, model, seq)
		}
	})
}

func checkFifo(t *testing.T, q *fifo, model []uint64, seq uint64) {
	t.Helper()
	if q.n != len(model) || len(q.ring) > 4*q.n {
		t.Fatalf("fifo has %d of %d entries, in a ring of %d", q.n, len(model), len(q.ring))
	}
	for i, want := range model {
		if q.at(i).seq != want {
			t.Fatalf("at(%d) = %d, want %d", i, q.at(i).seq, want)
		}
	}
	for after := uint64(0); after <= seq; after += 1 + seq/7 {
		want, _ := slices.BinarySearch(model, after+1)
		if got := q.after(after); got != want {
			t.Fatalf("after(%d) = %d, want %d", after, got, want)
		}
	}
}
