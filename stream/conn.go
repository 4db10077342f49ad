package stream

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/sse"
)

// Errors of Send and Write.
var (
	ErrClosed = errors.New("stream: closed")
	ErrFull   = errors.New("stream: send buffer full")
)

// A State is where a stream is in its life.
type State uint8

const (
	Established State = iota // the client can be written to
	Closing                  // ended; the rest is being sent
	Closed
)

func (s State) String() string { return [...]string{"established", "closing", "closed"}[s] }

// A Reason says why a stream was closed; see [Conn.Reason].
type Reason = loop.Reason

// Reasons for the end of a stream.
const (
	Open        = loop.Open        // it has not ended
	Ended       = loop.Ended       // End or Close was called
	ClientGone  = loop.ClientGone  // the client closed the connection
	MaxAge      = loop.MaxAge      // Options.MaxAge has passed
	TooSlow     = loop.TooSlow     // the client took nothing for Options.UserTimeout
	Shutdown    = loop.Shutdown    // the server is stopping
	WriteFailed = loop.WriteFailed // the connection broke
	Expired     = loop.Expired     // the client's right to the stream has ended
	Revoked     = loop.Revoked     // that right was taken away
	Panicked    = loop.Panicked    // a function of the program panicked
)

// A Conn is an open stream to one client. There may be very many: its fields leave
// no gaps, and it fills a size class of Go's allocator, 320 bytes.
type Conn struct {
	io loop.Conn

	// Set before the stream is open.
	opener      *Opener
	server      *http.Server
	lastEventID string
	rare        *rare // nil for most streams
	guest       Guest // nil for none
	id          uint64
	addr        netip.Addr // with port, the client's address
	port        uint16
	framing     int8

	claimed bool          // guarded by mu; a hub writes to it
	state   atomic.Uint32 // a State, and from bit 8 on the Reason why it is Closed
	mu      sync.Mutex
	watch   *watch // guarded by mu; nil until somebody cares
}

// rare holds what few streams have.
type rare struct {
	pump   func() // writes the stream out on the handler's goroutine
	unread []byte // read from the connection beyond the request
}

// Send sends an event. It fails with [ErrFull], [ErrClosed] or an error of
// [sse.AppendEvent], and then sends nothing.
func (c *Conn) Send(e sse.Event) error {
	var room [512]byte
	b, err := sse.AppendEvent(room[:0], e)
	if err != nil {
		return err
	}
	_, err = c.Write(b)
	return err
}

// Comment sends a line that clients ignore. Formats without comments send nothing.
func (c *Conn) Comment(text string) error {
	if c.opener.format.Comment == nil {
		return nil
	}
	_, err := c.Write(c.opener.format.Comment(text))
	return err
}

// Write sends p as it is: on an SSE stream nothing checks that it is well formed,
// on a chunked stream it is one piece. It never blocks; it sends p whole, or
// nothing and fails with [ErrFull] or [ErrClosed]. It does not keep p.
func (c *Conn) Write(p []byte) (int, error) {
	if c.State() != Established {
		return 0, ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if !c.io.Post(c.frame(p)) {
		return 0, ErrFull
	}
	return len(p), nil
}

// WriteString is like Write.
func (c *Conn) WriteString(s string) (int, error) { return c.Write([]byte(s)) }

// ReadFrom sends all of r, in pieces as they come, and waits while the send
// buffer is full. It makes io.Copy(c, r) do the right thing.
func (c *Conn) ReadFrom(r io.Reader) (sent int64, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, readErr := r.Read(buf)
		if err := c.writeWhenRoom(buf[:n]); err != nil {
			return sent, err
		}
		sent += int64(n)
		if readErr == io.EOF {
			return sent, nil
		}
		if readErr != nil {
			return sent, readErr
		}
	}
}

func (c *Conn) writeWhenRoom(p []byte) error {
	for {
		_, err := c.Write(p)
		if err != ErrFull {
			return err
		}
		if err := c.WaitRoom(context.Background()); err != nil {
			return err
		}
	}
}

// End ends the stream: what was sent so far still goes out, then the response is
// complete. The connection serves further requests where HTTP allows that. It
// fails with [ErrClosed] if the stream has ended already.
func (c *Conn) End() error { return c.EndWith(Ended) }

// EndWith is like End, for a reason of the caller's. With Expired and Revoked the
// client gets no message of a hub that was not on its way yet, also if the stream
// was ending already; with the other reasons it gets all published so far. It panics
// if r is none of the reasons for an end.
func (c *Conn) EndWith(r Reason) error {
	if r == Open || r >= loop.Reasons {
		panic("stream: EndWith needs a reason, not " + strconv.Itoa(int(r)))
	}
	first := c.leave()
	c.io.End(r)
	if !first {
		return ErrClosed
	}
	return nil
}

// leave refuses further writes. It reports whether the stream was established.
func (c *Conn) leave() bool { return c.state.CompareAndSwap(uint32(Established), uint32(Closing)) }

// Close ends the stream at once; what still waits is not sent.
func (c *Conn) Close() {
	c.leave()
	c.io.Close(Ended)
}

// Hold returns when the stream no longer needs the goroutine of its handler: at
// once if the connection was taken over, else at the stream's end. A handler
// that called [Opener.Open] must end with it.
func (c *Conn) Hold() {
	if c.needsHandler() {
		c.rare.pump()
	}
}

func (c *Conn) needsHandler() bool { return c.rare != nil && c.rare.pump != nil }

// State returns where the stream is in its life.
func (c *Conn) State() State { return State(c.state.Load() & 0xff) }

// Reason returns why the stream was closed, or Open.
func (c *Conn) Reason() Reason { return Reason(c.state.Load() >> 8) }

// ID returns a number that no other stream of the engine has or had.
func (c *Conn) ID() uint64 { return c.id }

// RemoteAddr returns the client's address; it is not valid for a unix socket.
func (c *Conn) RemoteAddr() netip.AddrPort { return netip.AddrPortFrom(c.addr, c.port) }

func (c *Conn) setRemote(a netip.AddrPort) { c.addr, c.port = a.Addr(), a.Port() }

// LastEventID returns the ID of the last event that the client has seen, from the
// Last-Event-ID header or, for clients that cannot set it, the query parameter
// last_event_id (lastEventID, lastEventId and Last-Event-ID are understood too).
func (c *Conn) LastEventID() string { return c.lastEventID }

// Buffered returns how many bytes wait to be sent.
func (c *Conn) Buffered() int { return int(c.io.Pending()) }

// BytesSent returns how many bytes were sent, counting framing but not the
// response head. Live messages of a hub are counted in at the latest when the
// stream is closed.
func (c *Conn) BytesSent() int64 { return c.io.Sent() }

// Engine returns the engine's side of the stream, for package hub.
func (c *Conn) Engine() *loop.Conn { return &c.io }

// Claim reports true to the first caller: one source can feed a stream. For package hub.
func (c *Conn) Claim() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := !c.claimed
	c.claimed = true
	return first
}

// Framed reports whether the bytes of the stream are HTTP/1.1 chunks that the
// writer makes, for package hub.
func (c *Conn) Framed() bool { return c.framing == chunked }

// lastEventID reads the resume point of a request. The header wins.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" || r.URL.RawQuery == "" {
		return id
	}
	q := r.URL.Query()
	for _, name := range [...]string{"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID"} {
		if id := q.Get(name); id != "" {
			return id
		}
	}
	return ""
}

// request returns r with a context that ends with the stream.
func (c *Conn) request(r *http.Request) *http.Request {
	return r.WithContext(&streamContext{Context: context.WithoutCancel(r.Context()), conn: c})
}

// A streamContext ends when its stream does. It has no goroutine.
type streamContext struct {
	context.Context // for the values
	conn            *Conn
}

func (ctx *streamContext) Deadline() (time.Time, bool) { return time.Time{}, false }
func (ctx *streamContext) Done() <-chan struct{}       { return ctx.conn.Done() }

func (ctx *streamContext) Err() error {
	if ctx.conn.State() == Closed {
		return context.Canceled
	}
	return nil
}

// AfterFunc lets derived contexts follow without a goroutine each.
func (ctx *streamContext) AfterFunc(fn func()) (stop func() bool) {
	var once sync.Once
	ctx.conn.OnClose(func(Reason) { once.Do(fn) })
	return func() (stopped bool) {
		once.Do(func() { stopped = true })
		return stopped
	}
}
