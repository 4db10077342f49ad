package limit

import (
	"hash/maphash"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxRateShards = 64
	// keysPerShard is so many that chance fills all shards about equally.
	keysPerShard = 1024
	// looks is how many buckets a call looks at to see whether they can be dropped:
	// more than the one that it may add.
	looks = 2
	// looksWhenFull is the same for a call that needs room for a new one.
	looksWhenFull = 32
	// grain is a wait that is none. Durations are rounded to nanoseconds, which must
	// not cost the last of a burst.
	grain = int64(time.Microsecond)
	// longest is as far as a bucket can be from full. It only prevents overflow.
	longest = int64(100 * 365 * 24 * time.Hour)
)

// Rates bounds how fast keys use something, such as messages published, with a token
// bucket for each: it holds burst tokens and gets rate tokens a second.
//
// It is bounded. Each call looks at a few buckets and drops those that are full,
// which says no more than no bucket does. When there are too many, a new key gets
// the place of a full one among 32; if there is none, it is refused for a second.
type Rates struct {
	refusals
	what  string
	most  int // buckets in a shard
	seed  maphash.Seed
	start time.Time

	keys   atomic.Int64
	shards []rateShard
}

type rateShard struct {
	mu    sync.Mutex
	byKey map[Key]*Meter
	all   []*Meter // the same, in the order in which they are looked at
	hand  int      // the next to be looked at
}

// NewRates bounds what is called that in errors, in the plural, such as "messages". It
// keeps account of at most maxKeys keys, 1 to 10,000,000; 0 is 65,536. With many,
// which are kept in parts, a part may be full at nine tenths of that. A key takes
// about 150 bytes.
func NewRates(what string, maxKeys int) *Rates {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	n := min(max(maxKeys/keysPerShard, 1), maxRateShards)
	r := &Rates{
		what:   what,
		most:   (maxKeys + n - 1) / n,
		seed:   maphash.MakeSeed(),
		start:  time.Now(),
		shards: make([]rateShard, n),
	}
	for i := range r.shards {
		r.shards[i].byKey = make(map[Key]*Meter)
	}
	return r
}

// Take takes n tokens from the bucket of k, or none and returns how long it takes
// until there are enough. A rate of 0 is no limit; burst is at least 1.
//
// More than burst may be taken at once when the bucket is full. The rest is debt: so
// a batch of a thousand passes a rate of ten a second, and then nothing for 100
// seconds less what the burst is worth.
//
// If there is no room for a new key, the wait is a second. Up to a rate of a million
// a second it is exact to 0.1 %. It does not allocate for a key that has a bucket.
func (r *Rates) Take(k Key, n int, rate float64, burst int) (wait time.Duration, ok bool) {
	wait, ok, full := r.take(k, n, rate, burst)
	r.count(k, ok, full)
	return wait, ok
}

// Admit is Take with an [*Error] for a refusal.
func (r *Rates) Admit(k Key, n int, rate float64, burst int) error {
	wait, ok, full := r.take(k, n, rate, burst)
	r.count(k, ok, full)
	switch {
	case ok:
		return nil
	case full:
		most := r.most * len(r.shards)
		return overloaded("addresses, users and tokens with "+r.what, most, most, wait)
	}
	return r.tooFast(k, n, rate, wait)
}

// Check reports whether k may go on, although it may have used more than there was
// according to its [Meter]. If its bucket is in debt, it returns how long that takes
// to pay back. It takes nothing.
func (r *Rates) Check(k Key, rate float64, burst int) (wait time.Duration, ok bool) {
	wait, ok = r.check(k, rate, burst)
	r.count(k, ok, false)
	return wait, ok
}

// AdmitDebtor is Check with an [*Error] for a refusal.
func (r *Rates) AdmitDebtor(k Key, rate float64, burst int) error {
	if wait, ok := r.Check(k, rate, burst); !ok {
		return r.tooFast(k, 0, rate, wait)
	}
	return nil
}

// Keys returns the number of buckets, among them full ones that nobody has come by
// to drop.
func (r *Rates) Keys() int { return int(r.keys.Load()) }

func (r *Rates) take(k Key, n int, rate float64, burst int) (wait time.Duration, ok, full bool) {
	if k == (Key{}) || n <= 0 || !(rate > 0) {
		return 0, true, false
	}
	now := r.now()
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := sh.byKey[k]
	if m == nil {
		if !r.room(sh, now) {
			return retryFull, false, true
		}
		m = newMeter(r, k)
		r.insert(sh, m)
	}
	if wait = m.wait(n, rate, burst, now); wait == 0 {
		m.charge(cost(n, rate), now)
	}
	r.sweep(sh, now, looks)
	return wait, wait == 0, false
}

func (r *Rates) check(k Key, rate float64, burst int) (wait time.Duration, ok bool) {
	if k == (Key{}) || !(rate > 0) {
		return 0, true
	}
	now := r.now()
	sh := r.shard(k)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if m := sh.byKey[k]; m != nil {
		wait = m.wait(0, rate, burst, now)
	}
	r.sweep(sh, now, looks)
	return wait, wait == 0
}

func (r *Rates) count(k Key, ok, full bool) {
	switch {
	case full:
		r.full.Add(1)
	case !ok:
		r.byKind[k.kind].Add(1)
	}
}

func (r *Rates) tooFast(k Key, n int, rate float64, wait time.Duration) *Error {
	return &Error{
		What:       r.what + k.whose(),
		Value:      n,
		Limit:      int(math.Ceil(rate)),
		Code:       TooManyRequests,
		RetryAfter: wait,
		Status:     http.StatusTooManyRequests,
		rate:       rate,
	}
}

// now is the time in nanoseconds, from 1 on.
func (r *Rates) now() int64 { return int64(time.Since(r.start)) + 1 }

func (r *Rates) shard(k Key) *rateShard {
	return &r.shards[k.hash(r.seed)%uint64(len(r.shards))]
}

// room reports whether a shard has room for one more, and makes it if it can.
func (r *Rates) room(sh *rateShard, now int64) bool {
	if len(sh.all) >= r.most {
		r.sweep(sh, now, looksWhenFull)
	}
	return len(sh.all) < r.most
}

func (r *Rates) insert(sh *rateShard, m *Meter) {
	sh.byKey[m.key] = m
	sh.all = append(sh.all, m)
	r.keys.Add(1)
	m.enter()
}

// sweep looks at the next buckets of a shard and drops those that are full.
func (r *Rates) sweep(sh *rateShard, now int64, looks int) {
	for range min(looks, len(sh.all)) {
		if sh.hand >= len(sh.all) {
			sh.hand = 0
		}
		m := sh.all[sh.hand]
		if !m.leave(now) {
			sh.hand++
			continue
		}
		last := len(sh.all) - 1
		sh.all[sh.hand], sh.all[last] = sh.all[last], nil
		sh.all = sh.all[:last]
		delete(sh.byKey, m.key)
		r.keys.Add(-1)
	}
}

// cost is how long it takes to get n tokens, in nanoseconds. It is rounded down, so
// that parts do not cost more than the whole.
func cost[N int | int64](n N, rate float64) int64 {
	return int64(min(float64(n)/rate*float64(time.Second), float64(longest)))
}
