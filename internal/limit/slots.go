package limit

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
)

const (
	slotShards = 64
	// maxWants is how many keys one lease counts for: an address, a user, a token.
	maxWants = 3
	// defaultMaxKeys is how many keys have accounts, unless somebody says otherwise.
	defaultMaxKeys = 65_536
)

// Slots counts what is open, such as streams: by key, and all together.
//
// It is bounded: when the most keys have something open, a key that has nothing
// open is refused. A key is forgotten at once when nothing of it is open.
type Slots struct {
	refusals
	what string
	most int
	seed maphash.Seed

	elsewhere func(Key) int // nil: everything is here
	changed   func(Key)     // nil if elsewhere is

	open   atomic.Int64 // leases
	keys   atomic.Int64
	shards [slotShards]slotShard
}

type slotShard struct {
	mu    sync.Mutex
	byKey map[Key]*holder
}

// A holder is a key with something open. All its leases share it.
type holder struct {
	key   Key
	shard uint8
	told  bool  // guarded by the shard: there is a limit, so it matters elsewhere
	open  int32 // guarded by the shard
}

// NewSlots counts what is called that in errors, in the plural, such as "streams". At
// most maxKeys keys have some open, 1 to 10,000,000; 0 is 65,536. A key takes about
// 100 bytes.
func NewSlots(what string, maxKeys int) *Slots {
	if maxKeys <= 0 {
		maxKeys = defaultMaxKeys
	}
	s := &Slots{what: what, most: maxKeys, seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].byKey = make(map[Key]*holder)
	}
	return s
}

// A Want is a wish for one slot of a key that has Limit of them; 0 is no limit.
type Want struct {
	Key   Key
	Limit int
}

// A Lease is the slots of one stream, 48 bytes.
type Lease struct {
	slots    *Slots
	held     [maxWants]*holder
	released atomic.Bool
}

// Take takes a slot of each key, up to three, and one of the total that all leases
// share; 0 is no limit. A zero Key is passed over. It takes all or none: the error
// is an [*Error] for the first key that has none left, or for the total.
//
// Slots are taken in the order of the arguments, the total last. So what a call
// holds until it is refused is missing only to calls with the same keys.
//
// It allocates the lease, and an account for a key that has nothing open. It panics
// if there are more than three keys.
func (s *Slots) Take(total int, wants ...Want) (*Lease, error) {
	var held [maxWants]*holder
	for i, w := range wants {
		if w.Key == (Key{}) {
			continue
		}
		h, refusal := s.hold(w)
		if refusal != nil {
			s.free(held)
			return nil, refusal
		}
		held[i] = h
	}
	if !addBelow(&s.open, total) {
		s.free(held)
		s.byKind[Everyone].Add(1)
		return nil, overloaded(s.what, total, total, retrySlot)
	}
	return &Lease{slots: s, held: held}, nil
}

// Release frees the slots at once. Only the first call does; more are allowed, also
// at the same time. A nil Lease has none.
func (l *Lease) Release() {
	if l == nil || !l.released.CompareAndSwap(false, true) {
		return
	}
	l.slots.open.Add(-1)
	l.slots.free(l.held)
}

// hold takes one slot of a key.
func (s *Slots) hold(w Want) (*holder, *Error) {
	i := w.Key.hash(s.seed) % slotShards
	sh := &s.shards[i]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	h := sh.byKey[w.Key]
	if h == nil {
		if !addBelow(&s.keys, s.most) {
			s.full.Add(1)
			return nil, overloaded("addresses, users and tokens with "+s.what, s.most, s.most, retryFull)
		}
		h = &holder{key: w.Key, shard: uint8(i)}
		sh.byKey[w.Key] = h
	}
	if open := int(h.open) + s.others(w); w.Limit > 0 && open >= w.Limit {
		s.byKind[w.Key.kind].Add(1)
		if h.open == 0 {
			s.drop(sh, h)
		}
		return nil, s.tooMany(w, open)
	}
	h.open++
	h.told = h.told || w.Limit > 0
	s.tell(h)
	return h, nil
}

func (s *Slots) tooMany(w Want, open int) *Error {
	return &Error{
		What:       s.what + w.Key.whose(),
		Value:      open,
		Limit:      w.Limit,
		Code:       TooManyStreams,
		RetryAfter: retrySlot,
		Status:     http.StatusTooManyRequests,
	}
}

func (s *Slots) free(held [maxWants]*holder) {
	for _, h := range held {
		if h != nil {
			s.leave(h)
		}
	}
}

func (s *Slots) leave(h *holder) {
	sh := &s.shards[h.shard]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if h.open--; h.open == 0 {
		s.drop(sh, h)
	}
	s.tell(h)
}

// drop forgets a holder that has nothing open. sh is locked.
func (s *Slots) drop(sh *slotShard, h *holder) {
	delete(sh.byKey, h.key)
	s.keys.Add(-1)
}

// Open returns the number of leases that have not been released.
func (s *Slots) Open() int { return int(s.open.Load()) }

// Keys returns the number of keys that have something open.
func (s *Slots) Keys() int { return int(s.keys.Load()) }

// OpenOf returns how many a key has open.
func (s *Slots) OpenOf(k Key) int {
	sh := &s.shards[k.hash(s.seed)%slotShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if h := sh.byKey[k]; h != nil {
		return int(h.open)
	}
	return 0
}

// addBelow adds 1 unless that makes more than limit; 0 is no limit.
func addBelow(n *atomic.Int64, limit int) bool {
	for {
		old := n.Load()
		if limit > 0 && old >= int64(limit) {
			return false
		}
		if n.CompareAndSwap(old, old+1) {
			return true
		}
	}
}
