package sharedlog

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// queueLimit is how many calls of Commit may wait for the writer. More wait for a
// place in the queue, no longer than Options.Wait.
const queueLimit = 4096

// A Log is one node's view of the shared log. Make one with [Open].
type Log struct {
	options Options
	engine  Engine
	epoch   string
	name    string // of this node, random

	current atomic.Pointer[state] // for readers; the same as state

	mu       sync.Mutex
	state    *state                  // guarded by mu
	ready    bool                    // guarded by mu: the list goes on from state
	cause    error                   // guarded by mu: why it does not, if that is known
	failed   error                   // guarded by mu
	settled  time.Time               // guarded by mu: before that nothing is written
	follow   func(*eventlog.Entry)   // guarded by mu
	puts     []*func([]eventlog.Put) // guarded by mu: who follows values
	inflight *group                  // guarded by mu: what the writer tries to store
	wake     chan struct{}           // guarded by mu: closed at the next change of state; nil if nobody waits

	queue    chan *request
	kick     chan struct{} // capacity 1: clean up now
	closing  chan struct{} // closed by Close
	once     sync.Once
	ctx      context.Context // ends when the writer has ended
	cancel   context.CancelFunc
	writer   sync.WaitGroup
	others   sync.WaitGroup
	cleaning sync.Mutex // held while records are deleted
	asker    asker
	closeErr error

	largest int // bytes that the parts of a record may have

	// Owned by the writer.
	silent bool     // the last group found no answer
	held   *request // was taken from the queue, and goes into the next group

	// Owned by the tailer.
	failures int // turns in a row; from the second on Status was told
}

// A request is one call that waits for the writer.
type request struct {
	ctx context.Context
	eventlog.Change
	moved  []*eventlog.Entry
	chunks []chunk
	n      int // entries forgotten
	done   chan error
}

// Open joins the log of an engine, or makes it. It reads all records, which takes a
// few seconds for a million entries. When it fails it closes the engine.
func Open(ctx context.Context, e Engine, o Options) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		e.Close()
		return nil, err
	}
	l := &Log{
		options: o, engine: e, name: fmt.Sprintf("%016x", random()),
		queue: make(chan *request, queueLimit), kick: make(chan struct{}, 1), closing: make(chan struct{}),
		asker: newAsker(), largest: largestFor(e),
	}
	if err := l.join(ctx); err != nil {
		e.Close()
		return nil, fmt.Errorf("sharedlog: open: %w", err)
	}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	l.writer.Go(l.write) // these end with Close
	l.others.Go(l.tail)
	l.others.Go(l.clean)
	return l, nil
}

// join reads the list.
func (l *Log) join(ctx context.Context) error {
	head, err := l.ensure(ctx, newEpoch())
	if err != nil {
		return err
	}
	l.epoch = head.Epoch
	if err := l.options.adopt(head.Settings); err != nil {
		return err
	}
	return l.load(ctx, nil, nil)
}

// ensure returns the head of the list, which it makes if there is none.
func (l *Log) ensure(ctx context.Context, epoch string) (Head, error) {
	for {
		head, err := l.engine.Head(ctx)
		if err != nil || head.Epoch != "" {
			return head, err
		}
		if err := l.engine.Create(ctx, epoch, l.options.settings()); err != nil {
			return head, err
		}
	}
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint64(b[:]))
}

func newEpoch() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// index is what is known here.
func (l *Log) index() *eventlog.Index { return l.current.Load().index }

// Epoch implements [eventlog.Log].
func (l *Log) Epoch() string { return l.epoch }

// Append implements [eventlog.Log].
func (l *Log) Append(ctx context.Context, es ...*eventlog.Entry) error {
	return l.Commit(ctx, nil, es...)
}

// Commit implements [eventlog.Log]. [eventlog.ErrUnavailable] means that the engine did
// not answer in time: what was to be stored may be stored or not, all of it or nothing.
// ctx counts until the writer begins with it.
func (l *Log) Commit(ctx context.Context, puts []eventlog.Put, es ...*eventlog.Entry) error {
	if len(puts)+len(es) == 0 {
		return ctx.Err()
	}
	return l.CommitIf(ctx, eventlog.Change{Puts: puts, Entries: es})
}

// CommitIf implements [eventlog.Conditional]. Errors are like those of Commit. The data of
// what is forgotten is deleted from the engine some time later.
func (l *Log) CommitIf(ctx context.Context, c eventlog.Change) error {
	if err := eventlog.Prepare(c.Entries...); err != nil {
		return err
	}
	err := l.submit(&request{ctx: ctx, Change: c})
	if err == nil && len(c.Forget) > 0 {
		l.kickClean()
	}
	return err
}

// Stats describe the list as this node knows it.
type Stats struct {
	Records int   // in the list, with those that are about to be deleted
	Kept    int64 // bytes of those that have entries which are kept
	Garbage int64 // bytes of the others
	Up      bool  // this node can store now, as far as it knows
}

// Stats returns them.
func (l *Log) Stats() (s Stats) {
	p := &l.current.Load().places
	p.mu.Lock()
	s.Records, s.Kept, s.Garbage = len(p.records), p.kept, p.garbage
	p.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Up = l.ready && time.Now().After(l.settled)
	return s
}

// submit hands r to the writer and waits for it.
func (l *Log) submit(r *request) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	if _, bytes := r.count(); bytes > l.largest {
		return fmt.Errorf("%w: %d bytes together, limit %d", eventlog.ErrTooLarge, bytes, l.largest)
	}
	r.done = make(chan error, 1)
	if err := l.enqueue(r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-l.ctx.Done():
	}
	select { // the writer's last words
	case err := <-r.done:
		return err
	default:
		return eventlog.ErrClosed
	}
}

func (l *Log) enqueue(r *request) error {
	select {
	case <-l.closing:
		return eventlog.ErrClosed
	default:
	}
	select {
	case l.queue <- r:
		return nil
	default:
	}
	patience := time.NewTimer(l.options.Wait)
	defer patience.Stop()
	select {
	case l.queue <- r:
		return nil
	case <-l.closing:
		return eventlog.ErrClosed
	case <-r.ctx.Done():
		return r.ctx.Err()
	case <-patience.C:
		return fmt.Errorf("%w: %d calls wait already", eventlog.ErrUnavailable, queueLimit)
	}
}

// Forget implements [eventlog.Log]. The data is deleted from the engine some time
// later.
func (l *Log) Forget(topic string) (int, error) {
	r := &request{ctx: context.Background(), Change: eventlog.Change{Forget: []string{topic}}}
	if err := l.submit(r); err != nil {
		return 0, err
	}
	l.kickClean()
	return r.n, nil
}

func (l *Log) kickClean() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Close implements [eventlog.Log]. It stores what waits, as far as the engine answers,
// and closes the engine.
func (l *Log) Close() error {
	l.once.Do(func() {
		close(l.closing)
		l.writer.Wait()
		l.cancel()
		l.engine.Close()
		l.others.Wait()
		l.closeErr = l.index().Close()
	})
	return l.closeErr
}

// Follow implements [eventlog.Log].
func (l *Log) Follow(fn func(e *eventlog.Entry)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.follow = fn
	l.state.index.Follow(fn)
}

// FollowValues implements [eventlog.Conditional].
func (l *Log) FollowValues(fn func(puts []eventlog.Put)) (stop func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.puts = append(l.puts, &fn)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.puts = slices.DeleteFunc(l.puts, func(f *func([]eventlog.Put)) bool { return f == &fn })
	}
}

// tellPuts tells who follows values. mu is held.
func (l *Log) tellPuts(puts []eventlog.Put) {
	for _, fn := range l.puts {
		(*fn)(puts)
	}
}

// Value implements [eventlog.Log].
func (l *Log) Value(key string) []byte { return l.index().Value(key) }

// Values implements [eventlog.Log].
func (l *Log) Values(prefix string) iter.Seq2[string, []byte] { return l.index().Values(prefix) }

// Head implements [eventlog.Log].
func (l *Log) Head() uint64 { return l.index().Head() }

// Read implements [eventlog.Log].
func (l *Log) Read(ctx context.Context, sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, error) {
	return l.index().Read(ctx, sel, after, upTo, lim)
}

// ReadNow is Read for callers that must not wait: see [eventlog.Memory.ReadNow].
func (l *Log) ReadNow(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (eventlog.Page, bool, error) {
	return l.index().ReadNow(sel, after, upTo, lim)
}

// Bounds implements [eventlog.Log].
func (l *Log) Bounds(sel *eventlog.Selector) eventlog.Bounds { return l.index().Bounds(sel) }

// Find implements [eventlog.Log].
func (l *Log) Find(sel *eventlog.Selector, id string) []uint64 { return l.index().Find(sel, id) }

// Since implements [eventlog.Log].
func (l *Log) Since(sel *eventlog.Selector, t time.Time) uint64 { return l.index().Since(sel, t) }

// Last implements [eventlog.Log].
func (l *Log) Last(sel *eventlog.Selector, n int) uint64 { return l.index().Last(sel, n) }

// Topics returns how many topics the log knows.
func (l *Log) Topics() int { return l.index().Topics() }

// Sweep drops what has expired.
func (l *Log) Sweep() { l.index().Sweep() }
