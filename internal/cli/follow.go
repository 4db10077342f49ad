package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

// maxRecordBytes is the longest line sub reads: the largest message a server can
// be set to accept, with every byte escaped.
const maxRecordBytes = 6*maxLineBytes + 64<<10

// errSilent ends a connection on which not even a heartbeat arrives.
var errSilent = errors.New("nothing arrived for too long")

// errEnd ends a follower without an error.
var errEnd = errors.New("end")

// A record is one line of a stream of messages: a message, or one of the others.
type record struct {
	ID     string  `json:"id"`
	Topic  string  `json:"topic"`
	Data   *string `json:"data"`
	Base64 bool    `json:"base64"`
	Ready  *ready  `json:"ready"`
	Gap    *gap    `json:"gap"`
	Drain  *drain  `json:"drain"`
}

// A ready is the first record: the position from which the stream continues.
type ready struct {
	ID string `json:"id"`
}

// A gap says that the reader has missed messages.
type gap struct {
	Reason    string `json:"reason"`
	Requested string `json:"requested"`
	Oldest    string `json:"oldest"`
	Newest    string `json:"newest"`
	Policy    string `json:"policy"`
}

// A drain announces that the server is about to end the stream.
type drain struct {
	RetryMS int64 `json:"retry_ms"`
}

// A follower reads messages over as many connections as it takes.
type follower struct {
	client  *client
	query   url.Values // topics and what else holds for all connections
	start   url.Values // where to begin; empty means now
	silence time.Duration
	limit   int // messages to print; 0 for no limit
	out     printer
	notes   *notes

	printed   int
	resume    string        // ID to go on after; "" to begin with start
	hint      time.Duration // wait before the next connection that the server asks for
	connected bool          // the server has answered once; from then on it is waited for
	wait      backoff.Backoff
}

// run returns nil when limit is reached or the server wants no more reading.
func (f *follower) run(ctx context.Context) error {
	for {
		err := f.connect(ctx)
		switch {
		case errors.Is(err, errEnd):
			return nil
		case ctx.Err() != nil:
			return errInterrupted
		case !f.worthAnotherTry(err):
			return err
		}
		d := max(f.wait.Next(), f.hint)
		f.hint = 0
		f.notes.say("%v; trying again in %v", err, d.Round(time.Millisecond))
		backoff.Pause(ctx, d)
	}
}

// worthAnotherTry reports whether err is a matter of time. As long as the server
// has never answered nothing is: its address may be wrong.
func (f *follower) worthAnotherTry(err error) bool {
	if refusal, ok := errors.AsType[*problem](err); ok {
		f.hint = refusal.retryAfter
		return refusal.temporary()
	}
	_, lost := errors.AsType[*connectError](err)
	return lost && f.connected
}

// connect reads one connection to its end.
func (f *follower) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alive := func() {}
	if f.silence > 0 {
		watchdog := time.AfterFunc(f.silence, func() { cancel(errSilent) })
		defer watchdog.Stop()
		alive = func() { watchdog.Reset(f.silence) }
	}
	body, err := f.client.follow(ctx, f.parameters())
	if err != nil {
		return err
	}
	if body == nil {
		f.notes.say("the server has nothing more to send")
		return errEnd
	}
	defer body.Close()
	if f.wait.Failures() > 0 && f.connected {
		f.notes.say("connected again")
	}
	f.connected = true
	defer f.forgetFailures(time.Now())
	return f.read(ctx, &watched{body, alive})
}

// forgetFailures is called at the end of a connection that began at start. One
// that was cut at once does not count as a success.
func (f *follower) forgetFailures(start time.Time) {
	if time.Since(start) > longestWait {
		f.wait.Reset()
	}
}

// parameters asks to go on where the last connection ended.
func (f *follower) parameters() url.Values {
	q := maps.Clone(f.query)
	if f.resume != "" {
		q.Set("last_event_id", f.resume)
	} else {
		maps.Copy(q, f.start)
	}
	return q
}

// read handles records until the stream ends, which is a *connectError, or the
// follower has enough.
func (f *follower) read(ctx context.Context, r io.Reader) error {
	lines := newLineReader(r, maxRecordBytes)
	lines.whole = true
	for {
		text, err := lines.next()
		if err != nil {
			return f.client.cut(ctx, err)
		}
		if len(text) == 0 {
			continue // a heartbeat
		}
		var rec record
		if err := json.Unmarshal(text, &rec); err != nil {
			return &lineError{lines.number, fmt.Errorf("the server sends %q, which is no message", clip(text))}
		}
		if err := f.handle(rec, text); err != nil {
			return err
		}
	}
}

func clip(text []byte) []byte { return text[:min(len(text), 60)] }

func (f *follower) handle(rec record, text []byte) error {
	switch {
	case rec.Ready != nil:
		// A reader of what is new now resumes from here even if it drops before its
		// first message. One that begins elsewhere asks for the same again.
		if f.resume == "" && (len(f.start) == 0 || f.start.Get("since") == "now") {
			f.resume = rec.Ready.ID
		}
	case rec.Drain != nil:
		f.hint = time.Duration(min(max(rec.Drain.RetryMS, 0), time.Hour.Milliseconds())) * time.Millisecond
	case rec.Gap != nil:
		f.reportGap(rec.Gap)
		return f.out.gap(text)
	case rec.Data != nil:
		return f.message(rec, text)
	}
	return nil // a kind of record that is newer than this program
}

func (f *follower) message(rec record, text []byte) error {
	if err := f.out.message(rec, text); err != nil {
		return err
	}
	f.resume = rec.ID
	f.wait.Reset()
	f.printed++
	if f.printed == f.limit {
		return errEnd
	}
	return nil
}

// reportGap is not silenced by --quiet: it is a message about lost messages.
func (f *follower) reportGap(g *gap) {
	kept := "nothing is kept"
	if g.Oldest != "" {
		kept = fmt.Sprintf("%s to %s are kept", g.Oldest, g.Newest)
	}
	loud := *f.notes
	loud.quiet = false
	loud.say("%s", printable(fmt.Sprintf("GAP: messages may be lost (%s): asked to go on after %q, %s, going on by policy %s",
		g.Reason, g.Requested, kept, g.Policy)))
}

// A watched reader calls alive when bytes arrive.
type watched struct {
	r     io.Reader
	alive func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if n > 0 {
		w.alive()
	}
	return n, err
}
