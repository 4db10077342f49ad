// Package feedtest is the bed for tests of sources: a hub whose log can refuse, a feed
// that runs, and programs that a test starts.
package feedtest

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/proctest"
)

// Patience bounds every wait.
const Patience = 40 * time.Second

// A Log is one in memory that can be told to refuse.
type Log struct {
	eventlog.Log
	Full    atomic.Bool                   // refuse everything
	Refused atomic.Int64                  // commits that were refused
	Stored  func()                        // called after the next commit, once; set while Full
	Hold    chan struct{}                 // if not nil, commits wait until it is closed; set before the feed is started
	Fault   func(e *eventlog.Entry) error // what is wrong with an entry; nil: nothing; set before the feed is started
}

// Commit refuses, or stores.
func (l *Log) Commit(ctx context.Context, puts []eventlog.Put, es ...*eventlog.Entry) error {
	if l.Full.Load() {
		l.Refused.Add(1)
		return fmt.Errorf("%w: the test wants it so", eventlog.ErrFull)
	}
	if l.Hold != nil {
		<-l.Hold
	}
	for _, e := range es {
		if l.Fault == nil {
			break
		}
		if err := l.Fault(e); err != nil {
			return err
		}
	}
	err := l.Log.Commit(ctx, puts, es...)
	if stored := l.Stored; stored != nil {
		l.Stored = nil
		stored()
	}
	return err
}

// A Bed is a hub to publish to.
type Bed struct {
	t   *testing.T
	Log *Log
	Hub *hub.Hub
}

// New makes a bed, which is closed with the test.
func New(t *testing.T) *Bed {
	t.Helper()
	memory, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := &Bed{t: t, Log: &Log{Log: memory}}
	if b.Hub, err = hub.New(hub.Options{Log: b.Log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Hub.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// A Running feed.
type Running struct {
	*feed.Feed
	t    *testing.T
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned
}

// Start runs a feed until Stop, or until the test ends. It retries within a second.
func (b *Bed) Start(o feed.Options) *Running {
	b.t.Helper()
	o.Hub, o.MaxWait = b.Hub, time.Second
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	f, err := feed.New(o)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &Running{Feed: f, t: b.t, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		f.Run(ctx)
	}()
	b.t.Cleanup(r.Stop)
	return r
}

// Stop ends the feed, which must not take long.
func (r *Running) Stop() {
	r.t.Helper()
	r.stop()
	select {
	case <-r.done:
	case <-time.After(10 * time.Second):
		r.t.Fatal("the feed has not stopped within 10 s")
	}
}

// AwaitState waits until the feed is in a state.
func (r *Running) AwaitState(want feed.State) {
	r.t.Helper()
	Await(r.t, "state "+want.String(), func() error {
		if s := r.Stats(); s.State != want {
			return fmt.Errorf("state is %v, error %q", s.State, s.Error)
		}
		return nil
	})
}

// Entries returns what the log keeps of a pattern, in order.
func (b *Bed) Entries(pattern string) []*eventlog.Entry {
	b.t.Helper()
	sel, err := eventlog.Select(pattern)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []*eventlog.Entry
	for after := uint64(0); ; {
		page, err := b.Hub.Log().Read(context.Background(), sel, after, b.Hub.Log().Head(), eventlog.Limit{})
		if err != nil {
			b.t.Fatal(err)
		}
		all = append(all, page.Entries...)
		if page.Next == after {
			return all
		}
		after = page.Next
	}
}

// Data returns the data of what the log keeps of a pattern, in order.
func (b *Bed) Data(pattern string) []string {
	b.t.Helper()
	var data []string
	for _, e := range b.Entries(pattern) {
		data = append(data, string(e.Data))
	}
	return data
}

// AwaitData waits until the log keeps exactly these data of a pattern, in this order.
func (b *Bed) AwaitData(pattern string, want []string) {
	b.t.Helper()
	Await(b.t, "data of "+pattern, func() error {
		if got := b.Data(pattern); !slices.Equal(got, want) {
			return fmt.Errorf("%d messages, want %d; %s", len(got), len(want), difference(got, want))
		}
		return nil
	})
}

func difference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("number %d is %.80q, want %.80q", i, got[i], want[i])
		}
	}
	return "they begin alike"
}

// Numbers returns the texts "from" to "to-1".
func Numbers(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint(i))
	}
	return list
}

// Await waits until check returns nil, and otherwise fails the test with its last error.
func Await(t *testing.T, what string, check func() error) {
	t.Helper()
	proctest.Await(t, Patience, what, check)
}

// Not is an error unless ok.
func Not(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
