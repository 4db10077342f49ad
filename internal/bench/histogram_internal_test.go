package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesAreWithinOnePercent(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float64{10, 1e3, 1e6, 1e9, 1e12} {
		h := new(histogram)
		var all []time.Duration
		for range 10_000 {
			d := time.Duration(rnd.ExpFloat64() * scale)
			h.add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
			want := all[max(int(math.Ceil(q*float64(len(all))))-1, 0)]
			if got := h.quantile(q); math.Abs(float64(got-want)) > 0.008*float64(want)+0.5 {
				t.Errorf("scale %g: quantile %v is %v, want %v", scale, q, got, want)
			}
		}
		if h.max != all[len(all)-1] || h.total != int64(len(all)) {
			t.Errorf("scale %g: max %v of %d, want %v of %d", scale, h.max, h.total, all[len(all)-1], len(all))
		}
	}
}

func TestEveryDurationHasABucketThatHoldsIt(t *testing.T) {
	last := -1
	for _, v := range []int64{0, 1, 127, 128, 129, 255, 256, 257, 511, 512, 1e6, 1e9, 1e15, math.MaxInt64 / 2, math.MaxInt64} {
		i := bucketOf(uint64(v))
		if middle := float64(middleOf(i)); i < last || i >= buckets || math.Abs(middle-float64(v)) > 0.008*float64(v) {
			t.Errorf("%d is in bucket %d of %d after %d, whose middle is %.0f", v, i, buckets, last, middle)
		}
		last = i
	}
}

func TestHistogramCountsWhatIsNegativeAsZero(t *testing.T) {
	h := new(histogram)
	if got := h.quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
	h.add(-time.Second)
	if h.counts[0] != 1 || h.max != 0 {
		t.Errorf("-1s is counted %d times as 0, max %v", h.counts[0], h.max)
	}
}
