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
	patterns []string            // sorted, each once
	exact    []string            // those without a wildcard
	wild     []string            // the others
	names    map[string]struct{} // the exact ones again, if they are many
	all      bool                // one of them is "**"
}

// manyNames is the number of names from which on a map beats comparing one by one.
const manyNames = 16

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
	if slices.ContainsFunc(s.patterns, topic.IsPattern) {
		s.sortOutMixed()
	} else { // the usual case
		s.exact = s.patterns
	}
	if len(s.exact) < manyNames {
		return
	}
	s.names = make(map[string]struct{}, len(s.exact))
	for _, name := range s.exact {
		s.names[name] = struct{}{}
	}
}

func (s *Selector) sortOutMixed() {
	for _, p := range s.patterns {
		if topic.IsPattern(p) {
			s.wild = append(s.wild, p)
			s.all = s.all || p == "**"
		} else {
			s.exact = append(s.exact, p)
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
	return s.exact, len(s.wild) == 0
}

// Match reports whether s selects a topic. It does not allocate.
func (s *Selector) Match(name string) bool {
	if s.all {
		return true
	}
	if s.names != nil {
		if _, ok := s.names[name]; ok {
			return true
		}
	} else if slices.Contains(s.exact, name) {
		return true
	}
	for _, p := range s.wild {
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
