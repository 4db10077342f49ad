package limit_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/limit"
)

// A step of a test waits, then takes n tokens.
type step struct {
	after time.Duration
	n     int
	wait  time.Duration // 0: they are there
}

func TestTakeFollowsTheBucket(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		rate  float64
		burst int
		steps []step
	}{
		{"a burst, then the rate", 10, 3, []step{{0, 1, 0}, {0, 2, 0}, {0, 1, s / 10}, {s / 10, 1, 0}, {0, 1, s / 10}}},
		{"it fills up to the burst only", 10, 3, []step{{0, 3, 0}, {time.Hour, 3, 0}, {0, 1, s / 10}}},
		{"half of the wait is not enough", 1, 1, []step{{0, 1, 0}, {s / 2, 1, s / 2}, {s / 2, 1, 0}}},
		{"a refusal takes nothing", 1, 2, []step{{0, 1, 0}, {0, 2, s}, {0, 2, s}, {0, 1, 0}}},
		{"a batch larger than the burst passes a full bucket", 10, 5, []step{{0, 1000, 0}, {0, 1, 995*s/10 + s/10}, {995 * s / 10, 1, s / 10}, {s / 10, 1, 0}}},
		{"and not one that is not full", 10, 5, []step{{0, 1, 0}, {0, 1000, s / 10}, {s / 10, 1000, 0}}},
		{"no burst is a burst of one", 1, 0, []step{{0, 1, 0}, {0, 1, s}}},
		{"less than one a second", 0.1, 1, []step{{0, 1, 0}, {0, 1, 10 * s}, {10 * s, 1, 0}}},
		{"no limit", 0, 1, []step{{0, math.MaxInt, 0}, {0, math.MaxInt, 0}}},
		{"no number", math.NaN(), 1, []step{{0, 5, 0}, {0, 5, 0}}},
		{"nothing", 1, 1, []step{{0, 1, 0}, {0, 0, 0}, {0, -5, 0}, {0, 1, s}}},
		{"more than can be paid back", 1e-9, 1, []step{{0, math.MaxInt, 0}, {0, 1, 100 * 365 * 24 * time.Hour}, {time.Hour, 1, 100*365*24*time.Hour - time.Hour}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := limit.NewRates("messages", 0)
				for i, st := range c.steps {
					time.Sleep(st.after)
					wait, ok := r.Take(ip(1), st.n, c.rate, c.burst)
					if ok != (st.wait == 0) || (wait-st.wait).Abs() > time.Microsecond {
						t.Fatalf("step %d: %d tokens: wait %v, %v, want %v", i, st.n, wait, ok, st.wait)
					}
				}
			})
		})
	}
}

// TestBurstsAreWhole takes a burst one by one, at rates that are no whole number of
// nanoseconds.
func TestBurstsAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, rate := range []float64{3, 7, 11, 0.3, 999, 1e6 / 7, 1e9 / 5, 1e9 / 7} {
			for _, burst := range []int{50, 1000} {
				r := limit.NewRates("messages", 0)
				for i := range burst {
					if wait, ok := r.Take(ip(1), 1, rate, burst); !ok {
						t.Fatalf("%v a second: token %d of %d was refused: wait %v", rate, i+1, burst, wait)
					}
				}
				if _, ok := r.Take(ip(1), 1, rate, burst); ok && rate < 1e6 {
					t.Errorf("%v a second: there were more than %d tokens", rate, burst)
				}
			}
		}
	})
}

// TestTakeKeepsTheRate plays clients that come at random and do as they are told.
func TestTakeKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, burst = 50, 20
		r, start, taken := limit.NewRates("messages", 0), time.Now(), 0
		for time.Since(start) < 10*time.Minute {
			n := 1 + rand.IntN(burst)
			wait, ok := r.Take(ip(1), n, rate, burst)
			if ok {
				taken += n
			}
			time.Sleep(wait)
			if most := burst + rate*time.Since(start).Seconds() + 1; float64(taken) > most {
				t.Fatalf("%d tokens in %v, want at most %v", taken, time.Since(start), most)
			}
		}
		if least := rate*time.Since(start).Seconds() - burst; float64(taken) < least {
			t.Errorf("%d tokens in %v, want at least %v", taken, time.Since(start), least)
		}
	})
}

func TestKeysHaveBucketsOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("messages", 0)
		for i, k := range []limit.Key{ip(1), ip(2), limit.UserKey("a"), limit.TokenKey("a")} {
			if _, ok := r.Take(k, 1, 1, 1); !ok || r.Keys() != i+1 {
				t.Errorf("key %d: allowed is %v with %d buckets", i, ok, r.Keys())
			}
		}
		for range 3 {
			if _, ok := r.Take(limit.Key{}, 1, 1, 1); !ok || r.Keys() != 4 {
				t.Errorf("the zero key: allowed is %v with %d buckets", ok, r.Keys())
			}
		}
	})
}

func TestFullBucketsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("messages", 1000)
		for n := range 1000 {
			r.Take(ip(n), 1, 1, 1)
		}
		if r.Keys() != 1000 {
			t.Fatalf("%d buckets, want 1000", r.Keys())
		}
		time.Sleep(time.Second)
		for range 501 { // one client that goes on
			r.Take(ip(0), 1, 1000, 1000)
		}
		if r.Keys() != 1 {
			t.Errorf("%d buckets are left, want that of the one client", r.Keys())
		}
	})
}

func TestManyKeysAreRefusedAtTheBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("messages", 100)
		for n := range 100 {
			r.Take(ip(n), 1, 1, 1)
		}
		for n := range 50 {
			if wait, ok := r.Take(ip(100+n), 1, 1, 1); ok || wait != time.Second {
				t.Fatalf("key 101 with room for 100: wait %v, %v, want a refusal for 1s", wait, ok)
			}
		}
		if r.Keys() != 100 || r.Full() != 50 || r.Refused(limit.Address) != 0 {
			t.Errorf("%d buckets, %d refusals for want of room, %d for the rate, want 100, 50, 0", r.Keys(), r.Full(), r.Refused(limit.Address))
		}
		if _, ok := r.Take(ip(5), 1, 1, 2); !ok {
			t.Error("a key that had an account is refused")
		}
		time.Sleep(2 * time.Second)
		for n := range 100 {
			if wait, ok := r.Take(ip(200+n), 1, 0.001, 1); !ok {
				t.Fatalf("all buckets were full: key %d is refused: wait %v", n, wait)
			}
		}
	})
}

// TestLargeTablesUseMostOfTheirRoom is for tables that are kept in parts.
func TestLargeTablesUseMostOfTheirRoom(t *testing.T) {
	const most = 16_384
	r := limit.NewRates("messages", most)
	n := 0
	for ; r.Full() == 0; n++ {
		r.Take(ip(n), 1, 1e-6, 1)
	}
	if n < most*85/100 {
		t.Errorf("key %d was refused, with room for %d", n, most)
	}
	for ; n < 2*most; n++ {
		r.Take(ip(n), 1, 1e-6, 1)
	}
	if r.Keys() > most || r.Keys() < most*99/100 {
		t.Errorf("%d buckets, want %d", r.Keys(), most)
	}
}

func TestAdmitExplains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("messages", 1)
		if err := r.Admit(ip(1), 5, 2.5, 5); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			err    error
			text   string
			code   string
			status int
			wait   time.Duration
			limit  int
		}{
			{r.Admit(ip(1), 5, 2.5, 5), "5 more messages of this address, limit 2.5 a second, wait 2 s", limit.TooManyRequests, 429, 2 * time.Second, 3},
			{r.AdmitDebtor(ip(1), 2.5, 1), "too many messages of this address, limit 2.5 a second, wait 2 s", limit.TooManyRequests, 429, 1600 * time.Millisecond, 3},
			{r.Admit(ip(2), 1, 2, 5), "1 addresses, users and tokens with messages, limit 1", limit.Overloaded, 503, time.Second, 1},
		} {
			var e *limit.Error
			if !errors.As(c.err, &e) {
				t.Errorf("%v, want a refusal: %s", c.err, c.text)
				continue
			}
			if e.Error() != c.text || e.Code != c.code || e.Status != c.status || e.RetryAfter != c.wait || e.Limit != c.limit {
				t.Errorf("%q (%s, %d, %v, limit %d), want %q (%s, %d, %v, limit %d)", e, e.Code, e.Status, e.RetryAfter, e.Limit, c.text, c.code, c.status, c.wait, c.limit)
			}
		}
		if r.Refused(limit.Address) != 2 || r.Full() != 1 {
			t.Errorf("%d and %d refusals counted", r.Refused(limit.Address), r.Full())
		}
	})
}

func TestRetrySecondsRoundUp(t *testing.T) {
	for wait, want := range map[time.Duration]int{0: 1, 1: 1, time.Second: 1, time.Second + 1: 2, time.Minute: 60} {
		if got := (&limit.Error{RetryAfter: wait}).RetrySeconds(); got != want {
			t.Errorf("%v is %d seconds, want %d", wait, got, want)
		}
	}
}

// TestConcurrentTakesKeepTheBurst has many take at one moment of virtual time.
func TestConcurrentTakesKeepTheBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := limit.NewRates("messages", 0)
		var taken atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 500 {
					if _, ok := r.Take(ip(1), 1, 1, 1000); ok {
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if taken.Load() != 1000 {
			t.Errorf("%d tokens of a burst of 1000 were taken", taken.Load())
		}
	})
}

func TestRatesDoNotAllocateForKnownKeys(t *testing.T) {
	r := limit.NewRates("messages", 0)
	m := r.Meter(ip(2), 1e6)
	if n := testing.AllocsPerRun(1000, func() {
		r.Take(ip(1), 1, 1000, 1e6) // far slower than this loop: a full bucket would be dropped
		r.Check(ip(2), 1e6, 1e6)
		_ = r.Admit(ip(1), 1, 1000, 1e6)
		m.Add(1000)
		_ = r.Meter(ip(2), 1e6)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
