package topic_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

// TestPatternsMatchWhatOneOfThemMatches compares sets of random patterns with Match.
func TestPatternsMatchWhatOneOfThemMatches(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func(segments ...string) string {
		parts := make([]string, 1+random.IntN(4))
		for i := range parts {
			parts[i] = segments[random.IntN(len(segments))]
		}
		return strings.Join(parts, "/")
	}
	matched := 0
	for range 20_000 {
		patterns := make([]string, random.IntN(12))
		for i := range patterns {
			patterns[i] = some("a", "b", "c", "*")
			if random.IntN(4) == 0 {
				patterns[i] += "/**"
			}
		}
		name, want := some("a", "b", "c", "d"), false
		for _, p := range patterns {
			want = want || topic.Match(p, name)
		}
		if want {
			matched++
		}
		if got := topic.NewPatterns(patterns).Match(name); got != want {
			t.Fatalf("%q in %q: %v, want %v", name, patterns, got, want)
		}
	}
	if matched < 2000 || matched > 18_000 {
		t.Errorf("%d of 20,000 names matched: the test shows little", matched)
	}
	if !topic.NewPatterns([]string{"**"}).Match("a/b") {
		t.Error("** does not match")
	}
}

func TestPatternsDoNotAllocate(t *testing.T) {
	ps := topic.NewPatterns([]string{"*/*/x", "a/*/y", "a/b/**", "c"})
	if n := testing.AllocsPerRun(100, func() { ps.Match("a/z/y"); ps.Match("q/w/e") }); n != 0 {
		t.Errorf("%v allocations for each call", n)
	}
}

func BenchmarkPatterns(b *testing.B) {
	var patterns []string
	for i := range 100 {
		patterns = append(patterns, "*/*/"+strings.Repeat("n", i+1))
	}
	ps := topic.NewPatterns(patterns)
	b.Run("set", func(b *testing.B) {
		for b.Loop() {
			ps.Match("orders/eu/17")
		}
	})
	b.Run("one by one", func(b *testing.B) {
		for b.Loop() {
			for _, p := range patterns {
				topic.Match(p, "orders/eu/17")
			}
		}
	})
}
