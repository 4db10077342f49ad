package logtest

import (
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
)

// A model is a log that is obviously right: a list of everything ever appended,
// gone through from the beginning for every question.
type model struct {
	options eventlog.Options // no zero defaults
	size    func(*eventlog.Entry) int64
	entries []*modelEntry
}

type modelEntry struct {
	*eventlog.Entry
	in    []string // topics whose retention keeps it
	newer []string // topics that have a newer state of its key
	value []string // topics of which it is the state of its key
}

func (m *model) append(es ...*eventlog.Entry) {
	for _, e := range es {
		added := &modelEntry{Entry: e, in: slices.Clone(e.Topics)}
		m.entries = append(m.entries, added)
		for _, name := range e.Topics {
			if e.State {
				m.set(added, name)
			}
			for m.over(name) {
				m.leave(m.oldest(name), name)
			}
		}
		for m.size != nil && m.total() > m.options.TotalBytes {
			old := m.oldestOfAll()
			old.in, old.value = nil, nil
		}
	}
}

// set makes e the state of its key in a topic.
func (m *model) set(e *modelEntry, name string) {
	for _, old := range m.entries {
		if old != e && old.State && old.Key == e.Key && slices.Contains(old.Topics, name) {
			if slices.Contains(old.in, name) || slices.Contains(old.value, name) {
				old.newer = append(old.newer, name)
			}
			old.value = without(old.value, name)
		}
	}
	e.value = append(e.value, name)
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(names, func(s string) bool { return s == name })
}

// held reports whether any topic has e.
func (e *modelEntry) held() bool { return len(e.in)+len(e.value) > 0 }

func (m *model) retention(name string) eventlog.Retention {
	for _, r := range m.options.Rules {
		if topic.Match(r.Pattern, name) {
			return r.Retention
		}
	}
	return m.options.Default
}

func (m *model) over(name string) bool {
	n, size := 0, int64(0)
	for _, e := range m.entries {
		if slices.Contains(e.in, name) {
			n++
			size += int64(len(e.Data))
		}
	}
	r := m.retention(name)
	return r.MaxEntries != 0 && n > max(0, r.MaxEntries) || r.MaxBytes != 0 && size > r.MaxBytes
}

func (m *model) oldest(name string) *modelEntry {
	for _, e := range m.entries {
		if slices.Contains(e.in, name) {
			return e
		}
	}
	return nil
}

func (m *model) oldestOfAll() *modelEntry {
	for _, e := range m.entries {
		if e.held() {
			return e
		}
	}
	return nil
}

func (m *model) total() int64 {
	n := int64(0)
	for _, e := range m.entries {
		if e.held() {
			n += m.size(e.Entry)
		}
	}
	return n
}

// leave takes e out of what a topic's retention keeps.
func (m *model) leave(e *modelEntry, name string) { e.in = without(e.in, name) }

func (m *model) expire(now time.Time) {
	for _, e := range m.entries {
		e.in = slices.DeleteFunc(e.in, func(name string) bool {
			age := m.retention(name).MaxAge
			return age != 0 && now.Sub(e.Time) >= age
		})
	}
}

func (m *model) forget(name string) (n int) {
	for _, e := range m.entries {
		if slices.Contains(e.in, name) || slices.Contains(e.value, name) {
			e.in, e.value = without(e.in, name), without(e.value, name)
			n++
		}
	}
	return n
}

// kept returns the entries in (after, upTo] that s finds, and missing the
// positions of those that it would find had they not been trimmed. What has a newer
// state is not missing.
func (m *model) kept(s *eventlog.Selector, after, upTo uint64) (kept []*eventlog.Entry, missing []uint64) {
	for _, e := range m.entries {
		if e.Seq <= after || e.Seq > upTo {
			continue
		}
		misses := func(name string) bool { return s.Match(name) && !slices.Contains(e.newer, name) }
		if slices.ContainsFunc(e.in, s.Match) || slices.ContainsFunc(e.value, s.Match) {
			kept = append(kept, e.Entry)
		} else if slices.ContainsFunc(e.Topics, misses) {
			missing = append(missing, e.Seq)
		}
	}
	return kept, missing
}
