package logtest

import (
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
)

var seekRules = []rule{{
	name:    "BoundsDescribeASelection",
	says:    "Bounds gives the oldest and newest kept position, the number of entries and the size of their data, each entry once.",
	options: byDefault(eventlog.Retention{MaxEntries: 3}),
	check: func(f *fixture) {
		f.add("a")        // 1
		f.add("b", "a")   // 2
		f.add("c/x")      // 3
		f.addMany(4, "b") // 4 to 7; 2 and 4 leave b
		for _, c := range []struct {
			patterns []string
			want     eventlog.Bounds
		}{
			{[]string{"a"}, eventlog.Bounds{Oldest: 1, Newest: 2, Entries: 2, Bytes: 20}},
			{[]string{"b"}, eventlog.Bounds{Oldest: 5, Newest: 7, Lost: 4, Entries: 3, Bytes: 30}},
			{[]string{"a", "b"}, eventlog.Bounds{Oldest: 1, Newest: 7, Lost: 4, Entries: 5, Bytes: 50}},
			{[]string{"c/*"}, eventlog.Bounds{Oldest: 3, Newest: 3, Entries: 1, Bytes: 10}},
			{[]string{"**"}, eventlog.Bounds{Oldest: 1, Newest: 7, Lost: 4, Entries: 6, Bytes: 60}},
			{[]string{"none", "none/*"}, eventlog.Bounds{}},
		} {
			if got := f.Bounds(sel(c.patterns...)); got != c.want {
				f.Errorf("Bounds(%q) = %+v, want %+v", c.patterns, got, c.want)
			}
		}
	},
}, {
	name:    "BoundsCountEachEntryOnce",
	says:    "Bounds counts an entry of several selected topics once.",
	options: byDefault(eventlog.Retention{MaxEntries: 10}),
	check: func(f *fixture) {
		f.add("a", "b")
		f.add("a", "c/x")
		f.add("b")
		for _, s := range []*eventlog.Selector{sel("a", "b", "c/x"), sel("**"), sel("*", "c/*")} {
			if got := f.Bounds(s); got.Entries != 3 || got.Bytes != 30 {
				f.Errorf("Bounds(%q) = %+v, want 3 entries, 30 bytes", s, got)
			}
		}
	},
}, {
	name:    "LastCountsFromTheEnd",
	says:    "After the position that Last returns lie exactly the newest n kept entries of the selection, or all.",
	options: byDefault(eventlog.Retention{MaxEntries: 4}),
	check: func(f *fixture) {
		for _, topics := range [][]string{{"a"}, {"b"}, {"a", "b"}, {"c/x"}, {"a"}, {"b"}, {"c/x", "b"}, {"a"}, {"a"}, {"d"}} {
			f.add(topics...)
		}
		for _, s := range []*eventlog.Selector{sel("a"), sel("b"), sel("a", "b"), sel("c/*"), sel("**"), sel("*"), sel("none")} {
			checkLast(f, s)
		}
		f.forget("d")
		if got := f.Last(sel("d"), 3); got != f.Head() {
			f.Errorf("Last of an empty topic = %d, want Head %d", got, f.Head())
		}
	},
}, {
	name:    "SinceFindsTheFirstNotOlder",
	says:    "After the position that Since returns lie the kept entries that are not older than t, and no others.",
	options: byDefault(eventlog.Retention{MaxEntries: 4}),
	check: func(f *fixture) {
		for _, topics := range [][]string{{"a"}, {"b"}, {"a", "b"}, {"c/x"}, {"a"}, {"b"}, {"c/x", "b"}, {"a"}, {"a"}, {"d"}} {
			f.add(topics...)
			// The next entry gets a later time, also from a coarse clock.
			last := time.Now()
			f.until(time.Millisecond, "later", func() bool { return time.Since(last) >= time.Millisecond })
		}
		for _, s := range []*eventlog.Selector{sel("a"), sel("b"), sel("a", "b"), sel("c/*"), sel("**"), sel("*"), sel("none")} {
			checkSince(f, s)
		}
	},
}, {
	name:    "FindKnowsChosenIDs",
	says:    "Find returns the rising positions of the kept entries of the selection that have this ID.",
	options: byDefault(eventlog.Retention{MaxEntries: 3}),
	check:   checkFind,
}}

func checkLast(f *fixture, s *eventlog.Selector) {
	f.Helper()
	es, _ := f.all(s, 0)
	kept := positions(es)
	for n := -1; n <= len(kept)+2; n++ {
		at := f.Last(s, n)
		want := kept[len(kept)-max(0, min(n, len(kept))):]
		if es, _ := f.all(s, at); !slices.Equal(positions(es), want) {
			f.Errorf("Last(%q, %d) = %d, after which lie %v; want %v", s, n, at, positions(es), want)
		}
		if len(want) == 0 && at != f.Head() {
			f.Errorf("Last(%q, %d) = %d, want Head %d", s, n, at, f.Head())
		}
	}
}

func checkSince(f *fixture, s *eventlog.Selector) {
	f.Helper()
	kept, _ := f.all(s, 0)
	times := []time.Time{{}, time.Unix(0, 0), time.Now().Add(time.Hour), time.Unix(1<<40, 0), time.Unix(-1<<36, 0)}
	for _, e := range kept {
		times = append(times, e.Time, e.Time.Add(1), e.Time.Add(-1))
	}
	for _, t := range times {
		var want []uint64
		for _, e := range kept {
			if !e.Time.Before(t) {
				want = append(want, e.Seq)
			}
		}
		at := f.Since(s, t)
		if es, _ := f.all(s, at); !slices.Equal(positions(es), want) {
			f.Errorf("Since(%q, %v) = %d, after which lie %v; want %v", s, t, at, positions(es), want)
		}
		if len(want) == 0 && at != f.Head() || len(want) == len(kept) && len(want) > 0 && at != want[0]-1 {
			f.Errorf("Since(%q, %v) = %d; Head %d, to come %v", s, t, at, f.Head(), want)
		}
	}
}

func checkFind(f *fixture) {
	for _, c := range []struct {
		id     string
		topics []string
	}{
		{"x", []string{"a"}},      // 1
		{"y", []string{"a", "b"}}, // 2
		{"x", []string{"b"}},      // 3
		{"", []string{"a"}},       // 4
		{"x", []string{"a"}},      // 5: 1 leaves a
		{"z", []string{"a"}},      // 6: 2 leaves a
	} {
		f.addEntry(eventlog.Message{Topics: c.topics, ID: c.id})
	}
	for _, c := range []struct {
		id, pattern string
		want        []uint64
	}{
		{"x", "a", []uint64{5}},
		{"x", "b", []uint64{3}},
		{"x", "*", []uint64{3, 5}},
		{"y", "a", nil},
		{"y", "b", []uint64{2}},
		{"y", "**", []uint64{2}},
		{"z", "a", []uint64{6}},
		{"z", "b", nil},
		{"", "a", nil},
		{"none", "**", nil},
	} {
		if got := f.Find(sel(c.pattern), c.id); !slices.Equal(got, c.want) {
			f.Errorf("Find(%q, %q) = %v, want %v", c.pattern, c.id, got, c.want)
		}
	}
}
