package eventlog

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
)

// A Put sets the value of a key, or deletes it if Value is nil.
type Put struct {
	Key   string
	Value []byte // owned by the log from Commit on
}

// values are what Commit has put. Keys and values count together.
type values struct {
	byKey map[string][]byte
	size  int64
}

func (v *values) get(key string) []byte { return v.byKey[key] }

// check reports ErrFull if puts would take the values past limit.
func (v *values) check(puts []Put, limit int64) error {
	return tooLarge(grown(v.size, puts, v.get), v.size, limit)
}

// grown returns the size of all values with puts. value gives those before.
func grown(size int64, puts []Put, value func(key string) []byte) int64 {
	for _, p := range puts {
		if old := value(p.Key); old != nil {
			size -= valueSize(p.Key, old)
		}
		if p.Value != nil {
			size += valueSize(p.Key, p.Value)
		}
	}
	return size
}

// tooLarge reports ErrFull if the values go past limit. They may become smaller.
func tooLarge(size, before, limit int64) error {
	if size > limit && size > before {
		return fmt.Errorf("%w: values would take %d bytes, limit %d", ErrFull, size, limit)
	}
	return nil
}

func (v *values) apply(puts []Put) {
	if v.byKey == nil && len(puts) > 0 {
		v.byKey = make(map[string][]byte)
	}
	for _, p := range puts {
		if old, ok := v.byKey[p.Key]; ok {
			v.size -= valueSize(p.Key, old)
			delete(v.byKey, p.Key)
		}
		if p.Value != nil {
			v.size += valueSize(p.Key, p.Value)
			v.byKey[p.Key] = p.Value
		}
	}
}

// valueSize is what a value counts: its bytes and 64 for its place in the map.
func valueSize(key string, value []byte) int64 { return int64(len(key)+len(value)) + 64 }

// Value returns the value of a key, or nil. Do not change it.
func (m *Memory) Value(key string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values.byKey[key]
}

// Values yields the keys with a prefix, sorted, and their values.
func (m *Memory) Values(prefix string) iter.Seq2[string, []byte] {
	m.mu.Lock()
	found := maps.Clone(m.values.byKey)
	m.mu.Unlock()
	maps.DeleteFunc(found, func(key string, _ []byte) bool { return !strings.HasPrefix(key, prefix) })
	return func(yield func(string, []byte) bool) {
		for _, key := range slices.Sorted(maps.Keys(found)) {
			if !yield(key, found[key]) {
				return
			}
		}
	}
}
