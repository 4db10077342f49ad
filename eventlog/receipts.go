package eventlog

import "time"

// receipts remembers the idempotency keys of the newest entries, and what became
// of them.
type receipts struct {
	byKey  map[string]receipt
	oldest []string // keys in the order in which they came in; from first on
	first  int
}

// A receipt says where an entry with an idempotency key is.
type receipt struct {
	seq uint64
	at  int64 // the entry's time, in nanoseconds since 1970
}

// add notes the entry of a key, which is new, and forgets the oldest if there are
// more than limit.
func (r *receipts) add(key string, seq uint64, at int64, limit int) {
	if r.byKey == nil {
		r.byKey = make(map[string]receipt)
	}
	r.byKey[key] = receipt{seq, at}
	r.oldest = append(r.oldest, key)
	for len(r.byKey) > limit {
		r.drop()
	}
}

// expire forgets the keys of entries from before t.
func (r *receipts) expire(t int64) {
	for r.first < len(r.oldest) && r.byKey[r.oldest[r.first]].at < t {
		r.drop()
	}
}

func (r *receipts) drop() {
	delete(r.byKey, r.oldest[r.first])
	r.oldest[r.first] = ""
	if r.first++; r.first == len(r.oldest) {
		*r = receipts{}
	} else if r.first > 1024 && r.first > len(r.oldest)/2 {
		r.oldest = append([]string(nil), r.oldest[r.first:]...)
		r.first = 0
	}
}

// known fills in the place of an entry whose key has been used, and reports
// whether it has.
func (m *Memory) known(e *Entry) bool {
	if e.IdempotencyKey == "" {
		return false
	}
	old, ok := m.receipts.byKey[e.IdempotencyKey]
	if ok {
		e.Seq, e.Time, e.Duplicate = old.seq, time.Unix(0, old.at).UTC(), true
	}
	return ok
}
