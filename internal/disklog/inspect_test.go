package disklog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/disklog"
)

func quiet(string, int64, int64) {}

func reader(t testing.TB, dir string) *disklog.Reader {
	t.Helper()
	r, err := disklog.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// sound fails the test if the log in dir is damaged.
func sound(t testing.TB, dir string) *disklog.Report {
	t.Helper()
	r, err := disklog.Verify(t.Context(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Sound() {
		t.Fatalf("Verify finds damage: %q and %d more", r.Damage, r.More)
	}
	return r
}

// keepAll keeps what the file has: a Reader does not know the retention of topics.
var keepAll = disklog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 1 << 30}}}

// A watched log is looked at from outside, at every so many calls, and compared with
// what it says itself when it is opened again, and keeps all.
type watched struct {
	*disklog.Log
	t     *testing.T
	o     disklog.Options
	every int
	crash bool
	dir   string
	calls int
}

func (w *watched) look() *disklog.Log {
	w.t.Helper()
	if w.calls++; w.calls%w.every != 0 {
		return w.Log
	}
	dir := w.dir
	if w.crash {
		w.dir = crashed(w.t, dir)
	}
	if err := w.Log.Close(); err != nil {
		w.t.Fatal(err)
	}
	outside := describe(w.t, w.dir)
	sound(w.t, w.dir)
	all := open(w.t, crashed(w.t, w.dir), keepAll)
	agree(w.t, outside, all)
	all.Close()
	w.Log = open(w.t, w.dir, w.o)
	return w.Log
}

func (w *watched) Append(ctx context.Context, es ...*eventlog.Entry) error {
	return w.look().Append(ctx, es...)
}

func (w *watched) Forget(topic string) (int, error) { return w.look().Forget(topic) }

// A description is what a Reader says of a log.
type description struct {
	info    disklog.Info
	topics  []disklog.Topic
	entries map[string][]*eventlog.Entry // by pattern
}

var lookedAt = []string{"**", "a", "a/*", "b/**"}

func describe(t *testing.T, dir string) (d description) {
	t.Helper()
	r, err := disklog.OpenReader(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if d.info, err = r.Info(t.Context(), quiet); err != nil {
		t.Fatal(err)
	}
	if d.topics, err = r.Topics(t.Context(), sel(t, "**"), quiet); err != nil {
		t.Fatal(err)
	}
	d.entries = make(map[string][]*eventlog.Entry)
	for _, p := range lookedAt {
		d.entries[p] = collect(t, r, p, 0)
		checkLast(t, r, p, d.entries[p])
	}
	return d
}

// checkLast asks for the newest of the entries that there are.
func checkLast(t *testing.T, r *disklog.Reader, pattern string, all []*eventlog.Entry) {
	t.Helper()
	for _, n := range []int{0, 1, 7, 1000} {
		after, err := r.Last(t.Context(), sel(t, pattern), n)
		if err != nil {
			t.Fatal(err)
		}
		want := texts(all[max(0, len(all)-n):])
		if got := texts(collect(t, r, pattern, after)); !slices.Equal(got, want) {
			t.Fatalf("%q: %d entries follow Last(%d), want %d", pattern, len(got), n, len(want))
		}
	}
}

func collect(t testing.TB, r *disklog.Reader, pattern string, after uint64) (list []*eventlog.Entry) {
	t.Helper()
	err := r.Entries(context.Background(), sel(t, pattern), after, func(e *eventlog.Entry, err error) error {
		list = append(list, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func texts(es []*eventlog.Entry) (list []string) {
	for _, e := range es {
		list = append(list, fmt.Sprint(e.Seq, e.Time, e.Message))
	}
	return list
}

// agree compares what was seen from outside with the log itself.
func agree(t *testing.T, d description, l *disklog.Log) {
	t.Helper()
	all := l.Bounds(sel(t, "**"))
	if got, want := fmt.Sprint(d.info.Epoch, d.info.Head, d.info.Entries, d.info.Bytes, d.info.Oldest, d.info.Newest),
		fmt.Sprint(l.Epoch(), l.Head(), all.Entries, all.Bytes, all.Oldest, all.Newest); got != want {
		t.Fatalf("Info says %s, the log %s", got, want)
	}
	for _, tp := range d.topics {
		b := l.Bounds(sel(t, tp.Name))
		got := eventlog.Bounds{Oldest: tp.Oldest, Newest: tp.Newest, Lost: tp.Lost, Entries: tp.Entries, Bytes: tp.Bytes}
		if got != b {
			t.Fatalf("topic %q: from outside %+v, the log says %+v", tp.Name, got, b)
		}
	}
	for pattern, got := range d.entries {
		p, err := l.Read(t.Context(), sel(t, pattern), 0, l.Head(), eventlog.Limit{Entries: 1 << 20, Bytes: 1 << 30})
		if err != nil {
			t.Fatal(err)
		}
		want := texts(p.Entries)
		got = slices.DeleteFunc(got, func(e *eventlog.Entry) bool {
			// See Entries.
			return e.State && !slices.Contains(want, texts([]*eventlog.Entry{e})[0])
		})
		if !slices.Equal(texts(got), want) {
			t.Fatalf("%q: from outside\n%q, the log has\n%q", pattern, texts(got), want)
		}
	}
}

// TestReaderAgreesWithTheLog has the suite's random operations on a log, with topics
// that share entries, state and forgetting, and looks at the file in between.
func TestReaderAgreesWithTheLog(t *testing.T) {
	o := eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 6},
		Rules: []eventlog.Rule{
			{Pattern: "a", Retention: eventlog.Retention{MaxBytes: 60}},
			{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 3}},
			{Pattern: "b/**", Retention: eventlog.Retention{MaxEntries: 40}},
		},
	}
	for _, crash := range []bool{false, true} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprintf("crash=%v/seed=%d", crash, seed), func(t *testing.T) {
				w := &watched{t: t, o: disklog.Options{History: o}, every: 7, crash: crash, dir: t.TempDir()}
				w.Log = open(t, w.dir, w.o)
				logtest.Compare(t, w, logtest.Comparison{Seed: seed, Steps: 300, Options: o})
			})
		}
	}
}

// TestForgottenStateThatIsReplacedIsNotLost has a topic forget a state that another
// topic keeps, and then set it anew: nobody misses the first. Another state, before
// it, is not set again, and is missed.
func TestForgottenStateThatIsReplacedIsNotLost(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, keepAll)
	first, second, fallen := message("a", "1"), message("a", "2"), message("a", "3")
	first.State, second.State, fallen.State = true, true, true
	fallen.Key = "not set again"
	first.Topics = []string{"a", "keeper"}
	fallen.Topics = first.Topics
	add(t, l, fallen, first)
	l.Forget("a")
	add(t, l, second)
	l.Close()
	d := describe(t, dir)
	agree(t, d, open(t, dir, keepAll))
	if got := d.topics[0]; got.Name != "a" || got.Lost != 1 || got.Entries != 1 {
		t.Errorf("topic is %+v, want a with one entry, and lost up to 1", got)
	}
}

func TestReaderTellsWhyItCannotRead(t *testing.T) {
	dir := t.TempDir()
	if _, err := disklog.OpenReader(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("OpenReader of an empty directory gives %v, want one that wraps fs.ErrNotExist", err)
	}
	l := open(t, dir, disklog.Options{})
	if _, err := disklog.OpenReader(dir); !errors.Is(err, disklog.ErrInUse) {
		t.Errorf("OpenReader while a log is open gives %v, want ErrInUse", err)
	}
	l.Close()
	r := reader(t, dir)
	if _, err := disklog.Open(dir, disklog.Options{}); !errors.Is(err, disklog.ErrInUse) {
		t.Errorf("Open while a reader is open gives %v, want ErrInUse", err)
	}
	r.Close()
	open(t, dir, disklog.Options{})
}

// TestReaderOfAnEmptyLog has nothing to find and must say so.
func TestReaderOfAnEmptyLog(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, disklog.Options{}).Close()
	r := reader(t, dir)
	i, err := r.Info(t.Context(), quiet)
	if err != nil || i.Entries != 0 || i.Oldest != 0 || i.Head != 0 || i.Reserved != 0 || i.FreeBytes < 0 || i.FreeBytes > i.FileBytes {
		t.Errorf("Info is %+v, %v", i, err)
	}
	since, err := r.Since(time.Now().Add(-time.Hour))
	last, err2 := r.Last(t.Context(), sel(t, "**"), 5)
	if since != 0 || last != 0 || err != nil || err2 != nil {
		t.Errorf("Since gives %d, %v and Last %d, %v; want 0", since, err, last, err2)
	}
	if got := collect(t, r, "**", 0); len(got) != 0 {
		t.Errorf("entries %q", texts(got))
	}
	sound(t, dir)
}

// TestSinceFindsTheFirstThatIsNotOlder asks for the time of every entry, and for
// those just before and after. Positions have holes.
func TestSinceFindsTheFirstThatIsNotOlder(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 10}}})
	var kept []*eventlog.Entry
	for i := range 60 {
		name := "short"
		if i%7 == 0 {
			name = "long"
		}
		e := message(name, fmt.Sprint(i))
		add(t, l, e)
		if i%7 == 0 || i >= 48 {
			kept = append(kept, e)
		}
	}
	l.Close()
	r := reader(t, dir)
	for _, e := range kept {
		for _, d := range []time.Duration{-1, 0, 1} {
			at := e.Time.Add(d)
			after, err := r.Since(at)
			if err != nil {
				t.Fatal(err)
			}
			want := slices.IndexFunc(kept, func(e *eventlog.Entry) bool { return !e.Time.Before(at) })
			if got := slices.IndexFunc(kept, func(e *eventlog.Entry) bool { return e.Seq > after }); got != want {
				t.Fatalf("Since(%v) is %d: entry %d follows, want %d", at, after, got, want)
			}
		}
	}
}

// TestEntriesHoldsLittleInMemory reads a log far larger than a batch, and stops where
// it is told to.
func TestEntriesHoldsLittleInMemory(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{Durability: disklog.Interval})
	big := make([]byte, 600<<10)
	for i := range 1000 {
		data := "small"
		if i%100 == 99 {
			data = string(big)
		}
		add(t, l, message("a", data))
	}
	l.Close()
	r := reader(t, dir)
	n := 0
	enough := errors.New("enough")
	err := r.Entries(t.Context(), sel(t, "a"), 10, func(e *eventlog.Entry, err error) error {
		if n++; err != nil || e.Seq != uint64(n+10) {
			t.Fatalf("entry number %d has position %d, %v", n, e.Seq, err)
		}
		if n == 900 {
			return enough
		}
		return nil
	})
	if err != enough || n != 900 {
		t.Errorf("%d entries, %v; want 900 and what the function returned", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Entries(ctx, sel(t, "a"), 0, func(*eventlog.Entry, error) error { t.Error("called"); return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
}
