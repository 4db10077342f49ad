package eventlog_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/weirstream/weir/eventlog"
)

func TestSelectorsOfTheSamePatternsHaveTheSameString(t *testing.T) {
	a, b := sel(t, "b/*", "a", "b/*", "c d"), sel(t, "c d", "a", "a", "b/*")
	if a.String() != b.String() || !slices.Equal(a.Patterns(), []string{"a", "b/*", "c d"}) {
		t.Errorf("%q and %q, patterns %q", a, b, a.Patterns())
	}
	if c := sel(t, "a", "b/*", "c", "d"); c.String() == a.String() {
		t.Errorf("other patterns have the same string, %q", c)
	}
}

func TestSelectRefusesWhatIsNoPattern(t *testing.T) {
	for _, c := range []struct {
		patterns []string
		want     string
	}{
		{nil, "eventlog: bad topic: nothing selected"},
		{[]string{"a", ""}, `eventlog: bad topic: pattern "": empty`},
		{[]string{"a*"}, `eventlog: bad topic: pattern "a*": "*" within a segment at byte 1`},
	} {
		if s, err := eventlog.Select(c.patterns...); err == nil || err.Error() != c.want || !errors.Is(err, eventlog.ErrTopic) || s != nil {
			t.Errorf("Select(%q) = %v, %v; want error %s", c.patterns, s, err, c.want)
		}
	}
}

func TestSelectLeavesItsArgumentsAlone(t *testing.T) {
	patterns := []string{"b", "a", "b"}
	sel(t, patterns...)
	if !slices.Equal(patterns, []string{"b", "a", "b"}) {
		t.Errorf("the patterns are now %q", patterns)
	}
}

func TestExactTellsWhetherThereAreWildcards(t *testing.T) {
	if got, ok := sel(t, "b", "a/x").Exact(); !ok || !slices.Equal(got, []string{"a/x", "b"}) {
		t.Errorf("Exact() = %q, %v; want [a/x b], true", got, ok)
	}
	if got, ok := sel(t, "b", "a/*").Exact(); ok || !slices.Equal(got, []string{"b"}) {
		t.Errorf("Exact() = %q, %v; want [b], false", got, ok)
	}
}

func TestSelectorMatchesAnyOfItsPatterns(t *testing.T) {
	many := []string{"x/*"}
	for i := range 100 {
		many = append(many, fmt.Sprintf("t/%d", i))
	}
	for _, c := range []struct {
		s    *eventlog.Selector
		name string
		want bool
	}{
		{sel(t, "a", "b/*"), "a", true},
		{sel(t, "a", "b/*"), "b/c", true},
		{sel(t, "a", "b/*"), "b", false},
		{sel(t, "a", "**"), "b/c", true},
		{sel(t, many...), "t/99", true},
		{sel(t, many...), "t/100", false},
		{sel(t, many...), "x/1", true},
	} {
		if got := c.s.Match(c.name); got != c.want {
			t.Errorf("%.40q.Match(%q) = %v, want %v", c.s, c.name, got, c.want)
		}
	}
}

func TestMatchEntryLooksAtAllTopics(t *testing.T) {
	e := &eventlog.Entry{Message: eventlog.Message{Topics: []string{"a", "b/c"}}}
	for p, want := range map[string]bool{"a": true, "b/*": true, "c": false} {
		if got := sel(t, p).MatchEntry(e); got != want {
			t.Errorf("%q.MatchEntry(%q) = %v, want %v", p, e.Topics, got, want)
		}
	}
	s := sel(t, "b/c", "d/*", "e")
	if n := testing.AllocsPerRun(100, func() { s.MatchEntry(e) }); n != 0 {
		t.Errorf("MatchEntry allocates %v times, want 0", n)
	}
}
