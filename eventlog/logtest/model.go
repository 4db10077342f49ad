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
	in []string // topics that keep it
}

func (m *model) append(es ...*eventlog.Entry) {
	for _, e := range es {
		m.entries = append(m.entries, &modelEntry{e, slices.Clone(e.Topics)})
		for _, name := range e.Topics {
			for m.over(name) {
				m.drop(m.oldest(name), name)
			}
		}
		for m.size != nil && m.total() > m.options.TotalBytes {
			m.oldestOfAll().in = nil
		}
	}
}

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
		if len(e.in) > 0 {
			return e
		}
	}
	return nil
}

func (m *model) total() int64 {
	n := int64(0)
	for _, e := range m.entries {
		if len(e.in) > 0 {
			n += m.size(e.Entry)
		}
	}
	return n
}

func (m *model) drop(e *modelEntry, name string) {
	e.in = slices.DeleteFunc(e.in, func(s string) bool { return s == name })
}

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
		if slices.Contains(e.in, name) {
			m.drop(e, name)
			n++
		}
	}
	return n
}

// kept returns the entries in (after, upTo] that s finds, and missing the
// positions of those that it would find had they not been trimmed.
func (m *model) kept(s *eventlog.Selector, after, upTo uint64) (kept []*eventlog.Entry, missing []uint64) {
	for _, e := range m.entries {
		if e.Seq <= after || e.Seq > upTo {
			continue
		}
		if slices.ContainsFunc(e.in, s.Match) {
			kept = append(kept, e.Entry)
		} else if s.MatchEntry(e.Entry) {
			missing = append(missing, e.Seq)
		}
	}
	return kept, missing
}
