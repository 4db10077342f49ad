package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/backoff"
	"github.com/weirstream/weir/internal/config"
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
// that it is kept, always with the same idempotency key, so a line is neither lost
// nor doubled.
type publisher struct {
	client *client
	notes  *notes
	tooBig bool          // leave out lines the server finds too large instead of stopping
	keys   string        // what the idempotency keys begin with, of this run alone
	retry  time.Duration // how long to try until the first line is published

	published int
	refused   int // left out
	unsent    int // read but given up when interrupted
	lastID    string
	connected bool // a line is settled; from then on the server is waited for
}

// run publishes all of f and returns why it stopped: nil at the end of the input.
func (p *publisher) run(ctx context.Context, f *feed) error {
	for {
		select {
		case lines, more := <-f.batches:
			if !more {
				return f.err
			}
			if err := p.deliver(ctx, lines); err != nil {
				return err
			}
		case <-p.notes.stale():
			p.notes.draw()
		}
	}
}

// A batch is lines that are sent together.
type batch struct {
	lines   []line
	settled int // how many, from the first on, are published or left out
	key     string
	begun   time.Time
	wait    backoff.Backoff
}

// body joins the lines. Settled ones become empty lines, so that the others keep
// their numbers: the server makes a line's key of the batch's key and its number.
func (b *batch) body() []byte {
	var buf bytes.Buffer
	for i, l := range b.lines {
		if i >= b.settled {
			buf.Write(l.json)
		}
		buf.WriteByte('\n')
	}
	return buf.Bytes()
}

func (b *batch) left() int { return len(b.lines) - b.settled }

// deliver publishes lines, however often that takes.
func (p *publisher) deliver(ctx context.Context, lines []line) error {
	b := &batch{lines: lines, key: fmt.Sprintf("%s-%d", p.keys, lines[0].number), begun: time.Now(), wait: newBackoff()}
	for b.left() > 0 {
		a, err := p.client.publish(ctx, b.key, b.body())
		kept := min(max(a.Published, 0), b.left())
		p.acknowledge(kept, a.LastID)
		b.settled += kept
		if kept > 0 {
			b.wait.Reset()
		}
		if err == nil && kept == 0 {
			err = errors.New("the server answers that it published none of the lines it accepted")
		}
		if err == nil || b.left() == 0 {
			continue
		}
		if err := p.afterError(ctx, b, err); err != nil {
			return err
		}
	}
	return nil
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

// afterError returns nil when what is left of b is to be sent again, for which it
// waits, or the error to stop with.
func (p *publisher) afterError(ctx context.Context, b *batch, err error) error {
	refusal, refused := errors.AsType[*problem](err)
	_, unanswered := errors.AsType[*connectError](err)
	switch {
	case ctx.Err() != nil:
		p.unsent += b.left()
		return errInterrupted
	case refused && refusal.Line > 0 && !refusal.temporary():
		return p.leaveOut(b, refusal)
	case unanswered, refused && refusal.temporary():
	default:
		return err
	}
	d := b.wait.Next()
	if refused {
		d = max(d, refusal.retryAfter)
	}
	if !p.connected && time.Since(b.begun)+d > p.retry {
		return err
	}
	if b.wait.Failures() == 1 {
		p.notes.say("%v; trying again%s", err, p.limit())
	}
	backoff.Pause(ctx, d)
	return nil
}

// limit says for how long the server is waited for.
func (p *publisher) limit() string {
	if p.connected {
		return ""
	}
	return " for " + config.FormatDuration(p.retry)
}

// leaveOut skips the line that the server refused, or stops there.
func (p *publisher) leaveOut(b *batch, refusal *problem) error {
	bad := &lineError{b.lines[b.settled].number, refusal}
	if !p.tooBig || refusal.Code != "too_large" {
		return bad
	}
	p.connected = true
	p.refused++
	b.settled++
	p.notes.say("%v; it is left out", bad)
	return nil
}
