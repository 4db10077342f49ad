// Package feed publishes what other systems already have: messages of queues, lines of
// files, the output of commands.
//
// A [Source] gets messages from such a system. A [Feed] runs one: it makes each message
// one of the log by the templates of its [Spec], puts it there, and only then lets the
// source acknowledge it. Start with [New] and [Feed.Run]. The sources are the packages
// below this one.
//
//   - While the log refuses, nothing is acknowledged: the same messages are offered
//     again, and the source waits with what follows.
//   - A message that can never be published goes to the dead-letter topic, or is
//     dropped and counted, so that it does not hold up the others.
//   - A message that the source delivers twice is stored once, if the source names its
//     messages: that name is the idempotency key. See [Spec.Once].
//
// A feed keeps the order of its source.
package feed

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/backoff"
)

// A Source gets messages from another system.
type Source interface {
	// Run connects, calls in.Running, and hands what arrives to in.Deliver, in order.
	// It returns when the connection is lost, with the reason; it is then called again
	// after a while. It is not called twice at once.
	//
	// When ctx ends it takes no more, acknowledges what Deliver has accepted, and
	// returns. It must not wait beyond the end of in.Grace, which is a few seconds
	// later.
	Run(ctx context.Context, in *Intake) error
}

const (
	firstWait   = time.Second      // after which a source is run again
	longestWait = 30 * time.Second // same, when it has failed often
	firstOffer  = 100 * time.Millisecond
	lastOffer   = 5 * time.Second // between two attempts to store the same messages
	grace       = 5 * time.Second // for a source to return
)

// Options make a Feed.
type Options struct {
	Spec   Spec
	Source Source
	Hub    *hub.Hub
	Log    *slog.Logger // nil: [slog.Default]

	// Refuse says why nothing can be published at the moment, such as a limit on memory,
	// or returns nil. It is asked before each batch. nil: never.
	Refuse func() error

	// Unsure means that the log may have stored what it has returned an error for, as
	// logs on other machines may. Messages without a name then get a random one.
	Unsure bool

	// MaxWait is the longest time after which a source is run again. 0: 30 s.
	MaxWait time.Duration
}

// A Feed runs a source.
type Feed struct {
	opts  Options
	log   *slog.Logger
	maker maker
	quiet quiet // limits log lines about dead letters

	received, published, duplicates, dead, dropped, failures, lag atomic.Int64

	mu    sync.Mutex
	state State     // guarded by mu
	err   string    // guarded by mu: why it is failing
	since time.Time // guarded by mu: when it came to be so
}

// New checks the options. The Feed does nothing before Run.
func New(o Options) (*Feed, error) {
	if err := o.Spec.Check(); err != nil {
		return nil, fmt.Errorf("feed %q: %w", o.Spec.Name, err)
	}
	o.MaxWait = cmp.Or(o.MaxWait, longestWait)
	m, err := newMaker(&o.Spec, o.Unsure)
	if err != nil {
		return nil, fmt.Errorf("feed %q: %w", o.Spec.Name, err)
	}
	f := &Feed{opts: o, log: cmp.Or(o.Log, slog.Default()).With("feed", o.Spec.Name), maker: m}
	f.lag.Store(-1)
	return f, nil
}

// Run runs the source until ctx ends, and again after a while when it fails. It then
// returns within a few seconds: what is in flight is stored and acknowledged, or
// neither. It is called once.
func (f *Feed) Run(ctx context.Context) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })() // at worst it cancels what is over
	in := &Intake{feed: f, grace: hard}
	wait := backoff.Backoff{First: min(firstWait, f.opts.MaxWait), Longest: f.opts.MaxWait}
	for {
		err := f.opts.Source.Run(ctx, in)
		if ctx.Err() != nil {
			f.change(Stopped, nil)
			return
		}
		if f.lasted() > wait.Current() {
			wait.Reset()
		}
		if err == nil {
			err = errEnded
		}
		f.failures.Add(1)
		f.change(Failing, err)
		if !backoff.Pause(ctx, wait.Next()) {
			f.change(Stopped, nil)
			return
		}
	}
}

var errEnded = errors.New("the source ended")

// change sets the state, and logs it if it is another.
func (f *Feed) change(s State, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.err = err.Error()
	}
	if f.state == s {
		return
	}
	f.state, f.since = s, time.Now()
	switch s {
	case Running:
		f.err = ""
		f.log.Info("feed running")
	case Failing:
		f.log.Warn("feed failing", "error", f.err)
	case Stopped:
		f.log.Debug("feed stopped")
	}
}

// lasted tells for how long the feed has been running; 0 if it is not.
func (f *Feed) lasted() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state != Running {
		return 0
	}
	return time.Since(f.since)
}
