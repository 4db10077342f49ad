package topic_test

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/internal/topic"
)

// BenchmarkEach looks up names that one exact subscription and two patterns
// match, among more and more that do not. The time should stay the same.
func BenchmarkEach(b *testing.B) {
	for _, patterns := range []int{10, 1000} {
		for _, topics := range []int{10, 18_000} {
			b.Run(fmt.Sprintf("patterns=%d/topics=%d", patterns, topics), func(b *testing.B) {
				benchmarkEach(b, patterns, topics)
			})
		}
	}
}

func benchmarkEach(b *testing.B, patterns, topics int) {
	var x topic.Index[int]
	x.Add("**", -1)
	x.Add("room/*", -2)
	for i := range patterns {
		x.Add(fmt.Sprintf("org/%d/*", i), i)
	}
	names := make([]string, topics)
	for i := range names {
		names[i] = fmt.Sprintf("room/%d", i)
		x.Add(names[i], i)
	}
	b.ReportAllocs()
	i, found := 0, 0
	for b.Loop() {
		x.Each(names[i%len(names)], func(int) { found++ })
		i++
	}
	if found != 3*i {
		b.Fatalf("found %d in %d look-ups, want 3 each", found, i)
	}
}
