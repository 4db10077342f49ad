package logtest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
)

var appendRules = []rule{{
	name: "PositionsRiseByOne",
	says: "Entries get consecutive positions from 1, in the order of Append and within a batch, and Head is the newest.",
	check: func(f *fixture) {
		if f.Head() != 0 {
			f.Errorf("Head() of an empty log = %d, want 0", f.Head())
		}
		a := f.add("a")
		batch := []*eventlog.Entry{entry("a"), entry("b"), entry("a")}
		if err := f.Append(background, batch...); err != nil {
			f.Fatal(err)
		}
		if a != 1 || batch[0].Seq != 2 || batch[1].Seq != 3 || batch[2].Seq != 4 || f.Head() != 4 {
			f.Errorf("positions %d %d %d %d, Head() = %d; want 1 2 3 4, 4", a, batch[0].Seq, batch[1].Seq, batch[2].Seq, f.Head())
		}
		if err := f.Append(background); err != nil || f.Head() != 4 {
			f.Errorf("Append of nothing = %v, Head() = %d; want nil, 4", err, f.Head())
		}
	},
}, {
	name:  "EntriesComeBackAsTheyWere",
	says:  "Read returns every field of the message and the position and time that Append set.",
	check: checkFieldsSurvive,
}, {
	name: "BatchIsStoredWholeOrNotAtAll",
	says: "When one entry of a batch is refused, none is stored, no position is used and the follower is not called.",
	check: func(f *fixture) {
		f.Follow(func(e *eventlog.Entry) { f.Errorf("the follower gets %q", e.Topics) })
		if err := f.Append(background, entry("a"), entry("b"), entry("a//b")); !errors.Is(err, eventlog.ErrTopic) {
			f.Errorf("Append with a bad topic = %v, want ErrTopic", err)
		}
		if f.Head() != 0 {
			f.Errorf("Head() = %d, want 0", f.Head())
		}
		f.wantBounds(sel("**"), eventlog.Bounds{})
	},
}, {
	name:  "TopicsAreChecked",
	says:  "An entry without topics, with one that is no topic name, or with too many, is refused with ErrTopic.",
	check: checkTopicsAreChecked,
}, {
	name: "ChosenIDIsNoPosition",
	says: "A publisher may choose any ID but one that has the form of a position, of this log or any other.",
	check: func(f *fixture) {
		for _, id := range []string{eventlog.FormatID(f.Epoch(), 1), "aaaaaaaa-0"} {
			e := entry("a")
			e.ID = id
			if err := f.Append(background, e); !errors.Is(err, eventlog.ErrID) {
				f.Errorf("Append with ID %q = %v, want ErrID", id, err)
			}
		}
		for _, id := range []string{f.Epoch(), "aaaaaaaa-01", "1"} {
			f.addEntry(eventlog.Message{Topics: []string{"a"}, ID: id})
		}
	},
}, {
	name: "TopicNamedTwiceCountsOnce",
	says: "A topic that an entry names twice has the entry once.",
	check: func(f *fixture) {
		seq := f.add("a", "b", "a")
		f.wantBounds(sel("a"), eventlog.Bounds{Oldest: seq, Newest: seq, Entries: 1})
		f.wantBounds(sel("**"), eventlog.Bounds{Oldest: seq, Newest: seq, Entries: 1})
		if n := f.forget("a"); n != 1 {
			f.Errorf("Forget = %d, want 1", n)
		}
	},
}, {
	name:    "PositionsAreNeverIssuedAgain",
	says:    "A position that was issued is not issued again, also when its entry is gone.",
	options: eventlog.Options{Default: eventlog.Retention{MaxEntries: 2}},
	check: func(f *fixture) {
		last := f.addMany(5, "a")
		f.forget("a")
		if f.Head() != last {
			f.Errorf("Head() = %d after Forget, want %d", f.Head(), last)
		}
		if next := f.add("a"); next != last+1 {
			f.Errorf("position %d after %d", next, last)
		}
	},
}, {
	name: "TimeNeverDecreases",
	says: "The time of an entry is that of the log's clock and not before the time of the entry before it.",
	check: func(f *fixture) {
		start := time.Now().Add(-time.Millisecond).Truncate(time.Millisecond)
		f.addMany(100, "a")
		last := start
		es, _ := f.all(sel("a"), 0)
		for _, e := range es {
			if e.Time.Before(last) {
				f.Fatalf("entry %d has time %v after %v", e.Seq, e.Time, last)
			}
			last = e.Time
		}
		if late := time.Now().Add(time.Millisecond); last.After(late) {
			f.Errorf("time %v is after %v", last, late)
		}
	},
}, {
	name: "CancelledAppendStoresNothing",
	says: "Append with a context that has ended fails and stores nothing.",
	check: func(f *fixture) {
		ctx, cancel := context.WithCancel(background)
		cancel()
		if err := f.Append(ctx, entry("a")); !errors.Is(err, context.Canceled) || f.Head() != 0 {
			f.Errorf("Append = %v, Head() = %d; want context.Canceled, 0", err, f.Head())
		}
	},
}, {
	name: "EpochFormsIDs",
	says: "The epoch is such that the IDs made with it can be taken apart.",
	check: func(f *fixture) {
		id := eventlog.FormatID(f.Epoch(), 7)
		if epoch, seq, ok := eventlog.ParseID(id); !ok || epoch != f.Epoch() || seq != 7 {
			f.Errorf("ParseID(%q) = %q, %d, %v", id, epoch, seq, ok)
		}
	},
}, {
	name: "CloseEndsTheLog",
	says: "After Close, Append and Read fail with ErrClosed and nothing is found.",
	check: func(f *fixture) {
		f.addMany(3, "a")
		if err := f.Close(); err != nil {
			f.Errorf("Close() = %v", err)
		}
		if err := f.Append(background, entry("a")); !errors.Is(err, eventlog.ErrClosed) {
			f.Errorf("Append after Close = %v, want ErrClosed", err)
		}
		if _, err := f.Read(background, sel("a"), 0, 3, eventlog.Limit{}); !errors.Is(err, eventlog.ErrClosed) {
			f.Errorf("Read after Close = %v, want ErrClosed", err)
		}
		if b := f.Bounds(sel("a")); b.Entries != 0 || forgotten(f.Forget("a")) != 0 || f.Find(sel("a"), "x") != nil {
			f.Errorf("after Close something is found: %+v", b)
		}
	},
}}

func entry(topics ...string) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: topics, Data: []byte("0123456789")}}
}

func checkFieldsSurvive(f *fixture) {
	m := eventlog.Message{
		Topics: []string{"你好/🎉", "b"}, Type: "tick", ID: "row 7", Key: "k",
		Retry: 1500 * time.Millisecond, Data: []byte("a\r\nb\x00\xff"),
	}
	want := m
	e := f.addEntry(m)
	es, _ := f.all(sel("b"), 0)
	if len(es) != 1 {
		f.Fatalf("read %v, want one entry", positions(es))
	}
	if got := es[0]; !equalMessage(got.Message, want) || got.Seq != e.Seq || !got.Time.Equal(e.Time) {
		f.Errorf("read %+v at %d, %v; want %+v at %d, %v", got.Message, got.Seq, got.Time, want, e.Seq, e.Time)
	}
}

func checkTopicsAreChecked(f *fixture) {
	many := make([]string, eventlog.MaxEntryTopics+1)
	for i := range many {
		many[i] = strings.Repeat("x", i%200+1)
	}
	for _, topics := range [][]string{
		nil, {""}, {"a", ""}, {"/"}, {"a//b"}, {"a/*"}, {"**"}, {"a\n"}, {"\xff"}, {".."}, {strings.Repeat("x", 256)}, many,
	} {
		if err := f.Append(background, entry(topics...)); !errors.Is(err, eventlog.ErrTopic) {
			f.Errorf("Append(%q) = %v, want ErrTopic", topics, err)
		}
	}
	if f.Head() != 0 {
		f.Errorf("Head() = %d, want 0", f.Head())
	}
}

var followRules = []rule{{
	name:  "FollowerSeesEverythingInOrder",
	says:  "The follower is called once for each entry, in order, before its Append returns, however many append at once.",
	check: checkFollow,
}, {
	name: "FollowerIsReplaced",
	says: "A log has one follower: the last one set, or none after nil. It gets what is appended from then on.",
	check: func(f *fixture) {
		var first, second []uint64
		f.add("a")
		f.Follow(func(e *eventlog.Entry) { first = append(first, e.Seq) })
		f.add("a")
		f.Follow(func(e *eventlog.Entry) { second = append(second, e.Seq) })
		f.add("a")
		f.Follow(nil)
		f.add("a")
		if len(first) != 1 || first[0] != 2 || len(second) != 1 || second[0] != 3 {
			f.Errorf("the first follower got %v, the second %v; want [2] and [3]", first, second)
		}
	},
}, {
	name:    "FollowerSeesWhatIsNotKept",
	says:    "The follower also gets entries that the log does not keep.",
	options: eventlog.Options{Default: eventlog.Retention{MaxEntries: -1}},
	check: func(f *fixture) {
		var seqs []uint64
		f.Follow(func(e *eventlog.Entry) { seqs = append(seqs, e.Seq) })
		f.addMany(3, "a")
		if len(seqs) != 3 {
			f.Errorf("the follower got %v, want [1 2 3]", seqs)
		}
	},
}}

func checkFollow(f *fixture) {
	const writers, batches = 4, 50
	var (
		mu   sync.Mutex
		last uint64
	)
	f.Follow(func(e *eventlog.Entry) {
		mu.Lock()
		defer mu.Unlock()
		if e.Seq != last+1 {
			f.Errorf("the follower gets %d after %d", e.Seq, last)
		}
		last = e.Seq
	})
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range batches {
				batch := []*eventlog.Entry{entry("a"), entry("b"), entry("a", "b")}[:1+i%3]
				if err := f.Append(background, batch...); err != nil {
					f.Error(err)
				}
				mu.Lock()
				seen := last
				mu.Unlock()
				checkBatch(f.T, batch, seen)
			}
		})
	}
	wg.Wait()
	if last != f.Head() || last == 0 {
		f.Errorf("the follower got %d entries, Head() = %d", last, f.Head())
	}
}

func checkBatch(t *testing.T, batch []*eventlog.Entry, seen uint64) {
	for i, e := range batch {
		if e.Seq != batch[0].Seq+uint64(i) {
			t.Errorf("entry %d of a batch has position %d, the first %d", i, e.Seq, batch[0].Seq)
		}
		if e.Seq > seen {
			t.Errorf("Append returned before the follower got %d", e.Seq)
		}
	}
}

// forgotten is for a log that may fail: what it has forgotten then is nothing.
func forgotten(n int, _ error) int { return n }
