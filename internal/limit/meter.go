package limit

import (
	"math"
	"sync/atomic"
	"time"
)

// A Meter is the bucket of a key, for those who can say only afterwards how much they
// have used, such as event loops that write. A nil Meter measures nothing.
//
// When its Rates drops it, because it is full, the next Add puts it back. So it need
// not be given back, and those who hold one do not keep others from an account.
type Meter struct {
	rates *Rates
	key   Key

	rate atomic.Uint64 // of Add, tokens a second: the bits of a float64

	// When the bucket is full, from 1 on, which says how full it is now. Negative: not
	// in the table. As this is one number, nobody charges without knowing which. The
	// sign changes with the shard locked.
	fullAt atomic.Int64
}

// newMeter returns a full bucket that is not in the table.
func newMeter(r *Rates, k Key) *Meter {
	m := &Meter{rates: r, key: k}
	m.fullAt.Store(-1)
	return m
}

// Meter returns the meter of k, which charges at that rate; it is the same for all
// who ask, and has the rate of the last of them. It is nil for the zero Key or a rate
// of 0. If there is no room for a new key, the meter charges as soon as there is.
func (r *Rates) Meter(k Key, rate float64) *Meter {
	if k == (Key{}) || !(rate > 0) {
		return nil
	}
	now := r.now()
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := sh.byKey[k]
	if m == nil {
		m = newMeter(r, k)
		if r.room(sh, now) {
			r.insert(sh, m)
		}
	}
	m.rate.Store(math.Float64bits(rate))
	return m
}

// Add charges n tokens that have been used, into debt if need be. n is 0 or more.
//
// Hot path: no lock unless the bucket was full and dropped, no allocation.
func (m *Meter) Add(n int64) {
	if m == nil || n <= 0 {
		return
	}
	now := m.rates.now()
	c := cost(n, math.Float64frombits(m.rate.Load()))
	if inTable := m.charge(c, now); !inTable {
		m.restore(c, now)
	}
}

// charge moves the time at which the bucket is full. Others may charge at once.
func (m *Meter) charge(cost, now int64) (inTable bool) {
	for {
		old := m.fullAt.Load()
		next := min(max(old, -old, now)+cost, now+longest)
		if old < 0 {
			next = -next
		}
		if m.fullAt.CompareAndSwap(old, next) {
			return old > 0
		}
	}
}

// wait is how long it takes until n tokens can be taken, 0 if they can be now.
func (m *Meter) wait(n int, rate float64, burst int, now int64) time.Duration {
	burst = max(burst, 1)
	left := cost(burst-min(n, burst), rate) // what may be missing in the bucket
	if d := m.fullAt.Load() - now - left; d > grain {
		return time.Duration(d)
	}
	return 0
}

// enter marks a bucket as being in the table. The caller holds the shard.
func (m *Meter) enter() {
	for {
		old := m.fullAt.Load()
		if m.fullAt.CompareAndSwap(old, -old) {
			return
		}
	}
}

// leave marks a bucket as not being in the table, if it is full. The caller holds
// the shard.
func (m *Meter) leave(now int64) bool {
	old := m.fullAt.Load()
	return old <= now && m.fullAt.CompareAndSwap(old, -old) // else it has just been charged
}

// restore puts a meter back into the table after a charge, or charges the one that
// is there in its place. Without room it tries again at the next charge.
func (m *Meter) restore(cost, now int64) {
	r := m.rates
	sh := r.shard(m.key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	switch other := sh.byKey[m.key]; {
	case other == nil && r.room(sh, now):
		r.insert(sh, m)
	case other != nil && other != m:
		other.charge(cost, now)
	}
}
