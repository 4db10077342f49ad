package topic_test

import (
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"a/*", "*/b", true},
		{"a/*", "b/*", false},
		{"**", "a/b/c", true},
		{"a/**", "a", true},
		{"a/**", "b/**", false},
		{"a/b/**", "a/*", true},
		{"a/**", "*/b/c", true},
		{"a/b/c", "a/b/**", true},
		{"a/*/c", "a/b/d", false},
		{"a/*/**", "a", false},
	} {
		if got := topic.Overlap(c.a, c.b); got != c.want {
			t.Errorf("Overlap(%q, %q) = %v, want %v", c.a, c.b, got, c.want)
		}
		if got := topic.Overlap(c.b, c.a); got != c.want {
			t.Errorf("Overlap(%q, %q) = %v, want %v", c.b, c.a, got, c.want)
		}
	}
}

// FuzzOverlapAgreesWithMatch wants Overlap of every pattern that matches a name
// with every other that does.
func FuzzOverlapAgreesWithMatch(f *testing.F) {
	f.Add("a/b", "a/*", "**")
	f.Add("a", "a/**", "*")
	f.Fuzz(func(t *testing.T, name, a, b string) {
		if topic.Check(name) != nil || topic.CheckPattern(a) != nil || topic.CheckPattern(b) != nil {
			return
		}
		if topic.Match(a, name) && topic.Match(b, name) && !topic.Overlap(a, b) {
			t.Errorf("%q matches %q and %q, which do not overlap", name, a, b)
		}
		if topic.Overlap(a, name) != topic.Match(a, name) {
			t.Errorf("Overlap(%q, %q) is not Match", a, name)
		}
	})
}
