package nats

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/internal/feed"
)

// A subscription is one to subjects.
type subscription struct {
	in      *feed.Intake
	conn    *nats.Conn
	waiting *queue
	subs    []*nats.Subscription
}

// subjects delivers the messages of subjects.
func (s *Source) subjects(ctx, open context.Context, in *feed.Intake, conn *nats.Conn, waiting *queue) error {
	r := &subscription{in: in, conn: conn, waiting: waiting}
	for _, subject := range s.spec.Subscribe {
		sub, err := conn.ChanQueueSubscribe(subject, s.spec.Group, waiting.messages)
		if err != nil {
			return fmt.Errorf("subscribe to %q: %w", subject, err)
		}
		r.subs = append(r.subs, sub)
	}
	if err := flush(ctx, conn); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("subscribe: %w", err)
	}
	in.Running()
	for {
		select {
		case m := <-waiting.messages:
			if err := r.deliver(ctx, m); err != nil {
				return err
			}
		case <-open.Done():
			if ctx.Err() != nil {
				return r.end()
			}
			if err := r.rest(ctx); err != nil {
				return err
			}
			return context.Cause(open)
		}
	}
}

// end unsubscribes, and delivers what arrives until the server has seen that.
func (r *subscription) end() error {
	for _, sub := range r.subs {
		if err := sub.Drain(); err != nil {
			return r.rest(r.in.Grace()) // the connection is lost
		}
	}
	done := make(chan struct{})
	go func() { // ends with the connection
		defer close(done)
		_ = flush(r.in.Grace(), r.conn) // it is the end in any case
	}()
	for {
		select {
		case m := <-r.waiting.messages:
			if err := r.deliver(r.in.Grace(), m); err != nil {
				return err
			}
		case <-done:
			return r.rest(r.in.Grace())
		}
	}
}

// rest delivers what has arrived.
func (r *subscription) rest(ctx context.Context) error {
	for {
		select {
		case m := <-r.waiting.messages:
			if err := r.deliver(ctx, m); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// deliver delivers m and what has arrived after it.
func (r *subscription) deliver(ctx context.Context, m *nats.Msg) error {
	batch := feed.Gather(m, r.waiting.messages, func(m *nats.Msg) int { return len(m.Data) })
	r.waiting.took()
	messages := make([]feed.Message, len(batch))
	for i, m := range batch {
		messages[i] = feed.Message{Body: m.Data, ID: m.Header.Get(nats.MsgIdHdr), Key: m.Subject, Headers: headers(m.Header)}
		if m.Reply != "" {
			messages[i].Properties = map[string]string{"reply": m.Reply}
		}
	}
	return r.in.Deliver(ctx, messages, nil)
}

// flush waits until the server has seen what was sent.
func flush(ctx context.Context, conn *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return conn.FlushWithContext(ctx)
}
