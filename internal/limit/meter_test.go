package limit_test

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/limit"
)

func TestMeterChargesAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, burst = 1000, 5000
		r := limit.NewRates("bytes", 0)
		check := func(what string, want time.Duration) {
			t.Helper()
			if wait, ok := r.Check(ip(1), rate, burst); ok != (want == 0) || wait != want {
				t.Errorf("%s: wait %v, %v, want %v", what, wait, ok, want)
			}
		}
		check("a key that was never seen", 0)
		m := r.Meter(ip(1), rate)
		m.Add(burst)
		check("the whole burst", 0)
		m.Add(2000)
		check("2000 more", 2*time.Second)
		r.Meter(ip(1), rate).Add(1000)
		check("1000 more by another stream", 3*time.Second)
		time.Sleep(time.Second)
		check("a second later", 2*time.Second)
		time.Sleep(2 * time.Second)
		check("when it is paid back", 0)
		time.Sleep(time.Hour)
		m.Add(burst + 1000)
		check("an hour later", time.Second)
		if r.Refused(limit.Address) != 4 {
			t.Errorf("%d refusals counted, want 4", r.Refused(limit.Address))
		}
	})
}

// TestMeterChargesWhenItIsUsed has a stream end long before its client comes back:
// what was used then has been paid back since.
func TestMeterChargesWhenItIsUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("bytes", 0)
		r.Meter(ip(1), 1000).Add(100_000)
		time.Sleep(99 * time.Second)
		if wait, ok := r.Check(ip(1), 1000, 1000); !ok {
			t.Errorf("99 s after 100 s worth of use: wait %v", wait)
		}
	})
}

func TestMeterOutlivesItsBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("bytes", 1)
		m := r.Meter(ip(1), 1000)
		for round := range 3 {
			r.Take(ip(2), 1, 1000, 1) // drops the bucket, which is full, for want of room
			m.Add(1_000_000)          // has no room itself
			if wait, ok := r.Check(ip(1), 1000, 1); !ok || r.Keys() != 1 {
				t.Fatalf("round %d: the key has an account without room: wait %v, %d buckets", round, wait, r.Keys())
			}
			time.Sleep(time.Second)
			m.Add(1000)
			if wait, ok := r.Check(ip(1), 1000, 1000); ok || wait != 999*time.Second {
				t.Fatalf("round %d: wait %v, %v, want 999s: all that was used", round, wait, ok)
			}
			time.Sleep(time.Hour)
		}
	})
}

// TestTwoMetersOfAKeyAreOne has a stream hold a meter whose bucket was dropped, and
// another one come with a new bucket.
func TestTwoMetersOfAKeyAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("bytes", 1)
		old := r.Meter(ip(1), 1000)
		r.Take(ip(2), 1, 1000, 1)
		time.Sleep(time.Second)
		fresh := r.Meter(ip(1), 1000)
		if fresh == old {
			t.Fatal("the bucket was not dropped")
		}
		for i, m := range []*limit.Meter{old, fresh, old} {
			m.Add(10_000)
			if wait, _ := r.Check(ip(1), 1000, 1000); wait != time.Duration(10*(i+1)-1)*time.Second {
				t.Errorf("after %d times 10 s worth of use: wait %v", i+1, wait)
			}
		}
	})
}

func TestMeterHasTheRateOfTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("bytes", 0)
		m := r.Meter(ip(1), 1000)
		r.Meter(ip(1), 10)
		m.Add(1000)
		if wait, _ := r.Check(ip(1), 10, 10); wait != 99*time.Second {
			t.Errorf("wait %v, want 99s", wait)
		}
	})
}

func TestDebtEndsAtAHundredYears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("bytes", 0)
		m := r.Meter(ip(1), 1)
		for range 5 {
			m.Add(math.MaxInt64)
			if wait, ok := r.Check(ip(1), 1, 1); ok || wait != 100*365*24*time.Hour-time.Second {
				t.Errorf("wait %v, %v", wait, ok)
			}
		}
	})
}

func TestNoMeterMeasuresNothing(t *testing.T) {
	r := limit.NewRates("bytes", 0)
	for _, m := range []*limit.Meter{r.Meter(limit.Key{}, 1), r.Meter(ip(1), 0), r.Meter(ip(1), -1)} {
		if m != nil {
			t.Errorf("a meter that measures nothing is %v", m)
		}
		m.Add(1 << 60)
	}
	m := r.Meter(ip(1), 1)
	m.Add(0)
	m.Add(-5)
	if wait, ok := r.Check(ip(1), 1, 1); !ok {
		t.Errorf("nothing was used: wait %v", wait)
	}
	if _, ok := r.Check(limit.Key{}, 1, 1); !ok || r.Keys() > 1 {
		t.Errorf("the zero key is refused, or has an account: %d buckets", r.Keys())
	}
}

// TestNoChargeIsLost has one client charge at the moment at which another one makes
// the bucket be dropped, again and again. As virtual time stands still meanwhile, all
// charges must be there afterwards.
func TestNoChargeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rounds, writers = 5000, 2
		r := limit.NewRates("bytes", 2)
		meter := r.Meter(ip(1), 1)
		for round := range rounds {
			time.Sleep(time.Hour) // so that the bucket is full
			var wg sync.WaitGroup
			var ready atomic.Int32
			together := func(f func()) {
				wg.Go(func() {
					for ready.Add(1); ready.Load() < writers+1; {
						runtime.Gosched()
					}
					f()
				})
			}
			for range writers {
				together(func() { meter.Add(10) })
			}
			together(func() { r.Take(ip(2), 1, 1e9, 1e9) })
			wg.Wait()
			if wait, _ := r.Check(ip(1), 1, 1); wait != (writers*10-1)*time.Second {
				t.Fatalf("round %d: the debt is %v, want %ds", round, wait, writers*10-1)
			}
			if round%4 == 0 {
				meter = r.Meter(ip(1), 1)
			}
		}
	})
}

func TestConcurrentChargesAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const writers, each = 4, 50_000
		r := limit.NewRates("bytes", 0)
		var wg sync.WaitGroup
		for range writers {
			m := r.Meter(ip(1), 1)
			wg.Go(func() {
				for range each {
					m.Add(1)
				}
			})
		}
		wg.Wait()
		if wait, _ := r.Check(ip(1), 1, 1); wait != (writers*each-1)*time.Second {
			t.Errorf("the debt is %v, want %ds", wait, writers*each-1)
		}
	})
}
