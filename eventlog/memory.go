package eventlog

import (
	"crypto/rand"
	"encoding/base32"
	"slices"
	"sync"
	"sync/atomic"
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
// An entry counts towards [Options.TotalBytes] with its data, its strings and 384
// bytes for everything else, 64 more for each topic after the first and 192 more
// for a chosen ID. Encodings made with [Entry.Form] are not counted, nor is a
// topic itself, which takes about 400 bytes, and 300 more for each beginning of its
// name ("a" and "a/b" of "a/b/c") that no other topic has; limit those with
// [Options.MaxTopics].
type Memory struct {
	epoch   string
	options Options
	limits  limits
	head    atomic.Uint64 // written under mu

	mu     sync.Mutex // guards everything below
	closed bool
	last   int64 // time of the newest entry, in nanoseconds since 1970
	follow func(*Entry)

	valuesTold []*func([]Put) // who follows values

	order  order             // every kept entry
	chosen map[string]*order // every kept entry that has a chosen ID
	size   int64             // of the kept entries, as counted by entrySize
	bytes  int64             // data of the kept entries

	values    values
	receipts  receipts
	topics    map[string]*queue
	tree      node
	empty     queues // topics that keep nothing
	busy      queues // the others
	expiry    expiry
	forgotten uint64 // highest position lost by a topic that is no longer known

	// For an Index only.
	store    Store
	hot      fifo // entries that the store has and whose data is here, or that are gone
	hotSize  int64
	hotBytes int64                       // the most that hotSize may be
	weak     func(pattern string) uint64 // up to where topics may have lost messages, nobody knows which
	weakLost uint64                      // no topic more than this
}

// What an entry takes besides its data and strings, measured: the Entry, and its
// share of the order and of the topic's ring with their spare room.
const (
	entryOverhead = 384
	topicOverhead = 64
	idOverhead    = 192
)

// NewMemory returns an empty log. The error names the field of o that is wrong.
func NewMemory(o Options) (*Memory, error) {
	o, err := o.WithDefaults()
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
	m.values, m.receipts = values{}, receipts{}
}

// Epoch returns 8 random characters, chosen by NewMemory.
func (m *Memory) Epoch() string { return m.epoch }

// Head returns the position of the newest entry ever appended. It takes no lock,
// and is ahead of the follower: when that gets an entry, Head has its position.
func (m *Memory) Head() uint64 { return m.head.Load() }

// Topics returns how many topics the log knows, with those that keep nothing.
func (m *Memory) Topics() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.topics)
}

// entrySize is what an entry counts towards Options.TotalBytes.
func entrySize(e *Entry) int64 {
	n := entryOverhead + len(e.Data) + len(e.Type) + len(e.ID) + len(e.Key) + len(e.IdempotencyKey)
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
	m.closed, m.follow, m.valuesTold, m.forgotten = true, nil, nil, 0
	m.reset()
	return nil
}
