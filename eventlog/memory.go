package eventlog

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/topic"
)

// Memory is a [Log] that keeps its entries in memory, and forgets them with the
// process. Make one with [NewMemory].
//
// It remembers exactly what each topic has lost. Page.Lost is too high only where
// [Page] says so, and for a pattern with "*" before its last segment if more than
// 4,096 topics have to be looked at.
//
// It starts no goroutine. Entries that have expired are dropped by the next call
// of Append, Read and most other methods; a log that nobody uses keeps them
// until then, or until [Memory.Sweep] is called.
//
// An entry counts towards [Options.TotalBytes] with its data, its strings and 320
// bytes for everything else, 64 more for each topic after the first and 192 more
// for a chosen ID. Encodings made with [Entry.Form] are not counted, nor is a
// topic itself, which takes about 450 bytes and the length of its name; limit
// those with [Options.MaxTopics].
type Memory struct {
	epoch   string
	options Options
	limits  limits
	head    atomic.Uint64 // written under mu

	mu     sync.Mutex // guards everything below
	closed bool
	last   int64 // time of the newest entry, in nanoseconds since 1970
	follow func(*Entry)

	order  order             // every kept entry
	chosen map[string]*order // every kept entry that has a chosen ID
	size   int64             // of the kept entries, as counted by entrySize
	bytes  int64             // data of the kept entries

	topics    map[string]*queue
	tree      node
	empty     queues // topics that keep nothing
	busy      queues // the others
	expiry    expiry
	forgotten uint64 // highest position lost by a topic that is no longer known
}

// What an entry takes besides its data and strings, measured: the Entry, and its
// share of the order and of the topic's ring with their spare room.
const (
	entryOverhead = 320
	topicOverhead = 64
	idOverhead    = 192
)

// NewMemory returns an empty log. The error names the field of o that is wrong.
func NewMemory(o Options) (*Memory, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Rules = slices.Clone(o.Rules)
	m := &Memory{epoch: newEpoch(), options: o, limits: limits{mergeLimit, scanLimit, sweepLimit}}
	m.reset()
	return m, nil
}

func newEpoch() string {
	var random [5]byte
	rand.Read(random[:]) // never fails
	return base32.NewEncoding(epochAlphabet).EncodeToString(random[:])
}

// reset drops all entries and topics.
func (m *Memory) reset() {
	m.order, m.chosen = order{}, make(map[string]*order)
	m.size, m.bytes = 0, 0
	m.topics, m.tree = make(map[string]*queue), node{}
	m.empty, m.busy, m.expiry = queues{}, queues{}, nil
}

// Epoch returns 8 random characters, chosen by NewMemory.
func (m *Memory) Epoch() string { return m.epoch }

// Head returns the position of the newest entry ever appended. It takes no lock,
// and is ahead of the follower: when that gets an entry, Head has its position.
func (m *Memory) Head() uint64 { return m.head.Load() }

// Append stores the entries. It does not wait for anything but the lock.
//
// Hot path: the cost of an entry depends on its own topics and on how much it
// pushes out, not on how many topics there are.
func (m *Memory) Append(ctx context.Context, es ...*Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, e := range es {
		if err := prepare(e); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	now := time.Now().UnixNano()
	m.sweep(now)
	m.last = max(m.last, now)
	for _, e := range es {
		m.insert(e)
	}
	if m.follow != nil {
		for _, e := range es {
			m.follow(e)
		}
	}
	return nil
}

// prepare checks e and removes topics that it names again.
func prepare(e *Entry) error {
	if n := len(e.Topics); n == 0 {
		return fmt.Errorf("%w: entry has no topic", ErrTopic)
	} else if n > MaxEntryTopics {
		return fmt.Errorf("%w: entry has %d topics, limit %d", ErrTopic, n, MaxEntryTopics)
	}
	for _, name := range e.Topics {
		if err := topic.Check(name); err != nil {
			return fmt.Errorf("%w: %v", ErrTopic, err)
		}
	}
	if _, _, ok := ParseID(e.ID); ok {
		return fmt.Errorf("%w: %q has the form of a position", ErrID, e.ID)
	}
	for i := 1; i < len(e.Topics); i++ {
		if slices.Contains(e.Topics[:i], e.Topics[i]) {
			e.Topics = distinct(e.Topics)
			break
		}
	}
	return nil
}

// distinct returns a new slice: the old one may be the publisher's.
func distinct(names []string) []string {
	var d []string
	for _, name := range names {
		if !slices.Contains(d, name) {
			d = append(d, name)
		}
	}
	return d
}

// insert gives e its place and trims what has become too much.
func (m *Memory) insert(e *Entry) {
	e.Seq = m.head.Load() + 1
	e.Time = time.Unix(0, m.last).UTC()
	// All topics count as holders from the start: one may be trimmed, even
	// dropped, while e is put into the next.
	e.holders = int32(len(e.Topics))
	s := slot{seq: e.Seq, at: m.last, e: e}
	if len(e.Topics) == 1 {
		s.q = m.topic(e.Topics[0])
		e.Topics = s.q.self[:]
	}
	m.order.push(s)
	if e.ID != "" {
		m.index(s)
	}
	m.size += entrySize(e)
	m.bytes += int64(len(e.Data))
	for _, name := range e.Topics {
		m.put(e, m.topic(name))
	}
	m.shrink()
	m.head.Store(e.Seq)
}

// put adds e to one of its topics.
func (m *Memory) put(e *Entry, q *queue) {
	q.put(e)
	q.leave()
	m.busy.push(q)
	for q.over() {
		m.trim(q)
	}
	if q.kept.n > 0 {
		m.expiry.watch(q)
	}
}

// topic returns the queue of a topic, which it makes if need be.
func (m *Memory) topic(name string) *queue {
	if q := m.topics[name]; q != nil {
		return q
	}
	for len(m.topics) >= m.options.MaxTopics {
		m.dropIdle()
	}
	q := &queue{self: [1]string{name}, keep: m.options.retention(name), heapAt: -1, gone: m.forgotten}
	m.topics[name] = q
	q.node = m.tree.insert(name)
	q.node.q = q
	m.empty.push(q)
	return q
}

// index notes the chosen ID of an entry.
func (m *Memory) index(s slot) {
	o := m.chosen[s.e.ID]
	if o == nil {
		o = new(order)
		m.chosen[s.e.ID] = o
	}
	o.push(s)
}

// entrySize is what an entry counts towards Options.TotalBytes.
func entrySize(e *Entry) int64 {
	n := entryOverhead + len(e.Data) + len(e.Type) + len(e.ID) + len(e.Key)
	if e.ID != "" {
		n += idOverhead
	}
	if len(e.Topics) > 1 {
		for _, name := range e.Topics {
			n += len(name)
		}
		n += (len(e.Topics) - 1) * topicOverhead
	}
	return int64(n)
}

// Follow registers the follower.
func (m *Memory) Follow(fn func(e *Entry)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.follow = fn
}

// Close drops all entries.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed, m.follow, m.forgotten = true, nil, 0
	m.reset()
	return nil
}
