package eventlog_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/weirstream/weir/eventlog"
)

// fill returns a log with 200,000 entries in so many topics.
func fill(b *testing.B, topics int) (m *eventlog.Memory, names []string) {
	b.Helper()
	m = open(b, eventlog.Options{})
	for i := range topics {
		names = append(names, fmt.Sprintf("room/%d", i))
	}
	for i := range 200_000 {
		add(b, m, names[i%topics])
	}
	return m, names
}

// BenchmarkMemoryAppend appends to a log that is full, one topic after the other.
func BenchmarkMemoryAppend(b *testing.B) {
	for _, topics := range []int{1, 18_000} {
		b.Run(fmt.Sprintf("topics=%d", topics), func(b *testing.B) {
			m, names := fill(b, topics)
			data := make([]byte, 128)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				at := i % topics
				e := &eventlog.Entry{Message: eventlog.Message{Topics: names[at : at+1], Data: data}}
				if err := m.Append(background, e); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkMemoryReadResume reads the page that a reader gets who comes back after
// missing so many messages of what it selects.
func BenchmarkMemoryReadResume(b *testing.B) {
	for _, behind := range []int{0, 10, 100} {
		for _, c := range []struct {
			name   string
			topics int
			sel    func(i int) []string
		}{
			{"topics=1", 1, func(int) []string { return []string{"room/0"} }},
			{"topics=18000", 18_000, func(i int) []string { return []string{fmt.Sprintf("room/%d", i)} }},
			{"topics=18000,select=5", 18_000, func(i int) []string {
				return []string{fmt.Sprintf("room/%d", i), "room/1", "room/2", "room/3", "room/4"}
			}},
			{"topics=100,select=wild", 100, func(int) []string { return []string{"room/*"} }},
		} {
			b.Run(fmt.Sprintf("behind=%d/%s", behind, c.name), func(b *testing.B) { benchmarkResume(b, behind, c.topics, c.sel) })
		}
	}
}

func benchmarkResume(b *testing.B, behind, topics int, selection func(i int) []string) {
	m, _ := fill(b, topics)
	var sels []*eventlog.Selector
	var after []uint64
	known := map[string]*eventlog.Selector{}
	for i := range min(topics, 1000) {
		s := sel(b, selection(i*7%topics)...)
		if known[s.String()] == nil {
			known[s.String()] = s
		}
		sels = append(sels, known[s.String()])
		after = append(after, m.Last(sels[i], behind))
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p, err := m.Read(background, sels[i%len(sels)], after[i%len(sels)], math.MaxUint64, eventlog.Limit{})
		if err != nil || len(p.Entries) > behind {
			b.Fatal(len(p.Entries), err)
		}
		i++
	}
}
