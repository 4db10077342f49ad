package fanout_test

import (
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
)

// entry returns an entry with a position and n bytes of data.
func entry(seq uint64, n int) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: []string{"t"}, Data: make([]byte, n)}, Seq: seq}
}

// held returns how many entries a feed still holds, checking that they are the
// newest, and how many bytes they have.
func held(t *testing.T, f *fanout.Feed) (n, size int) {
	t.Helper()
	for i := f.Head(); i > 0; i-- {
		e := f.At(i)
		if e == nil {
			break
		}
		if e.Seq != i {
			t.Fatalf("At(%d) is entry %d", i, e.Seq)
		}
		n++
		size += len(e.Data)
	}
	for i := range f.Head() - uint64(n) {
		if f.At(i+1) != nil {
			t.Fatalf("At(%d) is held, but newer ones are not", i+1)
		}
	}
	return n, size
}

func TestFeedHoldsTheNewestEntries(t *testing.T) {
	f := new(fanout.Feed)
	if n, e := f.Newest(); n != 0 || e != nil || f.Head() != 0 {
		t.Errorf("an empty feed has entry %d, %v", n, e)
	}
	for _, pushed := range []uint64{1, 2, 1000, 16_383, 16_384, 16_385, 40_000} {
		for f.Head() < pushed {
			f.Push(entry(f.Head()+1, 10))
		}
		want := min(int(pushed), 16_383) // one slot less than there are: Push may be filling it
		if n, _ := held(t, f); n != want {
			t.Errorf("%d of %d entries are held, want %d", n, pushed, want)
		}
		if n, e := f.Newest(); n != pushed || e.Seq != pushed {
			t.Errorf("newest is %d, want %d", n, pushed)
		}
	}
}

func TestFeedIsBoundedInBytes(t *testing.T) {
	const limit = 64 << 20
	for _, test := range []struct{ entries, bytes, want int }{
		{100, 1 << 20, 64},
		{50_000, 1 << 13, 8192},
		{20, 100 << 20, 1}, // larger than the limit: the newest is held nevertheless
		{20_000, 0, 16_383},
	} {
		f := new(fanout.Feed)
		data := make([]byte, test.bytes)
		for i := range test.entries {
			e := entry(uint64(i+1), 0)
			e.Data = data
			f.Push(e)
		}
		if n, size := held(t, f); n != test.want || size > limit && n > 1 {
			t.Errorf("%d entries of %d bytes: %d are held with %d bytes, want %d with no more than %d", test.entries, test.bytes, n, size, test.want, limit)
		}
	}
}

// TestFeedCountsBytesThroughChanges mixes sizes, so that entries leave for either
// bound.
func TestFeedCountsBytesThroughChanges(t *testing.T) {
	f := new(fanout.Feed)
	big, seq := make([]byte, 16<<20), uint64(0)
	push := func(n int, data []byte) {
		for range n {
			seq++
			e := entry(seq, 0)
			e.Data = data
			f.Push(e)
		}
	}
	for range 5 {
		push(10, big)
		push(20_000, nil)
		push(3, big)
		if n, size := held(t, f); n != 16_383 || size != 3*len(big) {
			t.Fatalf("%d entries with %d bytes are held, want 16383 with %d", n, size, 3*len(big))
		}
		push(2, big)
		if _, size := held(t, f); size != 4*len(big) {
			t.Fatalf("%d bytes are held, want %d", size, 4*len(big))
		}
	}
}

// TestFeedReadersNeverGetAnotherEntry reads at all distances from the head while
// entries are overwritten.
func TestFeedReadersNeverGetAnotherEntry(t *testing.T) {
	f := new(fanout.Feed)
	f.Push(entry(1, 100))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for r := range uint64(3) {
		readers.Go(func() {
			for i := uint64(0); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				head := f.Head()
				n := head - min(head-1, (i*(r+1)*7919)%17_000)
				if e := f.At(n); e != nil && e.Seq != n {
					t.Errorf("At(%d) is entry %d", n, e.Seq)
					return
				}
				if n, e := f.Newest(); e == nil || e.Seq != n || n < head {
					t.Errorf("Newest is number %d, %v; the head was %d", n, e, head)
					return
				}
			}
		})
	}
	for i := range uint64(50_000) {
		f.Push(entry(i+2, int(i%8192)))
	}
	close(done)
	readers.Wait()
}
