package logtest

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
)

func keyed(key string, topics ...string) *eventlog.Entry {
	e := entry(topics...)
	e.IdempotencyKey = key
	return e
}

var commitRules = []rule{{
	name: "UsedKeyStoresNothing",
	says: "An entry whose idempotency key was used is not stored again, nor followed, and gets the place of the first.",
	check: func(f *fixture) {
		first, again, other := keyed("k", "a"), keyed("k", "b"), keyed("l", "a")
		followed := 0
		f.Follow(func(*eventlog.Entry) { followed++ })
		for _, e := range []*eventlog.Entry{first, again, other} {
			if err := f.Append(background, e); err != nil {
				f.Fatal(err)
			}
		}
		if first.Duplicate || !again.Duplicate || other.Duplicate {
			f.Errorf("duplicates: %v %v %v, want false, true, false", first.Duplicate, again.Duplicate, other.Duplicate)
		}
		if again.Seq != 1 || !again.Time.Equal(first.Time) || other.Seq != 2 || followed != 2 {
			f.Errorf("positions %d %d, time %v, followed %d; want 1 2, %v, 2", again.Seq, other.Seq, again.Time, followed, first.Time)
		}
		f.want(sel("**"), 0, from(1, 2), 0)
	},
}, {
	name: "KeyUsedTwiceInOneBatchStoresOne",
	says: "Of entries in one call with the same idempotency key the first is stored.",
	check: func(f *fixture) {
		batch := []*eventlog.Entry{keyed("k", "a"), entry("a"), keyed("k", "a"), entry("a")}
		if err := f.Append(background, batch...); err != nil {
			f.Fatal(err)
		}
		if got := positions(batch); !slices.Equal(got, []uint64{1, 2, 1, 3}) || !batch[2].Duplicate {
			f.Errorf("positions %v, duplicate %v; want [1 2 1 3], true", got, batch[2].Duplicate)
		}
	},
}, {
	name:    "KeysAreForgottenAfterTheWindow",
	says:    "An idempotency key can be used again when Options.KeyWindow has passed.",
	options: eventlog.Options{KeyWindow: time.Minute},
	check: func(f *fixture) {
		if !f.virtual {
			return // it would have to wait
		}
		for i, duplicate := range []bool{false, true, false} {
			e := keyed("k", "a")
			if err := f.Append(background, e); err != nil || e.Duplicate != duplicate {
				f.Errorf("use %d: %v, duplicate %v", i, err, e.Duplicate)
			}
			time.Sleep(time.Minute)
			if i == 0 {
				continue
			}
			time.Sleep(time.Nanosecond)
		}
	},
}, {
	name:    "OldestKeyIsForgottenAtTheBound",
	says:    "No more than Options.MaxKeys idempotency keys are remembered, the newest.",
	options: eventlog.Options{MaxKeys: 2},
	check: func(f *fixture) {
		for _, c := range []struct {
			key       string
			duplicate bool
		}{{"a", false}, {"b", false}, {"c", false}, {"b", true}, {"c", true}, {"a", false}} {
			e := keyed(c.key, "t")
			if err := f.Append(background, e); err != nil || e.Duplicate != c.duplicate {
				f.Errorf("key %q: %v, duplicate %v, want %v", c.key, err, e.Duplicate, c.duplicate)
			}
		}
	},
}, {
	name:  "ValuesAreSetAndDeleted",
	says:  "Commit sets values and deletes those that are nil; an empty value is one.",
	check: checkValues,
}, {
	name: "CommitIsAllOrNothing",
	says: "When an entry is refused, or the values are too much, neither entries nor values are stored.",
	options: eventlog.Options{
		Default:    eventlog.Retention{MaxEntries: 10},
		ValueBytes: 200,
	},
	check: func(f *fixture) {
		put := []eventlog.Put{{Key: "k", Value: []byte("v")}}
		if err := f.Commit(background, put, entry("a"), entry("a//b")); !errors.Is(err, eventlog.ErrTopic) {
			f.Errorf("Commit with a bad topic = %v, want ErrTopic", err)
		}
		if err := f.Commit(background, []eventlog.Put{{Key: "k", Value: make([]byte, 200)}}, entry("a")); !errors.Is(err, eventlog.ErrFull) {
			f.Errorf("Commit of too much = %v, want ErrFull", err)
		}
		if f.Value("k") != nil || f.Head() != 0 {
			f.Errorf("value %q, Head() = %d; want none, 0", f.Value("k"), f.Head())
		}
		if err := f.Commit(background, put, entry("a")); err != nil || f.Head() != 1 || string(f.Value("k")) != "v" {
			f.Errorf("Commit = %v, Head() = %d, value %q", err, f.Head(), f.Value("k"))
		}
	},
}}

func checkValues(f *fixture) {
	commit := func(puts ...eventlog.Put) {
		f.Helper()
		if err := f.Commit(background, puts); err != nil {
			f.Fatal(err)
		}
	}
	want := func(prefix string, want map[string]string) {
		f.Helper()
		got := make(map[string]string)
		var keys []string
		for k, v := range f.Values(prefix) {
			keys = append(keys, k)
			got[k] = string(v)
		}
		if !maps.Equal(got, want) || !slices.IsSorted(keys) {
			f.Errorf("Values(%q) = %v in order %q, want %v", prefix, got, keys, want)
		}
	}
	want("", map[string]string{})
	commit(eventlog.Put{Key: "a/1", Value: []byte("x")}, eventlog.Put{Key: "a/2", Value: []byte{}}, eventlog.Put{Key: "b", Value: []byte("y")})
	want("", map[string]string{"a/1": "x", "a/2": "", "b": "y"})
	want("a/", map[string]string{"a/1": "x", "a/2": ""})
	commit(eventlog.Put{Key: "a/1"}, eventlog.Put{Key: "none"}, eventlog.Put{Key: "b", Value: []byte("z")})
	want("", map[string]string{"a/2": "", "b": "z"})
	if f.Value("a/2") == nil || f.Value("a/1") != nil {
		f.Errorf("values %v and %v; want an empty one and none", f.Value("a/2"), f.Value("a/1"))
	}
}
