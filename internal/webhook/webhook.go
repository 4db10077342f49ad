// Package webhook tells an application what happens: it POSTs events to a URL, signed.
//
// What happens is in the log, as messages of topics: who comes and goes in those of
// weir/presence/ and weir/connections/, and the rest in the topics themselves. A [Hook]
// reads the log like any other reader, from the position that it keeps as a value in the
// same log, and stores the next one once the receiver has accepted a request. So every
// event arrives at least once and in order, also over restarts, and on whichever node
// the hook runs. Start with [New] and [Hook.Run].
//
// There is one request at a time. One that is not accepted is sent again, with the same
// ID and body, until it is accepted or given up: see [Spec].
package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/backoff"
)

const (
	firstWait   = time.Second // after a failure
	longestWait = time.Minute // same, after many
	grace       = 2 * time.Second
)

// Options make a Hook.
type Options struct {
	Spec Spec
	Hub  *hub.Hub
	Log  *slog.Logger // nil: [slog.Default]

	// Sync returns when the log of Hub has what other nodes stored before the call. nil:
	// there are no others.
	Sync func(ctx context.Context) error

	Transport http.RoundTripper // sends requests; nil: one like [http.DefaultTransport]
	MaxWait   time.Duration     // the longest time between two attempts, unless the receiver asks for more; 0: 1 minute
}

// A Hook sends the events of its Spec to one application. Stats may be called at any time.
type Hook struct {
	opts   Options
	born   uint64 // position of the log at New
	spec   Spec   // with defaults
	log    *slog.Logger
	filter filter
	client *http.Client

	sent, requests, failures, dead, dropped atomic.Int64
	oldest                                  atomic.Int64 // when the oldest event that was not accepted happened, Unix time in ms; 0: there is none

	mu    sync.Mutex
	state State  // guarded by mu
	err   string // guarded by mu: why it is failing
}

// New checks the options, and that the secrets can be read. The Hook does nothing before
// Run. What happens from New on counts for a hook of a name that was never run.
func New(o Options) (*Hook, error) {
	if err := o.Spec.Check(); err != nil {
		return nil, fmt.Errorf("webhook %q: %w", o.Spec.Name, err)
	}
	if _, err := readSecrets(o.Spec.SecretFile); err != nil {
		return nil, fmt.Errorf("webhook %q: secret-file: %w", o.Spec.Name, err)
	}
	o.MaxWait = cmp.Or(o.MaxWait, longestWait)
	spec := o.Spec.withDefaults()
	f, err := newFilter(&spec)
	if err != nil {
		return nil, fmt.Errorf("webhook %q: %w", o.Spec.Name, err)
	}
	return &Hook{
		opts: o, born: o.Hub.Log().Head(), spec: spec, filter: f, client: newClient(o.Transport),
		log: cmp.Or(o.Log, slog.Default()).With("webhook", o.Spec.Name),
	}, nil
}

// Run sends events until ctx ends or the hub is closed, and then returns within 2 s: the
// request under way is accepted, or its events come again with the next Run. One node at
// a time runs a hook, and it is not run twice at once. The goroutine is the caller's.
func (h *Hook) Run(ctx context.Context) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })() // at worst it cancels what is over
	defer h.client.CloseIdleConnections()
	defer h.oldest.Store(0)
	if h.Stats().State == Gone {
		<-ctx.Done()
		return
	}
	defer h.change(Stopped, nil)
	watch, err := h.opts.Hub.Watch(h.filter.patterns()...)
	if err != nil { // New has looked at them
		h.change(Failing, err)
		return
	}
	defer watch.Stop()
	r := &runner{Hook: h, hard: hard, watch: watch, wait: backoff.Backoff{First: min(firstWait, h.opts.MaxWait), Longest: h.opts.MaxWait}}
	r.run(ctx)
}

// A runner is one Run.
type runner struct {
	*Hook
	hard  context.Context // ends a while after that of Run
	watch *hub.Watch
	wait  backoff.Backoff

	begun    bool
	after    uint64    // everything up to here has been looked at
	told     uint64    // losses up to here are known to the receiver, or in batch
	gap      *event    // to be sent first
	stored   uint64    // the position in the log
	storedAt time.Time // when it got there
	batch    *batch    // nil: nothing waits to be sent
	failing  time.Time // since when the receiver has accepted nothing, also in earlier Runs; zero: it does
	tried    time.Time // same, in this Run
}

// run takes turns until ctx ends.
func (r *runner) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.turn(ctx)
		switch {
		case err == nil || ctx.Err() != nil:
			continue
		case errors.Is(err, hub.ErrClosed) || errors.Is(err, eventlog.ErrClosed):
			return
		case errors.Is(err, errGone):
			r.change(Gone, err)
			<-ctx.Done()
			return
		}
		r.change(Failing, err)
		backoff.Pause(ctx, max(r.wait.Next(), asked(err)))
	}
}

// turn does one thing: it finds out where to start, or looks for events, or sends them,
// or notes that they were accepted. An error means that the same is to be tried again.
func (r *runner) turn(ctx context.Context) error {
	switch {
	case !r.begun:
		return r.begin(ctx)
	case r.batch == nil:
		return r.look(ctx)
	case r.batch.accepted:
		return r.finish(nil)
	default:
		return r.send(ctx)
	}
}

// look gathers events, and waits if there are none.
func (r *runner) look(ctx context.Context) error {
	if err := r.gather(ctx); err != nil || r.batch != nil {
		return err
	}
	if r.after > r.stored && time.Since(r.storedAt) >= storeEvery {
		if err := r.store(nil); err != nil {
			return err
		}
	}
	timer := time.NewTimer(storeEvery)
	defer timer.Stop()
	select {
	case <-r.watch.Ready():
	case <-timer.C:
	case <-ctx.Done():
	case <-r.watch.Closed():
		return hub.ErrClosed
	}
	return nil
}

// send tries to send the batch once.
func (r *runner) send(ctx context.Context) error {
	r.requests.Add(1)
	err := r.post(r.hard, r.batch)
	if err == nil {
		r.batch.accepted = true
		r.sent.Add(int64(len(r.batch.events)))
		return r.finish(nil)
	}
	r.failures.Add(1)
	if errors.Is(err, errGone) || ctx.Err() != nil {
		return err
	}
	r.fail(time.Now())
	if !r.late(time.Now()) {
		return err
	}
	if more := r.bury(err); more != nil {
		return more
	}
	return err // so that the next batch waits
}

// finish stores that the batch is done, with messages that come of it.
func (r *runner) finish(letters []hub.Message) error {
	if err := r.store(letters); err != nil {
		return fmt.Errorf("store the position: %w", err)
	}
	r.oldest.Store(0)
	if r.batch.accepted {
		r.wait.Reset()
		r.change(Running, nil)
	}
	r.batch = nil
	return nil
}
