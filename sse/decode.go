package sse

import (
	"bytes"
	"fmt"
	"math"
	"time"
)

// DefaultMaxEvent is the size of the largest event a [Decoder] takes if it is not
// told otherwise, in bytes.
const DefaultMaxEvent = 1 << 20

// A Decoder reads a stream that arrives in pieces, however it is cut. The zero
// Decoder is ready for use. See [Reader] for a stream behind an [io.Reader].
//
// The fields may be set before the first Feed.
type Decoder struct {
	// MaxEvent is the largest event taken, in bytes: the lines of its block
	// without their ends. A comment is counted by itself. Zero means
	// [DefaultMaxEvent].
	MaxEvent int

	// OnComment, if set, is called for every comment line with its text, without
	// the colon and one space. It tells that the peer lives when no event comes.
	OnComment func(text string)

	// The stream so far.
	begun   bool   // a line has been read, so a byte order mark may not follow
	afterCR bool   // the last byte was CR: an LF that follows belongs to it
	partial []byte // a line whose end has not come
	err     error  // why Feed stopped

	// The block so far.
	size  int // bytes of its lines, without comments
	typ   string
	hasID bool
	retry time.Duration
	data  []byte // every data line with LF behind it; empty if there was none

	// What outlives blocks and connections.
	id       string // last event ID buffer: set by the line
	lastID   string // last event ID: set by the blank line
	wait     time.Duration
	hasWait  bool
	lastType string // spares an allocation when types repeat
}

// Feed reads the next bytes of the stream and calls fn for every event that they
// complete, in order. Event.Data is valid until fn returns. Event.Type is as
// received, "" if there was no such line; Event.ID is set if the block itself
// carried one, and Event.ResetID if that was empty. A block that sets nothing is
// not reported, nor is "retry: 0", except by [Decoder.Retry].
//
// If fn fails, Feed returns its error; if an event exceeds MaxEvent, an error that
// wraps [ErrTooLarge]. The rest of the stream is lost then: later calls return
// the same error until [Decoder.Reset].
//
// Feed keeps no reference to chunk. fn and OnComment must not call it.
func (d *Decoder) Feed(chunk []byte, fn func(Event) error) error {
	for len(chunk) > 0 && d.err == nil {
		e, rest, ok := d.next(chunk)
		if ok {
			d.err = fn(e)
		}
		chunk = rest
	}
	return d.err
}

// LastEventID is the ID to come back with: that of the newest complete block that
// carried one, with or without data; "" if there is none.
func (d *Decoder) LastEventID() string {
	return d.lastID
}

// Retry is the reconnection time that the stream asked for last. It is false if
// none was asked for. It never exceeds the longest [time.Duration].
func (d *Decoder) Retry() (time.Duration, bool) {
	return d.wait, d.hasWait
}

// Reset makes d ready for the stream of a new connection. It drops an incomplete
// block and keeps the settings, the last event ID and the reconnection time.
func (d *Decoder) Reset() {
	d.begun, d.afterCR, d.err = false, false, nil
	d.partial = d.partial[:0]
	d.id = d.lastID
	d.clearBlock()
}

// next reads chunk until it has an event, and returns what it left unread.
func (d *Decoder) next(chunk []byte) (e Event, rest []byte, ok bool) {
	for len(chunk) > 0 && d.err == nil && !ok {
		if d.afterCR && chunk[0] == '\n' {
			chunk = chunk[1:]
		}
		d.afterCR = false
		end := indexLineEnd(chunk)
		if end < 0 {
			d.keep(chunk)
			return e, nil, false
		}
		d.afterCR = chunk[end] == '\r'
		e, ok = d.endLine(chunk[:end])
		chunk = chunk[end+1:]
	}
	return e, chunk, ok
}

// keep adds p to the line whose end has not come.
func (d *Decoder) keep(p []byte) {
	if d.fits(p) {
		d.partial = append(d.partial, p...)
	}
}

// endLine reads the line that p completes.
func (d *Decoder) endLine(p []byte) (Event, bool) {
	if !d.fits(p) {
		return Event{}, false
	}
	if len(d.partial) > 0 {
		p = append(d.partial, p...)
		d.partial = p[:0]
	}
	if !d.begun {
		p = bytes.TrimPrefix(p, byteOrderMark)
		d.begun = true
	}
	if len(p) == 0 {
		return d.endBlock()
	}
	d.line(p)
	return Event{}, false
}

var byteOrderMark = []byte("\uFEFF")

// fits reports whether the current line may grow by p. It compares the same sum
// whether a line comes whole or in parts, so that cuts make no difference.
func (d *Decoder) fits(p []byte) bool {
	size := d.size + len(d.partial) + len(p)
	if isComment(d.partial, p) {
		size -= d.size
	}
	limit := d.MaxEvent
	if limit <= 0 {
		limit = DefaultMaxEvent
	}
	if size > limit {
		d.err = fmt.Errorf("%w: at least %d bytes, limit %d", ErrTooLarge, limit+1, limit)
	}
	return d.err == nil
}

func isComment(begin, rest []byte) bool {
	if len(begin) == 0 {
		begin = rest
	}
	return len(begin) > 0 && begin[0] == ':'
}

// line reads one line that is not blank.
func (d *Decoder) line(p []byte) {
	name, value, _ := bytes.Cut(p, colon)
	value = bytes.TrimPrefix(value, space)
	if len(name) == 0 {
		if d.OnComment != nil {
			d.OnComment(string(value))
		}
		return
	}
	d.size += len(p)
	d.field(name, value)
}

var colon, space = []byte{':'}, []byte{' '}

// Source: WHATWG HTML, "Server-sent events", section "Interpreting an event
// stream", "to process the field".
func (d *Decoder) field(name, value []byte) {
	switch string(name) {
	case "data":
		d.data = append(d.data, value...)
		d.data = append(d.data, '\n')
	case "event":
		if string(value) != d.lastType {
			d.lastType = string(value)
		}
		d.typ = d.lastType
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			d.id, d.hasID = string(value), true
		}
	case "retry":
		if wait, ok := parseRetry(value); ok {
			d.retry, d.wait, d.hasWait = wait, wait, true
		}
	}
}

// endBlock makes the event of the block; it reports false if the block sets
// nothing.
func (d *Decoder) endBlock() (Event, bool) {
	e := Event{Type: d.typ, Retry: d.retry}
	if n := len(d.data); n > 0 {
		e.Data = d.data[: n-1 : n-1]
	}
	if d.hasID {
		e.ID, e.ResetID = d.id, d.id == ""
	}
	d.lastID = d.id
	d.clearBlock()
	return e, e.Type != "" || e.ID != "" || e.ResetID || e.Retry > 0 || e.Data != nil
}

func (d *Decoder) clearBlock() {
	d.size, d.typ, d.hasID, d.retry = 0, "", false, 0
	d.data = d.data[:0]
}

// parseRetry reads milliseconds, ASCII digits only. Beyond the longest Duration
// it returns the most whole milliseconds that one can hold.
func parseRetry(p []byte) (time.Duration, bool) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	ms := int64(0)
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		ms = min(ms*10+int64(c-'0'), most)
	}
	return time.Duration(ms) * time.Millisecond, len(p) > 0
}

// indexLineEnd returns the index of the first CR or LF in p, or -1. It looks at
// windows that double, since a search for one of the two in all of p from every
// line anew would take quadratic time where only the other occurs.
func indexLineEnd(p []byte) int {
	for from, width := 0, 128; from < len(p); from, width = from+width, width*2 {
		w := p[from:min(from+width, len(p))]
		lf := bytes.IndexByte(w, '\n')
		if lf >= 0 {
			w = w[:lf]
		}
		if i := bytes.IndexByte(w, '\r'); i >= 0 {
			return from + i
		}
		if lf >= 0 {
			return from + lf
		}
	}
	return -1
}
