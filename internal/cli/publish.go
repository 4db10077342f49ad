package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

// lastChance is how long pub goes on after it was interrupted, to publish what it
// has read already.
const lastChance = 2 * time.Second

// A lineError says which line of the input is wrong.
type lineError struct {
	number int
	err    error
}

func (e *lineError) Error() string { return fmt.Sprintf("line %d: %v", e.number, e.err) }

func (e *lineError) Unwrap() error { return e.err }

// A publisher delivers batches in order. Each line is sent until the server says
// that it is kept, so a line is never lost; after an answer that did not arrive
// it may be published twice, which is said aloud.
type publisher struct {
	client *client
	notes  *notes
	tooBig bool // leave out lines the server finds too large instead of stopping

	published int
	refused   int // left out
	unsent    int // read but given up when interrupted
	lastID    string
	connected bool // the server has answered once; from then on it is waited for
}

// run publishes all of f and returns why it stopped: nil at the end of the input.
func (p *publisher) run(ctx context.Context, f *feed) error {
	for {
		select {
		case b, more := <-f.batches:
			if !more {
				return f.err
			}
			if err := p.deliver(ctx, b); err != nil {
				return err
			}
		case <-p.notes.stale():
			p.notes.draw()
		}
	}
}

// deliver publishes one batch, however often that takes.
func (p *publisher) deliver(ctx context.Context, b []line) error {
	var wait backoff
	for len(b) > 0 {
		a, err := p.client.publish(ctx, body(b))
		kept := min(max(a.Published, 0), len(b))
		p.acknowledge(kept, a.LastID)
		b = b[kept:]
		if kept > 0 {
			wait.reset()
		}
		if err == nil && kept == 0 {
			err = errors.New("the server answers that it published none of the lines it accepted")
		}
		if err == nil {
			continue
		}
		if b, err = p.afterError(ctx, b, err, &wait); err != nil {
			return err
		}
	}
	return nil
}

// body joins the lines of b.
func body(b []line) []byte {
	var buf bytes.Buffer
	for _, l := range b {
		buf.Write(l.json)
		buf.WriteByte('\n')
	}
	return buf.Bytes()
}

func (p *publisher) acknowledge(n int, lastID string) {
	p.published += n
	if lastID != "" {
		p.lastID = lastID
	}
	if n > 0 {
		p.connected = true
		p.notes.set(fmt.Sprintf("%d published", p.published))
	}
}

// afterError decides what follows err: it returns the lines to send next, or the
// error to stop with. It waits before lines are sent again.
func (p *publisher) afterError(ctx context.Context, b []line, err error, wait *backoff) ([]line, error) {
	if len(b) == 0 {
		return nil, nil
	}
	refusal, refused := errors.AsType[*problem](err)
	lost, unanswered := errors.AsType[*connectError](err)
	switch {
	case ctx.Err() != nil:
		p.unsent += len(b)
		return nil, errInterrupted
	case refused && refusal.Line > 0 && !refusal.temporary():
		return p.leaveOut(b, refusal)
	case unanswered && p.connected, refused && refusal.temporary():
	default:
		return nil, err
	}
	d := wait.next()
	if refused {
		p.connected = true
		d = max(d, refusal.retryAfter)
	}
	if wait.failures == 1 {
		p.notes.say("%v; trying again", err)
	}
	if unanswered && lost.sent {
		p.notes.say("it is unknown whether up to %d lines were published; they are sent again", len(b))
	}
	pause(ctx, d)
	return b, nil
}

// leaveOut skips the line that the server refused, or stops there.
func (p *publisher) leaveOut(b []line, refusal *problem) ([]line, error) {
	bad := &lineError{b[0].number, refusal}
	if !p.tooBig || refusal.Code != "too_large" {
		return nil, bad
	}
	p.connected = true
	p.refused++
	p.notes.say("%v; it is left out", bad)
	return b[1:], nil
}
