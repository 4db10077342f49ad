package disklog_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/disklog"
)

// A phoenix is a log that is closed and opened again, or crashes, at every so many
// calls. Nobody must notice.
type phoenix struct {
	*disklog.Log
	t     *testing.T
	dir   string
	o     disklog.Options
	every int
	crash bool
	calls int
}

func newPhoenix(t *testing.T, o disklog.Options, every int, crash bool) *phoenix {
	p := &phoenix{t: t, dir: t.TempDir(), o: o, every: every, crash: crash}
	p.Log = open(t, p.dir, o)
	return p
}

func (p *phoenix) rise() *disklog.Log {
	p.t.Helper()
	if p.calls++; p.calls%p.every == 0 {
		if p.crash {
			p.dir = crashed(p.t, p.dir)
		}
		if err := p.Log.Close(); err != nil {
			p.t.Fatal(err)
		}
		p.Log = open(p.t, p.dir, p.o)
	}
	return p.Log
}

// crashed returns a directory with the file of another as it is now, which is what a
// process that is killed now leaves behind.
func crashed(t *testing.T, dir string) string {
	t.Helper()
	from, err := os.Open(filepath.Join(dir, disklog.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	dir = t.TempDir()
	to, err := os.Create(filepath.Join(dir, disklog.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (p *phoenix) Append(ctx context.Context, es ...*eventlog.Entry) error {
	return p.rise().Append(ctx, es...)
}

func (p *phoenix) Read(ctx context.Context, sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, error) {
	return p.rise().Read(ctx, sel, after, upTo, lim)
}
func (p *phoenix) Bounds(sel *eventlog.Selector) eventlog.Bounds { return p.rise().Bounds(sel) }
func (p *phoenix) Forget(topic string) (int, error)              { return p.rise().Forget(topic) }

func TestNothingChangesOverRestarts(t *testing.T) {
	o := eventlog.Options{
		Default: eventlog.Retention{MaxEntries: 6},
		Rules: []eventlog.Rule{
			{Pattern: "a", Retention: eventlog.Retention{MaxBytes: 60}},
			{Pattern: "a/*", Retention: eventlog.Retention{MaxEntries: 3}},
			{Pattern: "b/x", Retention: eventlog.Retention{MaxEntries: 1}},
			{Pattern: "b/**", Retention: eventlog.Retention{MaxEntries: 40}},
		},
	}
	for _, d := range []disklog.Durability{disklog.Always, disklog.Interval} {
		for _, crash := range []bool{false, true} {
			if crash && d != disklog.Always {
				continue // it may lose messages
			}
			for seed := range uint64(2) {
				t.Run(fmt.Sprintf("%v/crash=%v/seed=%d", d, crash, seed), func(t *testing.T) {
					p := newPhoenix(t, disklog.Options{History: o, Durability: d, HotBytes: 2000}, 9, crash)
					logtest.Compare(t, p, logtest.Comparison{Seed: seed, Steps: 300, Options: o})
				})
			}
		}
	}
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

func TestEverythingIsThereAgain(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	epoch := l.Epoch()
	e := &eventlog.Entry{Message: eventlog.Message{
		Topics: []string{"a", "b/c"}, Type: "t", ID: "chosen", Key: "k", Retry: 3 * time.Second, Data: []byte("x\x00\xff"), IdempotencyKey: "once", State: true,
	}}
	add(t, l, e)
	if err := l.Commit(t.Context(), []eventlog.Put{{Key: "", Value: []byte{}}, {Key: "n", Value: []byte("1")}, {Key: "gone", Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	if err := l.Commit(t.Context(), []eventlog.Put{{Key: "gone"}}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = open(t, dir, disklog.Options{})
	if l.Epoch() != epoch || l.Head() != 1 {
		t.Errorf("epoch %q, head %d; want %q, 1", l.Epoch(), l.Head(), epoch)
	}
	if v := l.Value(""); v == nil || len(v) > 0 || string(l.Value("n")) != "1" || l.Value("gone") != nil {
		t.Errorf("values %q, %q, %q; want an empty one, 1, none", v, l.Value("n"), l.Value("gone"))
	}
	p, err := l.Read(t.Context(), sel(t, "b/*"), 0, 9, eventlog.Limit{})
	if err != nil || len(p.Entries) != 1 {
		t.Fatalf("Read gives %d entries, %v", len(p.Entries), err)
	}
	if got := p.Entries[0]; fmt.Sprint(got.Message) != fmt.Sprint(e.Message) || !got.Time.Equal(e.Time) {
		t.Errorf("read %+v, want %+v", got.Message, e.Message)
	}
	if found := l.Find(sel(t, "a"), "chosen"); len(found) != 1 {
		t.Errorf("Find = %v", found)
	}
	again := message("other", "")
	again.IdempotencyKey = "once"
	if add(t, l, again); !again.Duplicate || again.Seq != 1 {
		t.Errorf("the idempotency key is forgotten: %+v", again)
	}
}

// TestKeysOutliveTheirEntries uses an idempotency key whose entry has been trimmed.
func TestKeysOutliveTheirEntries(t *testing.T) {
	dir := t.TempDir()
	o := disklog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 1}}}
	l := open(t, dir, o)
	e := message("a", "1")
	e.IdempotencyKey = "once"
	add(t, l, e)
	add(t, l, message("a", "2"))
	l.Close()
	l = open(t, dir, o)
	again := message("a", "1")
	again.IdempotencyKey = "once"
	if add(t, l, again); !again.Duplicate || again.Seq != 1 {
		t.Errorf("the key is forgotten: position %d, duplicate %v", again.Seq, again.Duplicate)
	}
}

// TestCrashLosesOnlyWhatMayBeLost crashes with entries of all durabilities. What was
// only in memory is reported as lost, and no position comes again.
func TestCrashLosesOnlyWhatMayBeLost(t *testing.T) {
	o := disklog.Options{Interval: time.Hour, Rules: []disklog.Rule{
		{Pattern: "soon", Durability: disklog.Interval},
		{Pattern: "never/*", Durability: disklog.Memory},
	}}
	dir := t.TempDir()
	l := open(t, dir, o)
	add(t, l, message("safe", "1"))
	add(t, l, message("soon", "2"))    // stored with the next transaction
	add(t, l, message("never/1", "3")) // is that
	add(t, l, message("safe", "4"))
	add(t, l, message("soon", "5"))
	head := l.Head()
	l2 := open(t, crashed(t, dir), o)
	if l2.Head() < head {
		t.Errorf("head is %d after the crash, %d was issued", l2.Head(), head)
	}
	for _, c := range []struct {
		pattern string
		kept    string
		lost    bool
	}{
		{"safe", "14", false}, {"soon", "2", true}, {"never/1", "", true}, {"never/2", "", true},
		{"never/*", "", true}, {"other/*", "", false}, {"**", "124", true}, {"other", "", false},
	} {
		p, err := l2.Read(t.Context(), sel(t, c.pattern), 0, 1<<62, eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		kept := ""
		for _, e := range p.Entries {
			kept += string(e.Data)
		}
		if kept != c.kept || (p.Lost >= head) != c.lost || !c.lost && p.Lost != 0 {
			t.Errorf("%q: kept %q, lost up to %d; want %q, lost %v", c.pattern, kept, p.Lost, c.kept, c.lost)
		}
	}
	e := message("safe", "6")
	if add(t, l2, e); e.Seq <= head {
		t.Errorf("position %d was issued again", e.Seq)
	}
}

// TestCleanEndLosesOnlyMemory ends as usual: what waited for the interval is stored.
func TestCleanEndLosesOnlyMemory(t *testing.T) {
	o := disklog.Options{Durability: disklog.Interval, Interval: time.Hour, Rules: []disklog.Rule{{Pattern: "m", Durability: disklog.Memory}}}
	dir := t.TempDir()
	l := open(t, dir, o)
	for i := range 10 {
		add(t, l, message("a", fmt.Sprint(i)), message("m", "x"))
	}
	l.Close()
	l = open(t, dir, o)
	p, err := l.Read(t.Context(), sel(t, "a"), 0, 1<<62, eventlog.Limit{})
	if err != nil || len(p.Entries) != 10 || p.Lost != 0 || l.Head() != 20 {
		t.Errorf("%d entries, lost %d, head %d, %v; want 10, 0, 20", len(p.Entries), p.Lost, l.Head(), err)
	}
	if p, _ = l.Read(t.Context(), sel(t, "m"), 0, 1<<62, eventlog.Limit{}); len(p.Entries) != 0 || p.Lost != 20 {
		t.Errorf("topic in memory: %d entries, lost %d; want 0, 20", len(p.Entries), p.Lost)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir, disklog.Options{})
	_, err := disklog.Open(dir, disklog.Options{})
	if want := "disklog: the directory is in use by another process: " + dir; err == nil || err.Error() != want {
		t.Errorf("second Open = %v, want %s", err, want)
	}
}

// TestFileIsReused appends far more than is kept: the file must not grow on.
func TestFileIsReused(t *testing.T) {
	o := disklog.Options{Durability: disklog.Interval, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 100}}}
	l := open(t, t.TempDir(), o)
	var sizes []int64
	for range 10 {
		for range 10 {
			var batch []*eventlog.Entry
			for range 200 {
				batch = append(batch, message("a", string(make([]byte, 1000))))
			}
			add(t, l, batch...)
			if err := l.Commit(t.Context(), []eventlog.Put{{Key: "flush", Value: []byte("1")}}); err != nil {
				t.Fatal(err)
			}
		}
		sizes = append(sizes, l.Stats().FileBytes)
	}
	if last := sizes[len(sizes)-1]; last > 2*sizes[1] {
		t.Errorf("the file grows: %d", sizes)
	}
}
