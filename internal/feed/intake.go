package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/backoff"
)

// A Message is what a source delivers.
type Message struct {
	Body []byte // handed over: the source does not change it later
	ID   string // by which the source names this message whenever it delivers it; "": it has no name
	Key  string // routing key, channel, or what else the source sorts messages by

	Headers    map[string]string // what the sender added: headers, or fields of an entry
	Properties map[string]string // what the protocol says of the message

	// Fault says why the source could not read the message whole. It makes it a dead
	// letter.
	Fault error

	// Dead is told why the message is a dead letter, before a Deliver that returns nil.
	// It is for sources whose sender waits for an answer. nil: nobody is.
	Dead func(reason error)
}

func (m *Message) died(reason error) {
	if m.Dead != nil {
		m.Dead(reason)
	}
}

// An Intake takes messages from one source. Its methods belong to the goroutine of
// Source.Run, but for Grace and Lag.
type Intake struct {
	feed  *Feed
	grace context.Context
}

// Running tells that the source is connected and waits for messages.
func (in *Intake) Running() { in.feed.change(Running, nil) }

// Failing tells that the source waits for something to come back by itself.
func (in *Intake) Failing(err error) { in.feed.change(Failing, err) }

// Lag tells how many messages wait at the source.
func (in *Intake) Lag(n int64) { in.feed.lag.Store(n) }

// Grace is a context that ends a few seconds after that of Run: nothing may last longer.
func (in *Intake) Grace() context.Context { return in.grace }

// Name returns the name of the feed.
func (in *Intake) Name() string { return in.feed.Name() }

// Debug logs a line of the source's own.
func (in *Intake) Debug(text string, args ...any) { in.feed.log.Debug(text, args...) }

// Position returns what was last given to Deliver as position, also by an earlier
// process if the log outlived it; nil if there is none.
func (in *Intake) Position() []byte { return in.feed.opts.Hub.Log().Value(in.feed.positionKey()) }

func (f *Feed) positionKey() string { return "feed/" + f.Name() }

// Deliver returns nil when all messages are in the log, or are dead letters: the source
// may acknowledge them. With them, all or nothing, it stores position unless that is
// nil. If the log refuses, it tries again until ctx ends; an error means that the
// messages must not be acknowledged.
func (in *Intake) Deliver(ctx context.Context, batch []Message, position []byte) error {
	f := in.feed
	f.received.Add(int64(len(batch)))
	b := f.prepare(batch)
	if position != nil {
		b.puts = []eventlog.Put{{Key: f.positionKey(), Value: position}}
	}
	err := f.store(in.grace, b)
	if err == nil {
		return nil
	}
	f.failures.Add(1)
	for wait := (backoff.Backoff{First: firstOffer, Longest: lastOffer}); err != nil; err = f.store(in.grace, b) {
		f.change(Failing, err)
		if !backoff.Pause(ctx, wait.Next()) {
			return fmt.Errorf("%w; the log refused: %v", context.Cause(ctx), err)
		}
	}
	in.Running()
	return nil
}

// A parcel is a batch as it goes into the log.
type parcel struct {
	messages []hub.Message
	dead     []bool    // by index of messages: it is a dead letter
	from     []Message // by index of messages
	puts     []eventlog.Put
	dropped  []grave
}

// prepare makes messages of the log.
func (f *Feed) prepare(batch []Message) *parcel {
	b := &parcel{messages: make([]hub.Message, 0, len(batch)), dead: make([]bool, 0, len(batch)), from: make([]Message, 0, len(batch))}
	for i := range batch {
		m, err := f.maker.make(&batch[i])
		if err == nil {
			err = f.opts.Hub.Check(m)
		}
		if err != nil {
			f.bury(b, &batch[i], err)
			continue
		}
		b.add(m, &batch[i], false)
	}
	return b
}

func (b *parcel) add(m hub.Message, from *Message, dead bool) {
	b.messages = append(b.messages, m)
	b.from = append(b.from, *from)
	b.dead = append(b.dead, dead)
}

// store puts a parcel into the log. An error means that it may work later.
func (f *Feed) store(ctx context.Context, b *parcel) error {
	if f.opts.Refuse != nil {
		if err := f.opts.Refuse(); err != nil {
			return err
		}
	}
	if len(b.messages) > 0 || len(b.puts) > 0 {
		if err := f.commit(ctx, b); err != nil {
			return err
		}
	}
	for _, g := range b.dropped {
		f.dropped.Add(1)
		f.quiet.warn(f.log, "message dropped: it can never be published", g.text, g.reason)
	}
	b.dropped = nil
	return nil
}

// commit stores a parcel at once.
func (f *Feed) commit(ctx context.Context, b *parcel) error {
	receipts, err := f.opts.Hub.Commit(ctx, b.puts, b.messages...)
	if atFault(err) {
		return f.sift(ctx, b)
	}
	if err != nil {
		return err
	}
	for i, r := range receipts {
		f.count(b.dead[i], r.Duplicate)
	}
	return nil
}

func (f *Feed) count(dead, duplicate bool) {
	switch {
	case duplicate:
		f.duplicates.Add(1)
	case dead:
		f.dead.Add(1)
	default:
		f.published.Add(1)
	}
}

// sift stores the messages of a parcel one by one, because the log finds fault with
// one of them that Check did not find, and makes dead letters of such. What is stored
// leaves the parcel, so that an error leaves the rest.
func (f *Feed) sift(ctx context.Context, b *parcel) error {
	for len(b.messages) > 0 {
		receipts, err := f.opts.Hub.Commit(ctx, nil, b.messages[0])
		switch {
		case atFault(err) && b.dead[0]: // its Dead knows already
			b.dropped = append(b.dropped, grave{clip(b.from[0].Body), err})
		case atFault(err):
			b.from[0].died(err)
			if m, bad := f.deadLetter(&b.from[0], err); bad == nil {
				b.messages[0], b.dead[0] = m, true
				continue
			}
			b.dropped = append(b.dropped, grave{clip(b.from[0].Body), err})
		case err != nil:
			return err
		default:
			f.count(b.dead[0], receipts[0].Duplicate)
		}
		b.messages, b.from, b.dead = b.messages[1:], b.from[1:], b.dead[1:]
	}
	if len(b.puts) == 0 {
		return nil
	}
	_, err := f.opts.Hub.Commit(ctx, b.puts)
	return err
}

// atFault reports whether an error will come again with the same message.
func atFault(err error) bool {
	return errors.Is(err, hub.ErrTopic) || errors.Is(err, hub.ErrID) || errors.Is(err, hub.ErrType) || errors.Is(err, hub.ErrTooLarge)
}

const (
	// MaxBatch is how many messages a source delivers at once.
	MaxBatch = 256
	// maxBatchBytes is how many bytes of them; one message may have more.
	maxBatchBytes = 256 << 10
	// idle is how long a batch waits for more.
	idle = time.Millisecond
)

// Gather returns first and what arrives right after it, at most MaxBatch messages. size
// tells how many bytes one has.
func Gather[T any](first T, arriving <-chan T, size func(T) int) []T {
	batch, bytes := []T{first}, size(first)
	var timer *time.Timer
	for len(batch) < MaxBatch && bytes < maxBatchBytes {
		select {
		case v, open := <-arriving:
			if !open {
				return batch
			}
			batch, bytes = append(batch, v), bytes+size(v)
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(idle)
			defer timer.Stop()
		} else {
			timer.Reset(idle)
		}
		select {
		case v, open := <-arriving:
			if !open {
				return batch
			}
			batch, bytes = append(batch, v), bytes+size(v)
		case <-timer.C:
			return batch
		}
	}
	return batch
}
