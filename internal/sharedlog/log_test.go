package sharedlog_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/sharedlog"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

func open(t testing.TB, e sharedlog.Engine, o sharedlog.Options) *sharedlog.Log {
	t.Helper()
	l, err := sharedlog.Open(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func message(topic, data string) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: []string{topic}, Data: []byte(data)}}
}

func add(t testing.TB, l eventlog.Log, es ...*eventlog.Entry) {
	t.Helper()
	if err := l.Append(context.Background(), es...); err != nil {
		t.Fatal(err)
	}
}

func sel(t testing.TB, patterns ...string) *eventlog.Selector {
	t.Helper()
	s, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns the data of all kept entries after a position, and the highest position
// lost.
func read(t testing.TB, l eventlog.Log, after uint64, patterns ...string) (list []string, lost uint64) {
	t.Helper()
	for head := l.Head(); after < head; {
		p, err := l.Read(context.Background(), sel(t, patterns...), after, head, eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range p.Entries {
			list = append(list, string(e.Data))
		}
		lost, after = max(lost, p.Lost), p.Next
	}
	return list, lost
}

func within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not %s", d, what)
		}
	}
}

func TestLogIsALog(t *testing.T) {
	for name, hot := range map[string]int64{"hot": 0, "cold": 1} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
				return open(t, newList(), sharedlog.Options{History: o, HotBytes: hot})
			})
		})
	}
}

var errLost = errors.New("the connection is lost")

// TestLostAnswersChangeNothing loses every third answer, before or after the record is
// stored: everything is acknowledged and stored once.
func TestLostAnswersChangeNothing(t *testing.T) {
	e := newList()
	e.before = func(n int) error { return lostIf(n%3 == 0) }
	e.after = func(n int) error { return lostIf(n%3 == 1) }
	nodes := []*sharedlog.Log{open(t, e, sharedlog.Options{}), open(t, e, sharedlog.Options{})}
	var want []string
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i, l := range nodes {
		for g := range 4 {
			wg.Go(func() {
				for n := range 30 {
					data := fmt.Sprint(i, g, n)
					if err := l.Append(context.Background(), message("a", data)); err != nil {
						t.Errorf("Append = %v", err)
					}
					mu.Lock()
					want = append(want, data)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(want)
	for i, l := range nodes {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		got, lost := read(t, l, 0, "a")
		slices.Sort(got)
		if !slices.Equal(got, want) || lost != 0 {
			t.Errorf("node %d has %d messages, %d were published; lost %d", i, len(got), len(want), lost)
		}
	}
}

// TestLateRecordIsStoredOnce has records that arrive when they have been given up for
// lost, and are sent again.
func TestLateRecordIsStoredOnce(t *testing.T) {
	e := newList()
	e.late = func(n int) bool { return n%2 == 1 }
	l := open(t, e, sharedlog.Options{})
	var want []string
	for i := range 20 {
		want = append(want, fmt.Sprint(i))
		add(t, l, message("a", want[i]))
	}
	if got, _ := read(t, l, 0, "a"); !slices.Equal(got, want) {
		t.Errorf("%q is stored, want %q", got, want)
	}
}

func lostIf(lost bool) error {
	if lost {
		return errLost
	}
	return nil
}

// TestUnknownIsUnavailable has an engine that stores but does not answer, for longer
// than anybody waits: the tail brings the record, so it is acknowledged. One that does
// not store is unavailable in time.
func TestUnknownIsUnavailable(t *testing.T) {
	e := newList()
	l := open(t, e, sharedlog.Options{Wait: 200 * time.Millisecond})
	e.after = func(int) error { return errLost }
	add(t, l, message("a", "stored"))
	e.before = func(int) error { return errLost }
	start := time.Now()
	err := l.Append(t.Context(), message("a", "not stored"))
	if took := time.Since(start); !errors.Is(err, eventlog.ErrUnavailable) || !strings.Contains(err.Error(), errLost.Error()) || took > 2*time.Second {
		t.Errorf("Append = %v after %v, want ErrUnavailable with the reason after 200ms", err, took)
	}
	e.before, e.after = nil, nil
	add(t, l, message("a", "again"))
	if got, _ := read(t, l, 0, "a"); !slices.Equal(got, []string{"stored", "again"}) {
		t.Errorf("%q is stored, want stored and again", got)
	}
}

// TestRefusalIsToldAtOnce has an engine that is full: nobody waits.
func TestRefusalIsToldAtOnce(t *testing.T) {
	e := newList()
	l := open(t, e, sharedlog.Options{})
	e.before = func(int) error { return fmt.Errorf("%w: memory", eventlog.ErrFull) }
	start := time.Now()
	if err := l.Append(t.Context(), message("a", "1")); !errors.Is(err, eventlog.ErrFull) || time.Since(start) > 2*time.Second {
		t.Errorf("Append = %v after %v, want ErrFull at once", err, time.Since(start))
	}
	e.before = nil
	e2 := message("a", "2")
	if add(t, l, e2); e2.Seq != 1 {
		t.Errorf("position %d, want 1", e2.Seq)
	}
}

// TestOtherBranchIsAGap takes the list back to what it was and lets a node that knows
// nothing of it go on from there, so that positions are given twice. All nodes agree
// in the end, no later position was given before, and readers are told.
func TestOtherBranchIsAGap(t *testing.T) {
	e := newList()
	var lapsed atomic.Int32
	a := open(t, e, sharedlog.Options{Lapsed: func() { lapsed.Add(1) }})
	var seqs []uint64
	a.Follow(func(e *eventlog.Entry) { seqs = append(seqs, e.Seq) })
	add(t, a, message("a", "1"))
	before := e.copy()
	add(t, a, message("a", "lost 2"), message("a", "lost 3"))

	other := newList() // what the list has become, for those that come then
	other.restore(before)
	b := open(t, other, sharedlog.Options{})
	add(t, b, message("a", "2"))
	add(t, b, message("a", "3"))
	b.Close()
	e.restore(other.copy())
	within(t, 5*time.Second, "the node has noticed", func() bool { return lapsed.Load() == 1 })

	last := message("a", "4")
	add(t, a, last)
	b = open(t, e, sharedlog.Options{})
	for i, l := range []*sharedlog.Log{a, b} {
		for after, gap := range map[uint64]bool{0: true, 2: true, 3: true, last.Seq - 1: false} {
			got, lost := read(t, l, after, "a")
			want := []string{"1", "2", "3", "4"}[min(after, 3):]
			if !slices.Equal(got, want) || gap != (lost > 0) || lost >= last.Seq {
				t.Errorf("node %d after %d: %q, lost up to %d; want %q, a gap %v", i, after, got, lost, want, gap)
			}
		}
	}
	if !slices.IsSorted(seqs) || len(slices.Compact(seqs)) != len(seqs) || last.Seq <= 3 {
		t.Errorf("the follower got %v", seqs)
	}
}

// TestLostRecordsArePutBackBeforeAnybodyWrites takes the newest records from the list
// while no node can reach it. One node has seen them, another has not and cannot wait
// to publish.
func TestLostRecordsArePutBackBeforeAnybodyWrites(t *testing.T) {
	e := newList()
	var down sync.WaitGroup
	node := func() (*sharedlog.Log, *line) {
		ln := &line{list: e}
		var once sync.Once
		down.Add(1)
		return open(t, ln, sharedlog.Options{Status: func(up bool, _ error) { once.Do(down.Done) }}), ln
	}
	a, lineA := node()
	b, lineB := node()
	add(t, a, message("a", "1"))
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := e.copy()
	lineB.cut.Store(true)
	add(t, a, message("a", "2"), message("a", "3"))
	lineA.cut.Store(true)
	down.Wait()
	e.restore(before)
	var publisher sync.WaitGroup
	publisher.Go(func() { add(t, b, message("a", "4")) })
	lineB.cut.Store(false)
	lineA.cut.Store(false)
	publisher.Wait()
	for i, l := range []*sharedlog.Log{a, b, open(t, e, sharedlog.Options{})} {
		if err := l.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, lost := read(t, l, 0, "a"); !slices.Equal(got, []string{"1", "2", "3", "4"}) || lost != 0 {
			t.Errorf("node %d: %q, lost up to %d; want 1 to 4", i, got, lost)
		}
	}
}

// TestOtherListEndsTheNode replaces the list by one with another epoch.
func TestOtherListEndsTheNode(t *testing.T) {
	e := newList()
	failed := make(chan error, 1)
	l := open(t, e, sharedlog.Options{Failed: func(err error) { failed <- err }})
	add(t, l, message("a", "1"))
	other := newList()
	open(t, other, sharedlog.Options{}).Close()
	e.restore(other.copy())
	if err := <-failed; !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("Failed is told %v", err)
	}
	if err := l.Append(t.Context(), message("a", "2")); !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("Append = %v, want ErrFailed", err)
	}
	if got, _ := read(t, l, 0, "a"); !slices.Equal(got, []string{"1"}) {
		t.Errorf("%q can be read, want 1", got)
	}
}

// TestMissingRecordIsAGap deletes a record that nobody was to delete.
func TestMissingRecordIsAGap(t *testing.T) {
	for _, missing := range []uint64{1, 2, 3} {
		e := newList()
		l := open(t, e, sharedlog.Options{})
		for i := range 3 {
			add(t, l, message("a", fmt.Sprint(i)))
		}
		l.Close()
		s := e.copy()
		s.records = slices.Delete(s.records, int(missing)-1, int(missing))
		e.restore(s)
		l = open(t, e, sharedlog.Options{})
		got, lost := read(t, l, 0, "a")
		next := message("a", "3")
		if add(t, l, next); len(got) != 2 || lost < missing || next.Seq <= 3 {
			t.Errorf("without record %d: %q, lost up to %d, next position %d; want 2 messages, a gap, beyond 3", missing, got, lost, next.Seq)
		}
	}
}

// TestEntryThatIsGoneIsLost deletes a record that a node believes to be there.
func TestEntryThatIsGoneIsLost(t *testing.T) {
	e := newList()
	l := open(t, e, sharedlog.Options{HotBytes: 1})
	for i := range 3 {
		add(t, l, message("a", fmt.Sprint(i)))
	}
	s := e.copy()
	s.records = slices.Delete(s.records, 1, 2)
	e.restore(s)
	if got, lost := read(t, l, 0, "a"); !slices.Equal(got, []string{"2"}) || lost != 2 {
		t.Errorf("%q, lost up to %d; want 2, lost up to 2", got, lost)
	}
}

// TestSparseRecordsAreStoredAnew has records of which little is kept.
func TestSparseRecordsAreStoredAnew(t *testing.T) {
	e := newList()
	o := sharedlog.Options{HotBytes: 1, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 1}}}
	l := open(t, e, o)
	for i := range 100 {
		es := []*eventlog.Entry{message(fmt.Sprint("kept/", i), fmt.Sprint(i))}
		for range 20 {
			es = append(es, message("busy", strings.Repeat("x", 1000)))
		}
		add(t, l, es...)
	}
	_, before, _ := e.size()
	for range 2 {
		if err := l.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, after, _ := e.size(); after > before/20 {
		t.Errorf("the list has %d bytes of %d", after, before)
	}
	fresh := open(t, e, o)
	for _, l := range []*sharedlog.Log{l, fresh} {
		for i := range 100 {
			if got, lost := read(t, l, 0, fmt.Sprint("kept/", i)); !slices.Equal(got, []string{fmt.Sprint(i)}) || lost != 0 {
				t.Fatalf("topic %d: %q, lost %d", i, got, lost)
			}
		}
	}
}

// TestWhatWasDroppedStaysSo drops an entry of a record that has to stay for another one,
// and opens a node that has room for both.
func TestWhatWasDroppedStaysSo(t *testing.T) {
	e := newList()
	state := func(key string) *eventlog.Entry {
		m := message("a", strings.Repeat(key, 1000))
		m.Key, m.State = key, true
		return m
	}
	l := open(t, e, sharedlog.Options{History: eventlog.Options{TotalBytes: 3500}})
	add(t, l, state("1"), state("2"))
	add(t, l, state("3"))
	if err := l.Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*sharedlog.Log{l, open(t, e, sharedlog.Options{})} {
		if got, lost := read(t, l, 0, "a"); len(got) != 2 || got[0][0] != '2' || lost != 1 {
			t.Errorf("%d messages, lost up to %d; want 2, 1", len(got), lost)
		}
	}
}

// TestManyReadersAreOneQuestion resumes at the same old position a thousand times.
func TestManyReadersAreOneQuestion(t *testing.T) {
	e := newList()
	l := open(t, e, sharedlog.Options{HotBytes: 1})
	for i := range 100 {
		add(t, l, message("a", fmt.Sprint(i)))
	}
	var wg sync.WaitGroup
	for range 1000 {
		wg.Go(func() {
			if got, _ := read(t, l, 0, "a"); len(got) != 100 {
				t.Errorf("%d messages", len(got))
			}
		})
	}
	wg.Wait()
	if _, _, loads := e.size(); loads > 200 {
		t.Errorf("%d records were asked for, there are 100", loads)
	}
}

// TestSharedSettingsApply opens a second node with other settings.
func TestSharedSettingsApply(t *testing.T) {
	e := newList()
	open(t, e, sharedlog.Options{History: eventlog.Options{MaxKeys: 2}})
	var logged strings.Builder
	l := open(t, e, sharedlog.Options{History: eventlog.Options{MaxKeys: 100}, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for i, key := range []string{"a", "b", "c", "a"} {
		m := message("t", "x")
		m.IdempotencyKey = key
		if add(t, l, m); m.Duplicate {
			t.Errorf("use %d of key %q is a duplicate: more than 2 keys are remembered", i, key)
		}
	}
	if !strings.Contains(logged.String(), "settings of the shared log differ") {
		t.Errorf("logged: %s", logged.String())
	}
}

// TestListDoesNotGrow cleans up again and again: nothing grows.
func TestListDoesNotGrow(t *testing.T) {
	e := newList()
	o := sharedlog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 10}, MaxKeys: 50}}
	l := open(t, e, o)
	var sizes []int
	for range 10 {
		for i := range 200 {
			m := message(fmt.Sprint("t/", i%5), strings.Repeat("x", 100))
			m.IdempotencyKey = fmt.Sprint(l.Head(), i)
			add(t, l, m)
		}
		if err := l.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, bytes, _ := e.size()
		sizes = append(sizes, bytes)
	}
	if sizes[9] > 2*sizes[1] {
		t.Errorf("the list grows: %d", sizes)
	}
}

// TestGarbageIsDeletedByItself waits for the cleaner.
func TestGarbageIsDeletedByItself(t *testing.T) {
	e := newList()
	l := open(t, e, sharedlog.Options{Garbage: 1000, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 3}}})
	for range 200 {
		add(t, l, message("a", strings.Repeat("x", 100)))
	}
	within(t, 10*time.Second, "records are deleted", func() bool {
		n, _, _ := e.size()
		return n < 50
	})
}
