package logtest

import (
	"fmt"

	"github.com/weirstream/weir/eventlog"
)

func value(key, data string, topics ...string) eventlog.Message {
	return eventlog.Message{Topics: topics, Key: key, State: true, Data: []byte(data)}
}

var stateRules = []rule{{
	name:    "NewestStateOutlivesRetention",
	says:    "A topic keeps the newest state of each key beyond its retention, and older states are not missed.",
	options: byDefault(eventlog.Retention{MaxEntries: 2}),
	check: func(f *fixture) {
		f.addEntry(value("red", "1", "a"))   // 1
		f.addEntry(value("green", "1", "a")) // 2
		f.addEntry(value("red", "2", "a"))   // 3
		f.addEntry(value("blue", "1", "a"))  // 4
		f.addEntry(value("blue", "2", "a"))  // 5
		f.addEntry(value("blue", "3", "a"))  // 6
		f.want(sel("a"), 0, []uint64{2, 3, 5, 6}, 0)
		f.want(sel("*"), 1, []uint64{2, 3, 5, 6}, 0)
		f.want(sel("a"), 3, []uint64{5, 6}, 0) // only what has changed
		f.wantBounds(sel("a"), eventlog.Bounds{Oldest: 2, Newest: 6, Entries: 4})
		if got := f.Last(sel("a"), 3); got != 2 {
			f.Errorf("Last(3) = %d, want 2", got)
		}
	},
}, {
	name:    "OtherMessagesAreStillMissed",
	says:    "Messages that are no state are trimmed and missed as ever, also in a topic with state.",
	options: byDefault(eventlog.Retention{MaxEntries: 2}),
	check: func(f *fixture) {
		f.addEntry(value("k", "1", "a")) // 1
		f.addMany(4, "a")                // 2 to 5
		f.want(sel("a"), 0, []uint64{1, 4, 5}, 3)
		f.want(sel("a"), 3, []uint64{4, 5}, 0)
	},
}, {
	name:    "ForgetDropsState",
	says:    "Forget drops state as well, and it is missed.",
	options: byDefault(eventlog.Retention{MaxEntries: 1}),
	check: func(f *fixture) {
		f.addEntry(value("x", "1", "a"))
		f.addEntry(value("y", "1", "a"))
		if n := f.forget("a"); n != 2 {
			f.Errorf("Forget = %d, want 2", n)
		}
		f.want(sel("a"), 0, nil, 2)
		f.addEntry(value("x", "2", "a"))
		f.want(sel("a"), 2, []uint64{3}, 0)
	},
}, {
	name:    "StateIsPerTopic",
	says:    "Each topic of an entry has its own newest state: the entry stays while it is that of one of them.",
	options: byDefault(eventlog.Retention{MaxEntries: 1}),
	check: func(f *fixture) {
		f.addEntry(value("k", "1", "a", "b")) // 1
		f.addEntry(value("k", "2", "a"))      // 2
		f.addMany(2, "a")                     // 3, 4
		f.addMany(2, "b")                     // 5, 6
		f.want(sel("a"), 0, []uint64{2, 4}, 3)
		f.want(sel("b"), 0, []uint64{1, 6}, 5)
		f.want(sel("*"), 0, []uint64{1, 2, 4, 6}, 5)
	},
}, {
	name:    "TotalDropsStateToo",
	says:    "The size of the whole log holds for state as well; what goes is missed.",
	options: eventlog.Options{Default: eventlog.Retention{MaxEntries: 1}, TotalBytes: 20_000},
	check: func(f *fixture) {
		for i := range 100 {
			f.addEntry(value(fmt.Sprint(i), string(make([]byte, 1000)), "a"))
		}
		b := f.Bounds(sel("a"))
		if b.Entries < 5 || b.Entries > 20 || b.Oldest != 101-uint64(b.Entries) || b.Lost != b.Oldest-1 {
			f.Errorf("Bounds = %+v of 100 keys of 1,000 bytes under 20,000", b)
		}
	},
}}
