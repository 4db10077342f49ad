package eventlog

import (
	"context"
	"time"
)

// A Store keeps entries outside memory, for an [Index].
type Store interface {
	// Load returns the entries at these positions, which rise; nil for those that it
	// no longer has. Any number of goroutines may call it at once.
	Load(ctx context.Context, seqs []uint64) ([]*Entry, error)

	// Trimmed tells that no topic keeps the entry at seq any more: the store may
	// delete it. If lost is false a newer state has taken its place. It is called
	// with the index locked, and must not block nor call it.
	Trimmed(seq uint64, lost bool)

	// Dropped tells that the index knows nothing of a topic any more. It is called
	// like Trimmed.
	Dropped(topic string)
}

// An Index is the part of a [Memory] that a log on disk needs: it knows where each
// entry is, what each topic keeps and what it has lost, and keeps the data of the
// newest entries only. An entry whose data is elsewhere takes about 100 bytes, 140
// more if it has several topics or is state, and 220 more if it has a chosen ID.
//
// The log that has an Index gives positions and times to entries, stores them, and
// then hands them over with Insert, from one goroutine. It must not call Append, Commit
// or CommitIf of the Memory.
type Index struct {
	*Memory
}

// NewIndex returns an empty index for entries that a store has. Of their data no
// more than hotBytes stay in memory, counted as for [Options.TotalBytes].
func NewIndex(o Options, epoch string, s Store, hotBytes int64) (*Index, error) {
	m, err := NewMemory(o)
	if err != nil {
		return nil, err
	}
	m.epoch, m.store, m.hotBytes = epoch, s, hotBytes
	return &Index{m}, nil
}

// Prepare checks entries as [Log.Append] says and removes topics named twice.
func Prepare(es ...*Entry) error {
	for _, e := range es {
		if err := prepare(e); err != nil {
			return err
		}
	}
	return nil
}

// Restore puts an entry that the store has back into its place, at start. Entries
// come in order. One without its data, of which there are size bytes, stays in the
// store.
func (x *Index) Restore(e *Entry, size int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.insertAt(e, size)
	x.stored(e.Seq, len(e.Data) == size)
}

// RestoreKey remembers the idempotency key of an entry. Keys come in order.
func (x *Index) RestoreKey(key string, seq uint64, at time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.receipts.add(key, seq, at.UnixNano(), x.options.MaxKeys)
}

// RestoreTopic tells that a topic had given up all entries up to floor but the state of
// keys, had lost some up to gone, and was told to forget everything up to forgot.
func (x *Index) RestoreTopic(name string, gone, floor, forgot uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	q := x.topic(name)
	for q.len() > 0 && q.at(0).seq <= forgot {
		x.drop(q)
	}
	for q.kept.n > 0 && q.kept.at(0).seq <= floor {
		x.trim(q)
	}
	q.newest = max(q.newest, floor)
	q.lose(gone)
}

// RestoreHead makes head the position of the newest entry ever. Topics that are not
// known may have lost messages up to forgotten.
func (x *Index) RestoreHead(head, forgotten uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.head.Store(max(head, x.Head()))
	x.forgotten = max(forgotten, x.forgotten)
}

// RestoreValues sets values.
func (x *Index) RestoreValues(puts []Put) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.values.apply(puts)
}

// RestoreLoss tells that topics which match a pattern may have lost messages up to
// the position that lost returns, without anybody knowing which; none beyond most.
// lost may return too much for patterns, but not for topics. This comes after all
// else that is restored.
func (x *Index) RestoreLoss(most uint64, lost func(pattern string) uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.weakLost, x.weak = most, lost
	for name, q := range x.topics {
		q.lose(lost(name))
	}
}

// Forgotten is the position up to which topics that are not known may have lost
// messages.
func (x *Index) Forgotten() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.forgotten
}

// ForgetUpTo drops the entries kept of one topic up to a position, and reports how
// many.
func (x *Index) ForgetUpTo(topic string, seq uint64) int { return x.forgetUpTo(topic, seq) }

// Place gives an entry the position seq and the time now, and reports true; unless its
// idempotency key has been used, which makes it a Duplicate of the first. batch has the
// entries, by key, that were placed and not inserted yet.
func (x *Index) Place(e *Entry, seq uint64, now time.Time, batch map[string]*Entry) bool {
	e.Duplicate = false
	if first := batch[e.IdempotencyKey]; first != nil {
		e.Seq, e.Time, e.Duplicate = first.Seq, first.Time, true
		return false
	}
	if e.IdempotencyKey != "" {
		if x.duplicate(e, now) {
			return false
		}
		batch[e.IdempotencyKey] = e
	}
	e.Seq, e.Time = seq, now.UTC()
	return true
}

// duplicate fills in the place of an entry whose key has been used, and reports whether
// it has.
func (x *Index) duplicate(e *Entry, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.receipts.expire(now.UnixNano() - int64(x.options.KeyWindow))
	return x.known(e)
}

// Insert adds entries that have positions and times, and calls the follower. The
// store has those for which stored is true; the others stay in memory until
// [Index.Stored].
func (x *Index) Insert(puts []Put, stored func(*Entry) bool, es ...*Entry) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	x.setValues(puts)
	x.sweep(time.Now().UnixNano())
	for _, e := range es {
		if e.Duplicate {
			continue
		}
		x.insertAt(e, len(e.Data))
		x.remember(e)
		if stored(e) {
			x.stored(e.Seq, true)
		}
	}
	x.tell(es)
	return nil
}

func (m *Memory) insertAt(e *Entry, size int) {
	m.last = max(m.last, e.Time.UnixNano())
	m.place(e, size)
	m.head.Store(e.Seq)
}

// Stored tells that the store now has entries which Insert was told it had not.
func (x *Index) Stored(es []*Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range es {
		x.stored(e.Seq, true)
	}
}

// stored notes that the store has an entry, and whether its data is in memory too.
func (m *Memory) stored(seq uint64, hot bool) {
	s := m.order.find(seq)
	if s == nil { // no topic keeps it: not from the start, or not any more
		m.store.Trimmed(seq, true)
		return
	}
	s.r.stored = true
	if hot {
		m.heat(s.r)
	} else {
		s.r.entry = nil
	}
}

// ReadNow is Read for callers that must not wait: it never calls the store. ok is
// false if that would be needed.
func (m *Memory) ReadNow(sel *Selector, after, upTo uint64, lim Limit) (p Page, ok bool, err error) {
	g := pager{lim: lim.orDefault()}
	err = m.fill(&g, sel, after, upTo)
	return g.Page, len(g.cold) == 0, err
}

// thaw loads what p lacks. done is false if an entry has been deleted meanwhile, so
// that p must be filled anew.
func (m *Memory) thaw(ctx context.Context, p *pager) (done bool, err error) {
	if len(p.cold) == 0 {
		return true, nil
	}
	loaded, err := m.store.Load(ctx, p.cold)
	if err != nil {
		return false, err
	}
	for i, e := range p.Entries {
		if e != nil {
			continue
		}
		if p.Entries[i], loaded = loaded[0], loaded[1:]; p.Entries[i] == nil {
			return false, nil
		}
	}
	return true, nil
}

// heat notes that the data of r, which the store has, is in memory, and lets go of
// the data that has been there for longest if it is too much.
func (m *Memory) heat(r *record) {
	m.hot.push(r)
	m.hotSize += int64(r.charge)
	for m.hotSize > m.hotBytes {
		m.cool(m.hot.pop())
	}
}

// cool lets go of the data of r, if it has not been buried.
func (m *Memory) cool(r *record) {
	m.hotSize -= int64(r.charge)
	r.entry = nil
}

// release lets go of everything that r, which no topic keeps, holds on to.
func (m *Memory) release(r *record, lost bool) {
	if m.store == nil {
		return
	}
	if r.stored {
		m.store.Trimmed(r.seq, lost)
		r.entry = nil
	}
	for m.hot.n > 0 && m.hot.at(0).holders == 0 {
		m.cool(m.hot.pop())
	}
}

// unknown is up to where topics that match a pattern, and are not known, may have
// lost messages.
func (m *Memory) unknown(pattern string) uint64 {
	if m.weakLost <= m.forgotten {
		return m.forgotten
	}
	return max(m.forgotten, m.weak(pattern))
}
