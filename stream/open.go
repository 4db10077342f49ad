package stream

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// An Opener turns requests into streams of one format.
type Opener struct {
	opts      Options
	format    Format
	mediaType string // of format, without parameters
	framed    [2]loop.Config
	unwatched [2]loop.Config // the same for sockets that the kernel does not give up
}

// The two ways to delimit a body: HTTP/1.1 chunks, or as the layer below does
// (the end of the connection, or what net/http adds).
const (
	plain = iota
	chunked
)

// NewOpener checks the options.
func NewOpener(o Options, f Format) (*Opener, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	op := &Opener{opts: o, format: f}
	if op.mediaType, _, err = mime.ParseMediaType(f.ContentType); err != nil {
		return nil, fmt.Errorf("stream: content type %q: %v", f.ContentType, err)
	}
	base := loop.Config{Beat: f.Beat, Limit: int64(o.Buffer), Linger: o.Linger}
	if f.Beat != nil {
		base.Heartbeat = o.Heartbeat
	}
	op.framed[plain], op.framed[chunked] = base, base
	op.framed[chunked].Beat = appendChunk(nil, f.Beat)
	op.framed[chunked].Tail = []byte("0\r\n\r\n")
	op.unwatched = op.framed
	for i := range op.unwatched {
		op.unwatched[i].Patience = max(o.UserTimeout, 0)
	}
	return op, nil
}

// Serve opens a stream, calls fn with it, and returns when the handler's
// goroutine is no longer needed. first follows the format's first bytes. fn gets
// a request whose context ends with the stream. If no stream can be opened the
// request has been answered and fn is not called.
func (op *Opener) Serve(w http.ResponseWriter, r *http.Request, first []byte, fn func(c *Conn, r *http.Request)) {
	if op.head(w, r) {
		return
	}
	guest, err := op.admit(w, r)
	if err != nil {
		return // Admit has answered
	}
	c, err := op.open(w, r, first, guest)
	switch {
	case errors.Is(err, ErrClosed): // the client has gone while the stream was opened
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	case !c.needsHandler():
		c.protect(func() { fn(c, c.request(r)) })
	default: // the pump needs this goroutine, so fn gets one; the stream's end ends its context
		go c.protect(func() { fn(c, c.request(r)) })
		c.Hold()
	}
}

// Open opens a stream for a handler that is not made by SSE or Chunked. Its last
// act must be to call [Conn.Hold]. For a HEAD request the Conn is nil. An error of
// Options.Admit is returned as it is; then the request has been answered.
func (op *Opener) Open(w http.ResponseWriter, r *http.Request, first []byte) (*Conn, error) {
	if op.head(w, r) {
		return nil, nil
	}
	guest, err := op.admit(w, r)
	if err != nil {
		return nil, err
	}
	return op.open(w, r, first, guest)
}

// head answers a HEAD request, in which case it returns true.
func (op *Opener) head(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodHead {
		return false
	}
	op.setHeaders(w.Header(), r)
	w.WriteHeader(http.StatusOK)
	return true
}

func (op *Opener) admit(w http.ResponseWriter, r *http.Request) (Guest, error) {
	if op.opts.Admit == nil {
		return nil, nil
	}
	return op.opts.Admit(w, r)
}

// open makes the stream of an admitted guest. If there will be none the guest has left.
func (op *Opener) open(w http.ResponseWriter, r *http.Request, first []byte, guest Guest) (*Conn, error) {
	c := &Conn{opener: op, framing: plain, guest: guest, id: op.opts.Engine.ids.Add(1)}
	begun := false
	defer func() { // also if a function of the program panics
		if !begun {
			c.sayLeft()
		}
	}()
	op.setHeaders(w.Header(), r)
	if op.format.Begin != nil {
		first = append(append([]byte(nil), op.format.Begin(&op.opts)...), first...)
	}
	c.lastEventID = lastEventID(r)
	c.server, _ = r.Context().Value(http.ServerContextKey).(*http.Server)
	from := op.opts.Engine.home(c.server)
	if err := c.begin(w, r, first); err != nil {
		return nil, err
	}
	begun = true
	c.join(from, r)
	return c, nil
}

// begin sends the head and the first bytes, and gives the stream a socket.
func (c *Conn) begin(w http.ResponseWriter, r *http.Request, first []byte) error {
	if r.ProtoMajor == 1 && !c.opener.opts.pipesOnly {
		if taken, err := c.takeOver(w, r, first); taken || err != nil {
			return err
		}
	}
	return c.keepHandler(w, r, first)
}

const noCache = "no-cache, no-store, no-transform"

// setHeaders adds what streams need to what the program has set.
func (op *Opener) setHeaders(h http.Header, r *http.Request) {
	set := func(name, value string) {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
	set("Content-Type", op.format.ContentType)
	set("Cache-Control", noCache)
	if !op.opts.ProxyBuffering {
		set("X-Accel-Buffering", "no")
	}
	set("X-Content-Type-Options", "nosniff")
	h.Add("Vary", "Accept")
	if r.ProtoMajor == 1 {
		set("Connection", "keep-alive")
	}
}

// maxAge returns the age at which a new stream ends.
func (op *Opener) maxAge() time.Duration {
	return Jitter(op.opts.MaxAge * 5 / 6) // the longest is MaxAge
}

// start prepares the stream for a loop.
func (c *Conn) start(fd int, sock loop.Socket, keep bool) {
	c.startWith(&c.opener.framed, fd, sock, keep)
}

func (c *Conn) startWith(framed *[2]loop.Config, fd int, sock loop.Socket, keep bool) {
	op := c.opener
	c.io.Init(op.opts.Engine.loops.Pick(), &framed[c.framing], c, fd, sock, op.maxAge(), keep)
}

// join tells the program of the stream and adds it to its loop, whatever the program
// does: what has begun must be closed by its loop.
func (c *Conn) join(from *home, r *http.Request) {
	told := false
	defer func() {
		c.io.Add()
		if !told { // Opened has panicked
			c.leave()
			c.io.Close(loop.Panicked)
		}
		if from.down.Load() {
			c.io.End(loop.Shutdown)
		}
	}()
	if opened := c.opener.opts.Opened; opened != nil {
		opened(c, r)
	}
	told = true
}

// keepHandler opens the stream on top of w. The handler's goroutine writes it out.
func (c *Conn) keepHandler(w http.ResponseWriter, r *http.Request, first []byte) error {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the server's limits are for requests
	timeout := c.opener.opts.UserTimeout
	write := func(p []byte) error {
		if timeout > 0 {
			_ = rc.SetWriteDeadline(time.Now().Add(timeout))
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		err := rc.Flush()
		_ = rc.SetWriteDeadline(time.Time{}) // at which net/http would reset an HTTP/2 stream, also a silent one
		return err
	}
	_ = rc.SetWriteDeadline(time.Time{})
	w.WriteHeader(http.StatusOK)
	switch err := write(first); {
	case errors.Is(err, http.ErrNotSupported):
		return fmt.Errorf("stream: this server cannot stream: %w", err)
	case err != nil:
		return fmt.Errorf("%w: %v", ErrClosed, err)
	}
	if addr, err := net.ResolveTCPAddr("tcp", r.RemoteAddr); err == nil {
		c.setRemote(addr.AddrPort())
	}
	c.startPipe(r.Context(), write)
	return nil
}

// startPipe gives the loop a pipe in place of a socket.
func (c *Conn) startPipe(ctx context.Context, write func([]byte) error) {
	pipe := loop.NewPipe(&c.io)
	c.start(-1, pipe, false)
	c.rare = &rare{pump: func() { pipe.Serve(ctx, write) }}
}
