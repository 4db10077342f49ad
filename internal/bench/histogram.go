package bench

import (
	"math/bits"
	"time"
)

const (
	fineBits = 7 // each power of two is split into 128: an error below 0.8 %
	fine     = 1 << fineBits
	buckets  = (64 - fineBits) * fine
)

// A histogram counts durations, from 1 ns up, in buckets whose width is a fixed
// share of their value. The zero value is ready; it never grows.
type histogram struct {
	counts [buckets]int64
	total  int64
	max    time.Duration
}

// add counts d; a negative d counts as 0.
//
// Hot path: once per delivery; no allocation, no division.
func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.counts[bucketOf(uint64(d))]++
	h.total++
	if d > h.max {
		h.max = d
	}
}

// bucketOf is the identity below 128; above, the exponent and the next 7 bits.
func bucketOf(v uint64) int {
	shift := bits.Len64(v|(fine-1)) - fineBits
	if shift <= 0 {
		return int(v)
	}
	return (shift-1)<<fineBits + int(v>>(shift-1)) // v>>(shift-1) is 128 to 255
}

// middleOf is the middle of bucket i.
func middleOf(i int) time.Duration {
	if i < 2*fine {
		return time.Duration(i)
	}
	shift := i>>fineBits - 1
	low := uint64(fine+i&(fine-1)) << shift
	return time.Duration(low + 1<<(shift-1))
}

// quantile returns the value that the share q of all values does not pass, 0 to
// 1; 0 if nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(int64(q*float64(h.total)+0.999999), 1)
	var seen int64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(middleOf(i), h.max)
		}
	}
	return h.max
}
