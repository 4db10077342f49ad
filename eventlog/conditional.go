package eventlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// ErrChanged means that a value is not what a [Change] expects. Nothing was stored.
var ErrChanged = errors.New("eventlog: a value has changed")

// A Conditional is a [Log] for those who decide from its values what to store: others,
// even other processes, may change them between the decision and the commit. All logs of
// this module are.
type Conditional interface {
	Log

	// CommitIf stores c, all of it or nothing, if the values that c expects are as it
	// says at the place in the log where c is stored; otherwise it fails with
	// ErrChanged. It is like Commit in everything else.
	CommitIf(ctx context.Context, c Change) error

	// FollowValues registers fn to be called with all that changes values from now on,
	// in order, when Value gives what was put and before the commit returns, until stop
	// is called or the log is closed. fn is called with the log locked: it must not block
	// nor call the log, nor change puts. A log may have several such functions.
	FollowValues(fn func(puts []Put)) (stop func())
}

// KeepUp calls fn with each value whose key has a prefix, and then, in order, with each
// one that is set, or deleted (nil), until stop is called. After the last call for a key
// fn has its newest value. Calls do not overlap, and those for values that are there
// already come before KeepUp returns. fn is called with the log locked: it must not block
// nor call the log.
func KeepUp(log Conditional, prefix string, fn func(key string, value []byte)) (stop func()) {
	var mu sync.Mutex
	newer := make(map[string]struct{}) // keys that were stored while others are read; then nil
	stop = log.FollowValues(func(puts []Put) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range puts {
			if !strings.HasPrefix(p.Key, prefix) {
				continue
			}
			if newer != nil {
				newer[p.Key] = struct{}{}
			}
			fn(p.Key, p.Value)
		}
	})
	for key, value := range log.Values(prefix) {
		mu.Lock()
		if _, told := newer[key]; !told {
			fn(key, value)
		}
		mu.Unlock()
	}
	mu.Lock()
	defer mu.Unlock()
	newer = nil
	return stop
}

// A Change is what [Conditional.CommitIf] stores.
type Change struct {
	Expect  []Put    // values as they must be; a nil one must not be there
	Puts    []Put    // as in Log.Commit
	Forget  []string // topics that give up all entries from before the change, as with Log.Forget
	Entries []*Entry // owned by the log, unless CommitIf fails
}

// differs returns ErrChanged if value gives anything else than what is expected.
func differs(expect []Put, value func(key string) []byte) error {
	for _, want := range expect {
		now := value(want.Key)
		if (now == nil) != (want.Value == nil) || !bytes.Equal(now, want.Value) {
			return fmt.Errorf("%w: %q", ErrChanged, want.Key)
		}
	}
	return nil
}

// CommitIf stores a change. Readers may see the rest of it before entries are forgotten.
func (m *Memory) CommitIf(ctx context.Context, c Change) error {
	before, err := m.commit(ctx, c.Expect, c.Puts, c.Entries)
	if err != nil {
		return err
	}
	for _, name := range c.Forget {
		m.forgetUpTo(name, before)
	}
	return nil
}

// FollowValues registers a function that is told of puts.
func (m *Memory) FollowValues(fn func(puts []Put)) (stop func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return func() {}
	}
	m.valuesTold = append(m.valuesTold, &fn)
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.valuesTold = slices.DeleteFunc(m.valuesTold, func(f *func([]Put)) bool { return f == &fn })
	}
}

// setValues applies puts and tells who follows them.
func (m *Memory) setValues(puts []Put) {
	if len(puts) == 0 {
		return
	}
	m.values.apply(puts)
	for _, fn := range m.valuesTold {
		(*fn)(puts)
	}
}

// A Batch is changes that will be applied to an [Index] together, by one call of Insert.
// Each is checked against the values as those before it leave them.
type Batch struct {
	index *Index
	puts  map[string][]byte // a nil value is deleted
	size  int64             // of all values with them
}

// NewBatch returns an empty batch. Values of the index must not change while it is used.
func (x *Index) NewBatch() *Batch {
	x.mu.Lock()
	defer x.mu.Unlock()
	return &Batch{index: x, size: x.values.size}
}

// Add adds a change. It fails with ErrChanged if a value is not as expected, and with
// ErrFull if values would become too large; the batch is then as before.
func (b *Batch) Add(expect, puts []Put) error {
	if len(expect)+len(puts) == 0 {
		return nil
	}
	b.index.mu.Lock()
	defer b.index.mu.Unlock()
	if err := differs(expect, b.value); err != nil {
		return err
	}
	size := grown(b.size, puts, b.value)
	if err := tooLarge(size, b.size, b.index.options.ValueBytes); err != nil {
		return err
	}
	if b.puts == nil {
		b.puts = make(map[string][]byte)
	}
	for _, p := range puts {
		b.puts[p.Key] = p.Value
	}
	b.size = size
	return nil
}

// value returns the value of a key. The index is locked.
func (b *Batch) value(key string) []byte {
	if v, ok := b.puts[key]; ok {
		return v
	}
	return b.index.values.byKey[key]
}
