// Package webhook feeds what services send by HTTP when something happens there.
//
// [New] makes the source, which is also the [http.Handler] of the URL that the services
// POST to. A request is answered after its message is in the log, or is a dead letter:
//
//	200  {}, it is in the log
//	401  it is not signed by who has the secret
//	422  it is a dead letter, with the reason
//	503  it is not in the log: send it again
//
// So it arrives at least once with a sender that sends again, and exactly once if it has
// a name: webhook-id, X-GitHub-Delivery, the id in what Stripe sends, Idempotency-Key.
//
// Whoever reaches the URL may send. What requests hold at a time is bounded, in messages
// and in bytes; who sends beyond that gets 503.
package webhook

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/problem"
)

const (
	maxQueue   = 1024             // messages that wait to be stored
	maxHeld    = 64 << 20         // bytes of all requests at once, or what 4 of the largest have
	defaultMax = 1 << 20          // bytes of a body
	storeTime  = 8 * time.Second  // that a message has to get into the log: some senders wait for 10 s
	lastTime   = 9 * time.Second  // after which it is answered, though the log may still be busy with it
	lookEvery  = time.Second      // for the file of secrets, to tell how the feed is
	retryAfter = 10 * time.Second // that senders are told to wait when the log has refused
)

var errLate = fmt.Errorf("not stored within %v", storeTime)

// A Source takes requests.
type Source struct {
	// BodyTimeout is how long a body may take to arrive; 0 is no limit. It is set before
	// the first request.
	BodyTimeout time.Duration

	scheme   feed.Scheme
	maxBytes int
	secrets  secrets
	room     room
	work     atomic.Pointer[work] // nil: Run is not at work
}

// New makes a source. spec must have passed its Check.
func New(spec feed.Spec) *Source {
	s := &Source{scheme: feed.Scheme(spec.Webhook), maxBytes: cmp.Or(spec.MaxBytes, defaultMax)}
	s.secrets.path, s.secrets.scheme = spec.SecretFile, s.scheme
	s.room.limit = max(maxHeld, 4*int64(s.maxBytes))
	return s
}

// Run stores what ServeHTTP takes, until ctx ends. What has been taken by then is tried
// once more.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	w := &work{in: in, secrets: &s.secrets, queue: make(chan *delivery, maxQueue), over: make(chan struct{})}
	defer close(w.over)
	s.work.Store(w)
	w.report()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			w.report()
		case d := <-w.queue:
			w.deliver(ctx, d)
		case <-ctx.Done():
			s.work.Store(nil)
			w.finish(ctx)
			return nil
		}
	}
}

// work is what ServeHTTP and one Run share.
type work struct {
	in      *feed.Intake
	secrets *secrets
	refused error // why the log did not take the last batch; nil: it did
	queue   chan *delivery
	over    chan struct{} // closed at the end of Run
}

// A delivery is a message whose sender waits.
type delivery struct {
	size  int // of the body, in bytes
	until time.Time
	done  chan error  // capacity 1: what became of it
	taken atomic.Bool // by Run, or back by the request, which has given up

	// Whoever has taken it owns the rest.
	message feed.Message
	dead    error // why it is a dead letter
}

// take reports whether the caller now owns d.
func (d *delivery) take() bool { return d.taken.CompareAndSwap(false, true) }

// outcome is what the sender is to be told when the log has refused d, or has not.
func (d *delivery) outcome(refused error) error {
	switch {
	case refused != nil:
		return errNotStored
	case d.dead != nil:
		return problem.Document{Status: http.StatusUnprocessableEntity, Code: "dead_letter", Detail: "it can never be published: " + d.dead.Error()}
	}
	return nil
}

// report tells how the feed is.
func (w *work) report() {
	err := w.refused
	if err == nil {
		_, err = w.secrets.current()
	}
	if err != nil {
		w.in.Failing(err)
		return
	}
	w.in.Running()
}

// deliver stores first and what has come right after it, or answers that it could not.
func (w *work) deliver(ctx context.Context, first *delivery) {
	batch := feed.Gather(first, w.queue, func(d *delivery) int { return d.size })
	batch = slices.DeleteFunc(batch, func(d *delivery) bool { return !d.take() })
	if len(batch) == 0 {
		return
	}
	messages := make([]feed.Message, len(batch))
	for i, d := range batch {
		messages[i] = d.message
	}
	ctx, cancel := context.WithDeadlineCause(ctx, batch[0].until, errLate)
	defer cancel()
	w.refused = w.in.Deliver(ctx, messages, nil)
	w.report()
	for _, d := range batch {
		d.done <- d.outcome(w.refused)
	}
}

// finish delivers what waits. ctx has ended, so that there is one attempt.
func (w *work) finish(ctx context.Context) {
	for {
		select {
		case d := <-w.queue:
			w.deliver(ctx, d)
		default:
			return
		}
	}
}

// hand hands a message over and waits until it is stored. Its error is what the sender is
// to be told.
func (w *work) hand(m feed.Message) error {
	d := &delivery{size: len(m.Body), until: time.Now().Add(storeTime), done: make(chan error, 1), message: m}
	d.message.Dead = func(reason error) { d.dead = reason }
	select {
	case w.queue <- d:
	default:
		return tooMany(fmt.Sprintf("%d messages wait to be stored, the limit", maxQueue), maxQueue)
	}
	late := time.NewTimer(lastTime)
	defer late.Stop()
	select {
	case err := <-d.done:
		return err
	case <-late.C:
	case <-w.over:
	}
	if d.take() {
		d.message = feed.Message{} // d may be in the queue for as long as the log is stuck
		return errNotStored
	}
	select {
	case err := <-d.done: // right before the end of Run
		return err
	default: // it may be stored yet
		return errNotStored
	}
}
