package topic_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "*", false},
		{"a", "**", false},
		{"a", "a/b", false},
		{"a", "a/**", false},
		{"a/b", "a", false},
		{"*", "a", true},
		{"*", "*", true},
		{"*", "a/b", false},
		{"*", "**", false},
		{"*", "*/**", false},
		{"**", "a", true},
		{"**", "*/b/**", true},
		{"**", "**", true},
		{"*/**", "**", true},
		{"*/*/**", "**", false},
		{"orders/**", "orders/*", true},
		{"orders/*", "orders/**", false},
		{"orders/**", "orders", true},
		{"orders/**", "orders/**", true},
		{"orders/**", "orders/*/**", true},
		{"orders/*/**", "orders/**", false},
		{"orders/*/**", "orders", false},
		{"orders/**", "orders2/*", false},
		{"orders/**", "**", false},
		{"orders/**", "*/eu", false},
		{"orders/**", "*", false},
		{"a/*/c", "a/b/c", true},
		{"a/b/c", "a/*/c", false},
		{"a/*/c", "a/*/*", false},
		{"*/b/**", "a/b/c/*", true},
		{"*/b/**", "a/*/c", false},
		{"你/*", "你/好", true},
	} {
		if got := topic.Covers(c.a, c.b); got != c.want {
			t.Errorf("Covers(%q, %q) = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

// TestCoversIsExact compares it with its meaning: all patterns of up to three
// segments, and all names of up to five.
func TestCoversIsExact(t *testing.T) {
	patterns := paths([]string{"a", "b", "*", "**"}, 3)
	names := paths([]string{"a", "b", "c"}, 5)
	for _, a := range patterns {
		for _, b := range patterns {
			if topic.CheckPattern(a) != nil || topic.CheckPattern(b) != nil {
				continue
			}
			if got, want := topic.Covers(a, b), coversAll(a, b, names); got != want {
				t.Errorf("Covers(%q, %q) = %v, want %v", a, b, got, want)
			}
		}
	}
}

func coversAll(a, b string, names []string) bool {
	for _, name := range names {
		if topic.Match(b, name) && !topic.Match(a, name) {
			return false
		}
	}
	return true
}

// paths returns every path of one to most of segs.
func paths(segs []string, most int) []string {
	all, last := []string(nil), []string{""}
	for range most {
		var next []string
		for _, p := range last {
			for _, s := range segs {
				next = append(next, strings.TrimPrefix(p+"/"+s, "/"))
			}
		}
		all, last = append(all, next...), next
	}
	return all
}

// FuzzCoversHoldsForEveryName wants each name of a covered pattern matched.
func FuzzCoversHoldsForEveryName(f *testing.F) {
	f.Add("a/b", "a/**", "a/*")
	f.Add("a", "a/*/**", "a/**")
	f.Add("a", "*/**", "**")
	f.Fuzz(func(t *testing.T, name, a, b string) {
		if topic.Check(name) != nil || topic.CheckPattern(a) != nil || topic.CheckPattern(b) != nil {
			return
		}
		if topic.Covers(a, b) && topic.Match(b, name) && !topic.Match(a, name) {
			t.Errorf("%q matches %q, and not %q, which covers it", name, b, a)
		}
		if topic.Covers(a, name) != topic.Match(a, name) {
			t.Errorf("Covers(%q, %q) is not Match", a, name)
		}
		if topic.Covers(a, b) && !topic.Overlap(a, b) {
			t.Errorf("%q covers %q and does not overlap it", a, b)
		}
	})
}
