package logtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/weirstream/weir/eventlog"
)

var readRules = []rule{{
	name: "ReadKeepsToItsRange",
	says: "Read returns the entries with after < Seq <= upTo, in order. Next is upTo when all are returned.",
	check: func(f *fixture) {
		f.addMany(9, "a")
		for _, c := range []struct {
			after, upTo uint64
			want        []uint64
			next        uint64
		}{
			{0, 9, from(1, 9), 9},
			{3, 6, from(4, 6), 6},
			{0, 0, nil, 0},
			{4, 4, nil, 4},
			{6, 3, nil, 6},
			{8, math.MaxUint64, from(9, 9), 9}, // never beyond Head: entries to come lie there
			{9, math.MaxUint64, nil, 9},
			{50, math.MaxUint64, nil, 50},
		} {
			p := f.page(sel("a"), c.after, c.upTo, eventlog.Limit{})
			if got := positions(p.Entries); !slices.Equal(got, c.want) || p.Next != c.next || p.Lost != 0 {
				f.Errorf("Read(%d, %d) = %s, want %v next %d lost 0", c.after, c.upTo, pageString(p), c.want, c.next)
			}
		}
	},
}, {
	name: "LimitsBoundAPage",
	says: "A page has no more entries and data than its Limit says, but one entry if there is any; the next page goes on.",
	check: func(f *fixture) {
		f.addMany(9, "a") // 10 bytes each
		for _, c := range []struct {
			lim  eventlog.Limit
			want int
		}{
			{eventlog.Limit{Entries: 1}, 1},
			{eventlog.Limit{Entries: 4}, 4},
			{eventlog.Limit{Entries: 9}, 9},
			{eventlog.Limit{Bytes: 1}, 1},
			{eventlog.Limit{Bytes: 19}, 1},
			{eventlog.Limit{Bytes: 20}, 2},
			{eventlog.Limit{Entries: 3, Bytes: 1000}, 3},
			{eventlog.Limit{Entries: 100, Bytes: 90}, 9},
		} {
			checkPages(f, c.lim, c.want)
		}
	},
}, {
	name: "ZeroLimitHasDefaults",
	says: "A zero Limit means 256 entries and 256 KiB.",
	check: func(f *fixture) {
		f.addMany(300, "a")
		if p := f.page(sel("a"), 0, 300, eventlog.Limit{}); len(p.Entries) != 256 {
			f.Errorf("%d small entries in a page, want 256", len(p.Entries))
		}
		for range 3 {
			f.addEntry(eventlog.Message{Topics: []string{"b"}, Data: make([]byte, 100<<10)})
		}
		if p := f.page(sel("b"), 300, f.Head(), eventlog.Limit{}); len(p.Entries) != 2 {
			f.Errorf("%d entries of 100 KiB in a page, want 2", len(p.Entries))
		}
	},
}, {
	name:  "SelectorsChooseTopics",
	says:  "Read returns the entries that have a topic which matches one of the selector's patterns, and no others.",
	check: checkSelectors,
}, {
	name: "EntryOfSeveralTopicsComesOnce",
	says: "An entry that several selected topics have is returned once, at its place in the order.",
	check: func(f *fixture) {
		f.add("a")
		f.add("a", "b", "c/d")
		f.add("b")
		f.add("c/d", "a")
		for _, s := range []*eventlog.Selector{sel("a", "b", "c/d"), sel("**"), sel("*", "c/*"), sel("a", "*", "b", "**")} {
			f.want(s, 0, from(1, 4), 0)
		}
		f.want(sel("b", "c/d"), 0, from(2, 4), 0)
	},
}, {
	name: "ManyTopicsReadInOrder",
	says: "A selection of very many topics is read in one order, whatever they hold.",
	check: func(f *fixture) {
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("t/%d", i))
		}
		for i := range 600 {
			f.add(names[i*7%200])
		}
		f.want(sel(names...), 0, from(1, 600), 0)
		f.want(sel("t/*"), 595, from(596, 600), 0)
		f.want(sel(append(names[:150], "x")...), 600, nil, 0)
	},
}, {
	name: "UnknownTopicHasNothing",
	says: "A topic that never had an entry has none, and has lost none.",
	check: func(f *fixture) {
		f.addMany(3, "a")
		f.want(sel("b"), 0, nil, 0)
		f.want(sel("b/*", "c"), 0, nil, 0)
		f.wantBounds(sel("b"), eventlog.Bounds{})
	},
}, {
	name: "CancelledReadFails",
	says: "Read with a context that has ended fails with its error.",
	check: func(f *fixture) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		if _, err := f.Read(ctx, sel("a"), 0, 1, eventlog.Limit{}); !errors.Is(err, context.Canceled) {
			f.Errorf("Read = %v, want context.Canceled", err)
		}
	},
}, {
	name:  "ReadersSeeCompletePrefixes",
	says:  "Once Head has reached a position, Read returns every entry up to there, while others append.",
	check: checkPrefixes,
}}

// checkPages reads nine entries under lim and wants pages of n.
func checkPages(f *fixture, lim eventlog.Limit, n int) {
	f.Helper()
	var got []uint64
	for after := uint64(0); after < 9; {
		p := f.page(sel("a"), after, 9, lim)
		if want := min(n, 9-len(got)); len(p.Entries) != want {
			f.Fatalf("Read(%d, 9, %+v) = %s, want %d entries", after, lim, pageString(p), want)
		}
		got, after = append(got, positions(p.Entries)...), p.Next
	}
	if !slices.Equal(got, from(1, 9)) {
		f.Errorf("pages under %+v give %v", lim, got)
	}
}

func checkSelectors(f *fixture) {
	for i, name := range []string{"a", "b", "a/x", "a/y", "a/x/1", "b/x", "b/x/1/2", "你"} {
		if seq := f.add(name); seq != uint64(i+1) {
			f.Fatalf("%q has position %d", name, seq)
		}
	}
	for _, c := range []struct {
		patterns []string
		want     []uint64
	}{
		{[]string{"a"}, []uint64{1}},
		{[]string{"a", "b"}, []uint64{1, 2}},
		{[]string{"*"}, []uint64{1, 2, 8}},
		{[]string{"**"}, from(1, 8)},
		{[]string{"a/*"}, []uint64{3, 4}},
		{[]string{"a/**"}, []uint64{1, 3, 4, 5}},
		{[]string{"*/x"}, []uint64{3, 6}},
		{[]string{"*/x/**"}, []uint64{3, 5, 6, 7}},
		{[]string{"*/*/1"}, []uint64{5}},
		{[]string{"b/**", "a/y"}, []uint64{2, 4, 6, 7}},
		{[]string{"c", "a/x/1/**"}, []uint64{5}},
		{[]string{"a/z/*"}, nil},
	} {
		f.want(sel(c.patterns...), 0, c.want, 0)
	}
}

func checkPrefixes(f *fixture) {
	const total = 300
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for range total / 3 {
				if err := f.Append(background, entry("a", fmt.Sprintf("w/%d", w))); err != nil {
					f.Error(err)
				}
			}
		})
	}
	for _, s := range []*eventlog.Selector{sel("a"), sel("w/0", "w/1", "w/2"), sel("w/*", "b")} {
		wg.Go(func() {
			for head := uint64(0); head < total; {
				head = f.Head()
				checkPrefix(f, s, head)
			}
		})
	}
	wg.Wait()
}

func checkPrefix(f *fixture, s *eventlog.Selector, head uint64) {
	next := uint64(1)
	for after := uint64(0); after < head; {
		p, err := f.Read(background, s, after, head, eventlog.Limit{Entries: 50})
		if err != nil || p.Lost != 0 || p.Next <= after {
			f.Errorf("Read(%q, %d, %d) = %s, %v", s, after, head, pageString(p), err)
			return
		}
		for _, e := range p.Entries {
			if e.Seq != next {
				f.Errorf("reading %q up to %d: %d instead of %d", s, head, e.Seq, next)
			}
			next = e.Seq + 1
		}
		after = p.Next
	}
	if next != head+1 {
		f.Errorf("reading %q up to %d ends before %d", s, head, next)
	}
}
