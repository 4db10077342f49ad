package limit_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/internal/limit"
)

func TestRefusalsNameValueAndLimit(t *testing.T) {
	for _, c := range []struct {
		name     string
		total    int
		wants    []limit.Want
		want     string
		code     string
		status   int
		refused  limit.Kind
		tableErr bool
	}{
		{"address", 9, []limit.Want{{ip(1), 2}, {limit.UserKey("ann"), 2}}, "2 streams of this address, limit 2", limit.TooManyStreams, 429, limit.Address, false},
		{"user", 9, []limit.Want{{ip(2), 2}, {limit.UserKey("ann"), 2}, {limit.TokenKey("t"), 2}}, "2 streams of this user, limit 2", limit.TooManyStreams, 429, limit.User, false},
		{"token", 9, []limit.Want{{ip(2), 2}, {limit.Key{}, 1}, {limit.TokenKey("t"), 1}}, "2 streams of this token, limit 1", limit.TooManyStreams, 429, limit.Token, false},
		{"everyone", 2, []limit.Want{{ip(2), 2}}, "2 streams, limit 2", limit.Overloaded, 503, limit.Everyone, false},
		{"keys", 9, []limit.Want{{ip(2), 2}, {ip(3), 2}}, "4 addresses, users and tokens with streams, limit 4", limit.Overloaded, 503, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := limit.NewSlots("streams", 4)
			for range 2 {
				take(t, s, 0, limit.Want{Key: ip(1)}, limit.Want{Key: limit.UserKey("ann")}, limit.Want{Key: limit.TokenKey("t")})
			}
			l, err := s.Take(c.total, c.wants...)
			var e *limit.Error
			if !errors.As(err, &e) || l != nil {
				t.Fatalf("Take returned %v, %v, want a refusal", l, err)
			}
			if e.Error() != c.want || e.Code != c.code || e.Status != c.status || e.RetrySeconds() < 1 {
				t.Errorf("%q (%s, %d, retry after %v), want %q (%s, %d)", e, e.Code, e.Status, e.RetryAfter, c.want, c.code, c.status)
			}
			for _, k := range limit.Kinds() {
				if n := s.Refused(k); (n == 1) != (k == c.refused && !c.tableErr) {
					t.Errorf("%d refusals of kind %v", n, k)
				}
			}
			if (s.Full() == 1) != c.tableErr {
				t.Errorf("%d refusals for want of room", s.Full())
			}
			if s.Open() != 2 || s.Keys() != 3 || s.OpenOf(ip(1)) != 2 || s.OpenOf(limit.UserKey("ann")) != 2 || s.OpenOf(ip(2)) != 0 {
				t.Errorf("a refused Take has left something behind: %d open, %d keys", s.Open(), s.Keys())
			}
		})
	}
}

func TestReleaseFreesTheSlotAtOnce(t *testing.T) {
	s := limit.NewSlots("streams", 1)
	for i := range 1000 { // somebody who reloads the page; then somebody else, with one account for all
		l, err := s.Take(1, limit.Want{Key: ip(i / 10), Limit: 1})
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		l.Release()
	}
	if s.Open() != 0 || s.Keys() != 0 {
		t.Errorf("%d open, %d keys, want none", s.Open(), s.Keys())
	}
}

func TestReleaseCountsOnce(t *testing.T) {
	s := limit.NewSlots("streams", 0)
	kept := take(t, s, 0, limit.Want{Key: ip(1)})
	for range 100 {
		l := take(t, s, 0, limit.Want{Key: ip(1)})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(l.Release)
		}
		wg.Wait()
	}
	if s.Open() != 1 || s.OpenOf(ip(1)) != 1 {
		t.Errorf("%d open, %d of the address, want 1", s.Open(), s.OpenOf(ip(1)))
	}
	kept.Release()
	(*limit.Lease)(nil).Release()
}

func TestZeroLimitsStillCount(t *testing.T) {
	s := limit.NewSlots("streams", 0)
	for range 100 {
		take(t, s, 0, limit.Want{Key: ip(1)}, limit.Want{})
	}
	if s.Open() != 100 || s.OpenOf(ip(1)) != 100 || s.Keys() != 1 {
		t.Errorf("%d open, %d of the address, %d keys, want 100, 100, 1", s.Open(), s.OpenOf(ip(1)), s.Keys())
	}
}

func TestFourKeysAreABug(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("Take with four keys did not panic")
		}
	}()
	_, _ = limit.NewSlots("streams", 0).Take(0, limit.Want{Key: ip(1)}, limit.Want{Key: ip(2)}, limit.Want{Key: ip(3)}, limit.Want{Key: ip(4)})
}

// TestSlotsAgreeWithAPlainMap takes and releases at random and compares each answer
// with what a map of counts says.
func TestSlotsAgreeWithAPlainMap(t *testing.T) {
	const most, total = 15, 25
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	s, counts, refused := limit.NewSlots("streams", most), make(map[limit.Key]int), 0
	type open struct {
		lease *limit.Lease
		keys  []limit.Key
	}
	var leases []open
	for step := range 20_000 {
		if len(leases) > 0 && rnd.IntN(100) < 30+step/500 {
			i := rnd.IntN(len(leases))
			leases[i].lease.Release()
			forget(counts, leases[i].keys)
			leases[i] = leases[len(leases)-1]
			leases = leases[:len(leases)-1]
			continue
		}
		wants := []limit.Want{{ip(rnd.IntN(8)), 6}, {limit.UserKey(string(rune('a' + rnd.IntN(5)))), 8}, {limit.TokenKey(string(rune('a' + rnd.IntN(5)))), 0}}[:1+rnd.IntN(3)]
		keys, ok := model(counts, wants, most)
		ok = ok && len(leases) < total
		l, err := s.Take(total, wants...)
		if (err == nil) != ok {
			t.Fatalf("seed %d, step %d: Take says %v, the map says %v", seed, step, err, ok)
		}
		if ok {
			leases = append(leases, open{l, keys})
		} else {
			refused++
			forget(counts, keys)
		}
		if s.Open() != len(leases) || s.Keys() != len(counts) || s.OpenOf(wants[0].Key) != counts[wants[0].Key] {
			t.Fatalf("seed %d, step %d: %d open, %d keys, want %d and %d", seed, step, s.Open(), s.Keys(), len(leases), len(counts))
		}
	}
	if s.Refused(limit.Address) == 0 || s.Refused(limit.User) == 0 || s.Refused(limit.Everyone) == 0 || s.Full() == 0 {
		t.Errorf("seed %d: %d refused, but not for all reasons: %d, %d, %d, %d", seed, refused,
			s.Refused(limit.Address), s.Refused(limit.User), s.Refused(limit.Everyone), s.Full())
	}
}

// model counts what is wanted and returns the keys that it has counted, which are
// all if it says yes.
func model(counts map[limit.Key]int, wants []limit.Want, most int) (counted []limit.Key, ok bool) {
	for _, w := range wants {
		if counts[w.Key] == 0 && len(counts) >= most || w.Limit > 0 && counts[w.Key] >= w.Limit {
			return counted, false
		}
		counts[w.Key]++
		counted = append(counted, w.Key)
	}
	return counted, true
}

func forget(counts map[limit.Key]int, keys []limit.Key) {
	for _, k := range keys {
		if counts[k]--; counts[k] == 0 {
			delete(counts, k)
		}
	}
}

func TestLimitsHoldUnderConcurrentTakes(t *testing.T) {
	const total, perAddress, addresses = 20, 6, 4
	s := limit.NewSlots("streams", 0)
	var open, granted atomic.Int64
	var byAddress [addresses]atomic.Int64
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 2000 {
				n := (g + i) % addresses
				l, err := s.Take(total, limit.Want{Key: ip(n), Limit: perAddress}, limit.Want{Key: limit.UserKey("all")})
				if err != nil {
					continue
				}
				granted.Add(1)
				if a, b := open.Add(1), byAddress[n].Add(1); a > total || b > perAddress {
					t.Errorf("%d open, limit %d; %d of one address, limit %d", a, total, b, perAddress)
				}
				runtime.Gosched()
				byAddress[n].Add(-1)
				open.Add(-1)
				l.Release()
			}
		})
	}
	wg.Wait()
	if s.Open() != 0 || s.Keys() != 0 || granted.Load() == 0 {
		t.Errorf("%d open, %d keys in the end, %d granted", s.Open(), s.Keys(), granted.Load())
	}
}

func TestTheTotalHoldsUnderConcurrentTakes(t *testing.T) {
	s := limit.NewSlots("streams", 0)
	var open atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50_000 {
				l, err := s.Take(1)
				if err != nil {
					continue
				}
				if n := open.Add(1); n > 1 {
					t.Errorf("%d open, limit 1", n)
				}
				open.Add(-1)
				l.Release()
			}
		})
	}
	wg.Wait()
}

// TestAStreamTakes48Bytes is for a client that has a stream already.
func TestAStreamTakes48Bytes(t *testing.T) {
	s := limit.NewSlots("streams", 0)
	want := limit.Want{Key: ip(1), Limit: 1 << 20}
	leases := make([]*limit.Lease, 10_000)
	take(t, s, 0, want)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range leases {
		leases[i], _ = s.Take(1<<20, want)
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / uint64(len(leases)); n > 48 {
		t.Errorf("a lease takes %d bytes, want at most 48", n)
	}
	if n := (after.Mallocs - before.Mallocs) / uint64(len(leases)); n > 1 {
		t.Errorf("a lease takes %d allocations, want 1", n)
	}
}

// ip returns the key of the nth IPv4 address.
func ip(n int) limit.Key {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return limit.AddressKey(netip.AddrFrom4(b), 0)
}

// take is Take that must not fail; the lease is released with the test.
func take(t *testing.T, s *limit.Slots, total int, wants ...limit.Want) *limit.Lease {
	t.Helper()
	l, err := s.Take(total, wants...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	return l
}
