package eventlog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/topic"
)

// A Selector says which topics a reader wants. It does not change, so any number
// of readers may share one: intern them by [Selector.String].
type Selector struct {
	key      string
	patterns []string // sorted, each once
	mix      *mix     // nil: patterns are a few names without a wildcard
}

// A mix sorts patterns out that are many, or have wildcards.
type mix struct {
	exact []string            // those without a wildcard
	wild  []string            // the others
	names map[string]struct{} // the exact ones again, if they are many
	set   *topic.Patterns     // those with a wildcard again, if they are many
	all   bool                // one of them is "**"
}

// manyNames is the number of names from which on a map beats comparing one by one.
const manyNames = 16

// manyPatterns is the number of patterns from which on a set beats matching one by one.
const manyPatterns = 4

// Select returns the selector of the topics that match at least one pattern. In a
// pattern the segment "*" stands for one segment, and "**", which must be the
// last, for any number of them. A pattern that is not one, or no pattern at all,
// is an error that wraps [ErrTopic].
func Select(patterns ...string) (*Selector, error) {
	if len(patterns) == 0 {
		return nil, fmt.Errorf("%w: nothing selected", ErrTopic)
	}
	for _, p := range patterns {
		if err := topic.CheckPattern(p); err != nil {
			return nil, fmt.Errorf("%w: %v", ErrTopic, err)
		}
	}
	sorted := slices.Clone(patterns)
	slices.Sort(sorted)
	s := &Selector{key: strings.Join(slices.Compact(sorted), "\n")}
	s.patterns = strings.Split(s.key, "\n") // parts of key: nothing else is held
	s.sortOut()
	return s, nil
}

func (s *Selector) sortOut() {
	if len(s.patterns) < manyNames && !slices.ContainsFunc(s.patterns, topic.IsPattern) {
		return // the usual case
	}
	s.mix = new(mix)
	for _, p := range s.patterns {
		if topic.IsPattern(p) {
			s.mix.wild = append(s.mix.wild, p)
			s.mix.all = s.mix.all || p == "**"
		} else {
			s.mix.exact = append(s.mix.exact, p)
		}
	}
	if len(s.mix.wild) >= manyPatterns {
		s.mix.set = topic.NewPatterns(s.mix.wild)
	}
	if len(s.mix.exact) >= manyNames {
		s.mix.names = make(map[string]struct{}, len(s.mix.exact))
		for _, name := range s.mix.exact {
			s.mix.names[name] = struct{}{}
		}
	}
}

// String returns the patterns, sorted and each once, one per line. Selectors of
// the same patterns have the same string, others have another.
func (s *Selector) String() string { return s.key }

// Patterns returns the patterns, sorted and each once. Do not change the slice.
func (s *Selector) Patterns() []string { return s.patterns }

// Exact returns the topics selected, sorted, if no pattern has a wildcard. Do not
// change the slice.
func (s *Selector) Exact() (topics []string, ok bool) {
	return s.exact(), len(s.wild()) == 0
}

func (s *Selector) exact() []string {
	if s.mix == nil {
		return s.patterns
	}
	return s.mix.exact
}

func (s *Selector) wild() []string {
	if s.mix == nil {
		return nil
	}
	return s.mix.wild
}

// all reports whether every topic is selected.
func (s *Selector) all() bool { return s.mix != nil && s.mix.all }

// Match reports whether s selects a topic. It does not allocate.
func (s *Selector) Match(name string) bool {
	if s.mix == nil {
		return slices.Contains(s.patterns, name)
	}
	return s.mix.match(name)
}

func (m *mix) match(name string) bool {
	if m.all {
		return true
	}
	if m.names != nil {
		if _, ok := m.names[name]; ok {
			return true
		}
	} else if slices.Contains(m.exact, name) {
		return true
	}
	if m.set != nil {
		return m.set.Match(name)
	}
	for _, p := range m.wild {
		if topic.Match(p, name) {
			return true
		}
	}
	return false
}

// MatchEntry reports whether s selects any topic of e. It does not allocate.
func (s *Selector) MatchEntry(e *Entry) bool {
	for _, name := range e.Topics {
		if s.Match(name) {
			return true
		}
	}
	return false
}
