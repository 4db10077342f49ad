package logtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/weirstream/weir/eventlog"
)

// conditionalRules are those of logs that are [eventlog.Conditional].
var conditionalRules = []rule{{
	name:  "ChangeIsStoredIfValuesAreAsExpected",
	says:  "CommitIf stores all of a change if its values are as expected, and nothing and ErrChanged otherwise; an empty value is not none.",
	check: ifConditional(checkExpectations),
}, {
	name:  "ForgettingIsPartOfAChange",
	says:  "A change forgets what topics had before it, and nothing that comes with it or later, or if it is not stored.",
	check: ifConditional(checkChangeForgets),
}, {
	name:  "OfChangesAtOnceOneIsStored",
	says:  "Of changes that expect the same and change it, one is stored, and in the order of what they expect.",
	check: ifConditional(checkCounting),
}, {
	name:    "ChangeIsCheckedAsCommitIs",
	says:    "CommitIf refuses what Commit refuses: bad topics, values that are too large, a context that has ended, a closed log.",
	options: eventlog.Options{ValueBytes: 200},
	check:   ifConditional(checkChangeIsChecked),
}, {
	name:  "ValuesAreFollowed",
	says:  "All who follow values get the puts of each commit before it returns, in order, until they stop; and nothing of one that fails.",
	check: ifConditional(checkValuesAreFollowed),
}}

func ifConditional(check func(*fixture, eventlog.Conditional)) func(*fixture) {
	return func(f *fixture) {
		if l, ok := f.Log.(eventlog.Conditional); ok {
			check(f, l)
		}
	}
}

func put(key, value string) eventlog.Put { return eventlog.Put{Key: key, Value: []byte(value)} }

func none(key string) eventlog.Put { return eventlog.Put{Key: key} }

func checkExpectations(f *fixture, l eventlog.Conditional) {
	stored := 0
	for i, c := range []struct {
		expect []eventlog.Put
		puts   []eventlog.Put
		ok     bool
	}{
		{[]eventlog.Put{put("a", "")}, []eventlog.Put{put("a", "1")}, false},
		{[]eventlog.Put{none("a")}, []eventlog.Put{put("a", "1")}, true},
		{[]eventlog.Put{none("a")}, []eventlog.Put{put("a", "2")}, false},
		{[]eventlog.Put{put("a", "1"), none("b")}, []eventlog.Put{put("a", "2"), put("b", "")}, true},
		{[]eventlog.Put{put("a", "2"), none("b")}, []eventlog.Put{put("a", "3")}, false},
		{[]eventlog.Put{put("b", ""), put("a", "2")}, nil, true},
		{nil, []eventlog.Put{none("b")}, true},
		{[]eventlog.Put{put("b", "")}, nil, false},
		{[]eventlog.Put{none("b")}, []eventlog.Put{none("a")}, true},
	} {
		e := entry("t")
		err := l.CommitIf(background, eventlog.Change{Expect: c.expect, Puts: c.puts, Entries: []*eventlog.Entry{e}})
		if c.ok {
			stored++
		}
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, eventlog.ErrChanged) || f.Head() != uint64(stored) {
			f.Fatalf("change %d = %v, Head() = %d; want that it is stored: %v", i, err, f.Head(), c.ok)
		}
	}
	if f.Value("a") != nil || f.Value("b") != nil {
		f.Errorf("values are %q and %q, want none", f.Value("a"), f.Value("b"))
	}
	f.want(sel("t"), 0, from(1, uint64(stored)), 0)
}

func checkChangeForgets(f *fixture, l eventlog.Conditional) {
	f.addMany(3, "a") // 1 to 3
	f.add("a", "b")   // 4
	f.addMany(2, "c") // 5, 6
	change := eventlog.Change{Expect: []eventlog.Put{put("k", "x")}, Forget: []string{"a", "c", "unknown"}, Entries: []*eventlog.Entry{entry("a"), entry("b")}}
	if err := l.CommitIf(background, change); !errors.Is(err, eventlog.ErrChanged) {
		f.Errorf("CommitIf = %v, want ErrChanged", err)
	}
	f.want(sel("**"), 0, from(1, 6), 0)
	change.Expect = nil
	if err := l.CommitIf(background, change); err != nil {
		f.Fatal(err)
	}
	f.add("a") // 9
	f.want(sel("a"), 0, []uint64{7, 9}, 4)
	f.want(sel("b"), 0, []uint64{4, 8}, 0)
	f.want(sel("c"), 0, nil, 6)
}

// checkCounting counts with several goroutines, each of which appends the number that it
// has read.
func checkCounting(f *fixture, l eventlog.Conditional) {
	const counters, steps = 4, 20
	var wg sync.WaitGroup
	for range counters {
		wg.Go(func() {
			for done := 0; done < steps; {
				old := l.Value("n")
				n := 0
				_, _ = fmt.Sscan(string(old), &n) // none is 0
				e := entry("t")
				e.Data = []byte(fmt.Sprint(n))
				err := l.CommitIf(background, eventlog.Change{
					Expect: []eventlog.Put{{Key: "n", Value: old}}, Puts: []eventlog.Put{put("n", fmt.Sprint(n+1))}, Entries: []*eventlog.Entry{e},
				})
				if err == nil {
					done++
				} else if !errors.Is(err, eventlog.ErrChanged) {
					f.Errorf("CommitIf = %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	es, _ := f.all(sel("t"), 0)
	for i, e := range es {
		if string(e.Data) != fmt.Sprint(i) {
			f.Fatalf("entry %d has number %s", i, e.Data)
		}
	}
	if len(es) != counters*steps || string(l.Value("n")) != fmt.Sprint(counters*steps) {
		f.Errorf("%d entries, value %q, want %d", len(es), l.Value("n"), counters*steps)
	}
}

func checkChangeIsChecked(f *fixture, l eventlog.Conditional) {
	ended, cancel := context.WithCancel(background)
	cancel()
	check := func(ctx context.Context, c eventlog.Change, want error) {
		f.Helper()
		if err := l.CommitIf(ctx, c); !errors.Is(err, want) {
			f.Errorf("CommitIf = %v, want %v", err, want)
		}
	}
	good := eventlog.Change{Puts: []eventlog.Put{put("k", "v")}, Entries: []*eventlog.Entry{entry("a")}}
	check(background, eventlog.Change{Puts: good.Puts, Entries: []*eventlog.Entry{entry("a//b")}}, eventlog.ErrTopic)
	check(background, eventlog.Change{Puts: []eventlog.Put{put("k", string(make([]byte, 200)))}, Entries: good.Entries}, eventlog.ErrFull)
	check(ended, good, context.Canceled)
	if f.Head() != 0 || f.Value("k") != nil {
		f.Errorf("Head() = %d, value %q; want 0, none", f.Head(), f.Value("k"))
	}
	check(background, good, nil)
	if err := f.Close(); err != nil {
		f.Error(err)
	}
	check(background, eventlog.Change{Entries: []*eventlog.Entry{entry("a")}}, eventlog.ErrClosed)
}

func checkValuesAreFollowed(f *fixture, l eventlog.Conditional) {
	var told []string
	other := 0
	stopOther := l.FollowValues(func([]eventlog.Put) { other++ })
	stop := l.FollowValues(func(puts []eventlog.Put) {
		for _, p := range puts {
			told = append(told, fmt.Sprintf("%s=%s %v", p.Key, p.Value, p.Value == nil))
		}
	})
	want := func(want ...string) {
		f.Helper()
		if !slices.Equal(told, want) {
			f.Errorf("who follows was told of %q, want %q", told, want)
		}
		told = nil
	}
	f.add("a")
	want()
	if err := f.Commit(background, []eventlog.Put{put("a", "1"), put("b", "")}, entry("a")); err != nil {
		f.Fatal(err)
	}
	want("a=1 false", "b= false")
	if err := l.CommitIf(background, eventlog.Change{Expect: []eventlog.Put{none("a")}, Puts: []eventlog.Put{put("a", "2")}}); err == nil {
		f.Error("a change is stored although a value is not as expected")
	}
	want()
	if err := l.CommitIf(background, eventlog.Change{Expect: []eventlog.Put{put("a", "1")}, Puts: []eventlog.Put{none("a")}}); err != nil {
		f.Fatal(err)
	}
	want("a= true")
	stop()
	if err := f.Commit(background, []eventlog.Put{put("c", "1")}); err != nil {
		f.Fatal(err)
	}
	want()
	stopOther()
	if other != 3 {
		f.Errorf("another one was told %d times, want 3", other)
	}
}
