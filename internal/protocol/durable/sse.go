package durable

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// writePatience is how long a client may take nothing before it is given up.
const writePatience = 30 * time.Second

// A follower gets a stream as Server-Sent Events.
type follower struct {
	*waiter
	out    *bufio.Writer
	rc     *http.ResponseController
	until  time.Time // when it has to come back
	cursor uint64
	idle   bool // it has been told that it is up to date
}

// follow answers with events, until the stream ends or the follower has been there
// for long enough: coming back lets caches serve many with one request.
//
// The handler's goroutine stays. What a follower has yet to read is in the log.
func (h *Handler) follow(rq request, s *state) error {
	wt, err := h.newWaiter(rq, s)
	if err != nil {
		return err
	}
	defer wt.end()
	if err := wt.again(); err != nil {
		return err
	}
	p, err := h.read(rq.r.Context(), wt.s, rq.at, followLimit)
	if err != nil {
		return err
	}
	f := &follower{waiter: wt, out: bufio.NewWriter(rq.w), rc: http.NewResponseController(rq.w)}
	now, spread := time.Now(), h.opts.Rotate/5
	f.until = rq.until(h.opts.Rotate - spread/2 + rand.N(spread))
	f.cursor = nextCursor(rq.cursor, now)
	f.head(p)
	defer f.rc.SetWriteDeadline(time.Time{}) // the connection goes on
	f.serve(p)
	return nil
}

func (f *follower) head(p page) {
	head := f.rq.w.Header()
	head.Set("Content-Type", "text/event-stream")
	head.Set("Cache-Control", "no-cache")
	if !f.h.opts.ProxyBuffering {
		head.Set("X-Accel-Buffering", "no")
	}
	if !f.s.isText() {
		head.Set("Stream-SSE-Data-Encoding", "base64")
	}
	if p.trimmed {
		head.Set(trimmedHeader, "true")
	}
	f.rq.w.WriteHeader(http.StatusOK)
}

// serve writes p and what follows. Whatever goes wrong from here on ends the
// response: the client comes back, and learns what it is.
func (f *follower) serve(p page) {
	for leaving := false; ; {
		if f.rq.v.Still() != nil {
			return
		}
		f.page(p)
		if p.upToDate && f.flush() != nil || p.closed || p.upToDate && leaving {
			return
		}
		if p.upToDate {
			leaving = f.await() != changed // with what there is by then
		}
		var err error
		if err = f.again(); err == nil {
			p, err = f.h.read(f.rq.r.Context(), f.s, p.next, followLimit)
		}
		if err != nil {
			return
		}
	}
}

// await waits for something new. Meanwhile it sends comments, so that all on the way
// know that the connection is in use.
func (f *follower) await() outcome {
	for {
		d := time.Until(f.until)
		if beat := f.h.opts.Heartbeat; beat > 0 {
			d = min(d, beat)
		}
		timer := time.NewTimer(d)
		o := f.wait(f.rq.r.Context(), timer)
		timer.Stop()
		if o != late || !time.Now().Before(f.until) {
			return o
		}
		f.limitWrite()
		f.out.WriteString(":\n")
		if f.flush() != nil {
			return over
		}
	}
}

func (f *follower) limitWrite() { _ = f.rc.SetWriteDeadline(time.Now().Add(writePatience)) }

func (f *follower) flush() error {
	if err := f.out.Flush(); err != nil {
		return err
	}
	return f.rc.Flush()
}

// page writes the events of a page: its data, and where the reader is then. Errors
// stay in f.out until it is flushed.
func (f *follower) page(p page) {
	if len(p.entries) == 0 && f.idle && !p.closed {
		return
	}
	f.limitWrite()
	if len(p.entries) > 0 {
		f.out.WriteString("event: data\n")
		pieces := encode(f.s, p.entries)
		if !f.idle { // it is not live yet, or no longer
			f.rq.charge(size(pieces))
		}
		if f.s.isText() {
			writeText(f.out, bytes.Join(pieces, nil))
		} else {
			writeBase64(f.out, pieces)
		}
		f.out.WriteString("\n")
	}
	f.control(p)
	f.idle = p.upToDate
}

// control writes the event that says where the reader is.
func (f *follower) control(p page) {
	c := struct {
		Next     string `json:"streamNextOffset"`
		Cursor   string `json:"streamCursor,omitempty"`
		UpToDate bool   `json:"upToDate,omitempty"`
		Closed   bool   `json:"streamClosed,omitempty"`
	}{Next: f.h.offset(p.next), UpToDate: p.upToDate, Closed: p.closed}
	if !p.closed {
		f.cursor = max(f.cursor, nextCursor("", time.Now()))
		c.Cursor = strconv.FormatUint(f.cursor, 10)
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic("durable: " + err.Error())
	}
	f.out.WriteString("event: control\n")
	writeText(f.out, b)
	f.out.WriteString("\n")
}

// writeText writes data lines. There is no space after the colon, unless the line
// begins with one, which a reader would take off.
func writeText(out *bufio.Writer, data []byte) {
	for more := true; more; {
		var line []byte
		line, data, more = cutLine(data)
		out.WriteString("data:")
		if len(line) > 0 && line[0] == ' ' {
			out.WriteByte(' ')
		}
		out.Write(line)
		out.WriteByte('\n')
	}
}

// cutLine cuts after the first line, which ends with CR, LF, or both.
func cutLine(data []byte) (line, rest []byte, more bool) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 {
		return data, nil, false
	}
	line, rest = data[:i], data[i+1:]
	if data[i] == '\r' && len(rest) > 0 && rest[0] == '\n' {
		rest = rest[1:]
	}
	return line, rest, true
}

func writeBase64(out *bufio.Writer, pieces [][]byte) {
	out.WriteString("data:")
	enc := base64.NewEncoder(base64.StdEncoding, out)
	for _, piece := range pieces {
		enc.Write(piece)
	}
	enc.Close()
	out.WriteByte('\n')
}
