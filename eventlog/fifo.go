package eventlog

// A fifo holds entries in rising order: in at the back, out at the front.
// It is a ring whose size is a power of two.
type fifo struct {
	ring  []*record
	first int
	n     int
}

// at returns entry number i, counted from the front.
func (f *fifo) at(i int) *record { return f.ring[(f.first+i)&(len(f.ring)-1)] }

func (f *fifo) push(r *record) {
	if f.n == len(f.ring) {
		f.resize(max(1, 2*f.n))
	}
	f.n++
	f.ring[(f.first+f.n-1)&(len(f.ring)-1)] = r
}

// pop takes the front entry out. There must be one.
func (f *fifo) pop() *record {
	r := f.ring[f.first]
	f.ring[f.first] = nil
	f.first = (f.first + 1) & (len(f.ring) - 1)
	f.n--
	switch {
	case f.n == 0:
		*f = fifo{}
	case f.n < len(f.ring)/4:
		f.resize(len(f.ring) / 2)
	}
	return r
}

// insert is push for an entry that may belong further to the front.
func (f *fifo) insert(r *record) {
	f.push(r)
	for i := f.n - 1; i > 0 && f.at(i-1).seq > r.seq; i-- {
		f.set(i, f.at(i-1))
		f.set(i-1, r)
	}
}

func (f *fifo) set(i int, r *record) { f.ring[(f.first+i)&(len(f.ring)-1)] = r }

// has reports whether r is in f.
func (f *fifo) has(r *record) bool {
	i := f.after(r.seq) - 1
	return i >= 0 && f.at(i) == r
}

func (f *fifo) resize(size int) {
	ring := make([]*record, size)
	for i := range f.n {
		ring[i] = f.at(i)
	}
	f.ring, f.first = ring, 0
}

// after returns the number of the first entry beyond seq, or n. Readers are
// mostly near the end, so it looks from there.
func (f *fifo) after(seq uint64) int {
	return searchFromEnd(f.n, func(i int) bool { return f.at(i).seq > seq })
}

// searchFromEnd returns the smallest i in [0, n] for which ok holds in [i, n),
// given that ok is false up to some point and true from there. Its cost is
// logarithmic in n-i.
func searchFromEnd(n int, ok func(i int) bool) int {
	// From here on: ok holds in [hi, n), and nothing is known below.
	hi, step := n, 1
	for hi-step >= 0 && ok(hi-step) {
		hi -= step
		step *= 2
	}
	lo := max(0, hi-step+1) // hi-step is out of range or not ok
	for lo < hi {
		if mid := int(uint(lo+hi) / 2); ok(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return hi
}
