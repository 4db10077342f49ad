package logtest

import (
	"fmt"
	"time"

	"github.com/weirstream/weir/eventlog"
)

func byDefault(r eventlog.Retention) eventlog.Options { return eventlog.Options{Default: r} }

var trimRules = []rule{{
	name:    "CountKeepsTheNewest",
	says:    "A topic with MaxEntries keeps that many, the newest; each topic has its own count.",
	options: byDefault(eventlog.Retention{MaxEntries: 3}),
	check: func(f *fixture) {
		f.add("b")
		f.addMany(5, "a") // 2 to 6
		f.wantBounds(sel("a"), eventlog.Bounds{Oldest: 4, Newest: 6, Lost: 3, Entries: 3})
		f.want(sel("a"), 0, from(4, 6), 3)
		f.want(sel("b"), 0, from(1, 1), 0)
	},
}, {
	name:    "LossIsReportedToThoseBeforeIt",
	says:    "A reader that stands before a trimmed entry of its topics is told so; one that stands at or after it is not.",
	options: byDefault(eventlog.Retention{MaxEntries: 3}),
	check: func(f *fixture) {
		f.addMany(10, "a")
		for after, lost := range map[uint64]uint64{0: 7, 5: 7, 6: 7, 7: 0, 8: 0, 10: 0} {
			f.want(sel("a"), after, from(max(8, after+1), 10), lost)
			f.want(sel("*"), after, from(max(8, after+1), 10), lost)
		}
	},
}, {
	name:    "LossOfOtherTopicsIsNotReported",
	says:    "What other topics have lost is not reported, neither to names nor to patterns.",
	options: byDefault(eventlog.Retention{MaxEntries: 2}),
	check: func(f *fixture) {
		f.add("x/quiet")
		f.addMany(9, "hot")
		f.addMany(9, "x/hot/deep")
		f.addMany(9, "y/hot")
		for _, s := range []*eventlog.Selector{sel("x/quiet"), sel("x/*"), sel("x/quiet/**"), sel("*/quiet"), sel("x/quiet", "z/**")} {
			f.want(s, 0, from(1, 1), 0)
		}
		f.want(sel("x/**"), 0, []uint64{1, 18, 19}, 17)
		f.want(sel("*/hot"), 0, []uint64{27, 28}, 26)
	},
}, {
	name:    "BytesKeepTheNewest",
	says:    "A topic with MaxBytes keeps the newest entries whose data fits; one that does not fit alone is not kept.",
	options: byDefault(eventlog.Retention{MaxBytes: 35}),
	check: func(f *fixture) {
		f.addMany(5, "a") // 10 bytes each
		f.want(sel("a"), 0, from(3, 5), 2)
		if b := f.Bounds(sel("a")); b.Bytes != 30 {
			f.Errorf("Bounds.Bytes = %d, want 30", b.Bytes)
		}
		f.addEntry(eventlog.Message{Topics: []string{"a"}, Data: make([]byte, 36)})
		f.want(sel("a"), 0, nil, 6)
	},
}, {
	name:    "TotalKeepsTheNewestOfAll",
	says:    "A log with TotalBytes keeps its newest entries, whatever their topic, within that size, and drops the oldest first.",
	options: eventlog.Options{Default: eventlog.Retention{MaxEntries: 1000}, TotalBytes: 100_000},
	check: func(f *fixture) {
		for i := range 300 {
			f.addEntry(eventlog.Message{Topics: []string{fmt.Sprintf("t/%d", i%7)}, Data: make([]byte, 1000)})
		}
		b := f.Bounds(sel("**"))
		if b.Newest != 300 || b.Entries < 10 || b.Entries > 100 || b.Oldest != 300-uint64(b.Entries)+1 || b.Lost != b.Oldest-1 {
			f.Errorf("Bounds of 300 entries of 1,000 bytes under 100,000 = %+v", b)
		}
		f.want(sel("t/*"), 0, from(b.Oldest, 300), b.Oldest-1)
	},
}, {
	name:    "NothingIsKeptWhereNothingIsWanted",
	says:    "With MaxEntries < 0 nothing is kept, and a reader that was not there is told.",
	options: byDefault(eventlog.Retention{MaxEntries: -1}),
	check: func(f *fixture) {
		f.addMany(3, "a")
		f.want(sel("a"), 0, nil, 3)
		f.want(sel("a"), 2, nil, 3)
		f.want(sel("a"), 3, nil, 0)
	},
}, {
	name: "FirstMatchingRuleApplies",
	says: "A topic keeps what the first rule with a matching pattern says, and the default where none matches.",
	options: eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 4},
		Rules: []eventlog.Rule{
			{Pattern: "a/x", Retention: eventlog.Retention{MaxEntries: 1}},
			{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 2}},
			{Pattern: "a/**", Retention: eventlog.Retention{MaxEntries: 3}},
		},
	},
	check: func(f *fixture) {
		for name, want := range map[string]int{"a/x": 1, "a/y": 2, "a": 3, "a/y/z": 3, "b": 4} {
			f.addMany(9, name)
			if b := f.Bounds(sel(name)); b.Entries != want {
				f.Errorf("%q keeps %d entries, want %d", name, b.Entries, want)
			}
		}
	},
}, {
	name:    "ExpiredEntriesAreGoneAtOnce",
	says:    "An entry that is MaxAge old is not found by any method, and counts as lost, without anybody appending.",
	options: byDefault(eventlog.Retention{MaxAge: maxAge}),
	check:   checkAge,
}, {
	name: "ForgetDropsOneTopic",
	says: "Forget drops what is kept of a topic and says how much; readers are told; later entries are kept.",
	check: func(f *fixture) {
		f.addMany(3, "a")
		f.add("b")
		if n := f.forget("a"); n != 3 {
			f.Errorf("Forget = %d, want 3", n)
		}
		if n := f.forget("a") + f.forget("none"); n != 0 {
			f.Errorf("Forget of nothing = %d", n)
		}
		f.want(sel("a"), 0, nil, 3)
		f.want(sel("**"), 0, from(4, 4), 3)
		f.add("a")
		f.want(sel("a"), 3, from(5, 5), 0)
		f.wantBounds(sel("a"), eventlog.Bounds{Oldest: 5, Newest: 5, Lost: 3, Entries: 1})
	},
}, {
	name: "EntryLivesWhileATopicKeepsIt",
	says: "An entry of several topics stays with those that keep it, and is lost for readers of the others only.",
	options: eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 100},
		Rules:   []eventlog.Rule{{Pattern: "short/*", Retention: eventlog.Retention{MaxEntries: 1}}},
	},
	check: checkSharedEntries,
}}

// maxAge is short, because Run waits for it, and long enough to do something
// before it is over.
const maxAge = 250 * time.Millisecond

func checkAge(f *fixture) {
	s := sel("a")
	start := time.Now()
	f.addEntry(eventlog.Message{Topics: []string{"a", "b"}, ID: "x"})
	f.add("a")
	if f.virtual {
		time.Sleep(maxAge - 1)
	}
	es, lost := f.all(s, 0)
	if time.Since(start) < maxAge && (len(es) != 2 || lost != 0) {
		f.Errorf("before MaxAge is over: %v, lost %d; want [1 2], lost 0", positions(es), lost)
	}
	f.until(maxAge+1-time.Since(start), "expired", func() bool { return len(f.page(s, 0, 2, eventlog.Limit{}).Entries) == 0 })
	for _, s := range []*eventlog.Selector{s, sel("*"), sel("a", "b")} {
		f.want(s, 0, nil, 2)
		f.wantBounds(s, eventlog.Bounds{Lost: 2})
	}
	if f.Find(s, "x") != nil || f.Last(s, 9) != 2 || f.Since(s, time.Time{}) != 2 || f.forget("a") != 0 {
		f.Error("an expired entry is found")
	}
	f.want(sel("b"), 0, nil, 1)
	if f.virtual {
		f.add("a")
		f.want(s, 0, from(3, 3), 2)
	}
}

func checkSharedEntries(f *fixture) {
	f.add("short/a", "long") // 1
	f.add("short/a", "long") // 2: 1 leaves short/a
	f.add("short/b", "long") // 3
	f.add("short/b")         // 4: 3 leaves short/b
	f.want(sel("long"), 0, from(1, 3), 0)
	f.want(sel("short/a"), 0, from(2, 2), 1)
	f.want(sel("short/b"), 0, from(4, 4), 3)
	f.want(sel("short/a", "long"), 0, from(1, 3), 0)
	f.want(sel("short/b", "long"), 0, from(1, 4), 0)
	f.want(sel("short/*"), 0, []uint64{2, 4}, 3)
	f.want(sel("**"), 0, from(1, 4), 0)
	f.wantBounds(sel("short/a", "long"), eventlog.Bounds{Oldest: 1, Newest: 3, Entries: 3})
	f.wantBounds(sel("short/*"), eventlog.Bounds{Oldest: 2, Newest: 4, Lost: 3, Entries: 2})

	f.forget("long")
	f.want(sel("long"), 0, nil, 3)
	f.want(sel("short/a", "long"), 0, from(2, 2), 3)
	f.want(sel("**"), 0, []uint64{2, 4}, 3)
	f.want(sel("**"), 3, from(4, 4), 0)
}
