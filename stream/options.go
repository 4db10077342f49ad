package stream

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/origin"
)

// Options configure streams. The zero value is ready; -1 switches a duration off
// where a default is stated.
type Options struct {
	// Heartbeat is the silence after which a comment line is sent, 1 s or more. 0: 20 s.
	Heartbeat time.Duration
	// Retry is the reconnection time that an SSE stream states first, plus or
	// minus a fifth at random, so that readers do not come back all at once. 0: 2 s.
	Retry time.Duration
	// MaxAge ends a stream, less a fifth at random. 0: no limit.
	MaxAge time.Duration
	// Buffer is how many bytes may wait for one client. 0: 1 MiB.
	Buffer int
	// UserTimeout closes a connection whose client has taken nothing of what waits
	// for so long. 0: 60 s.
	UserTimeout time.Duration

	// ProxyBuffering leaves out the header X-Accel-Buffering: no, which keeps nginx and
	// others from collecting what a stream sends.
	ProxyBuffering bool

	// Linger is how long an ended stream may take to send what was sent to it before
	// the end. 0: 5 s.
	Linger time.Duration

	// AllowOrigins lists origins that browsers may read the stream from, for
	// example "https://app.example.org", "https://*.example.org" for all hosts below, or
	// "http://localhost:*" for all ports; "*" allows any, without credentials.
	AllowOrigins []string
	// AllowCredentials lets the listed origins send cookies. It cannot be combined with "*".
	AllowCredentials bool

	// Otherwise answers requests that do not name the stream's media type in
	// Accept ("*/*" does not name it). If nil, every request that accepts the type
	// gets the stream, and others get 406.
	Otherwise http.Handler

	// Admit is asked before a stream is opened, not for HEAD requests. The Guest that
	// it returns, which may be nil, belongs to the stream: from here on it is told
	// when it has left, also if the stream cannot be opened after all. If Admit
	// returns an error it has answered the request, and there is no stream. A nil
	// Admit admits all.
	Admit func(w http.ResponseWriter, r *http.Request) (Guest, error)
	// Opened is called with every stream that opens, before its handler, and the
	// request. If it keeps the request, that lives as long. It may be nil.
	Opened func(c *Conn, r *http.Request)

	// Engine carries the streams. If nil, all share one.
	Engine *Engine
	// Log gets panics of callbacks. If nil, slog.Default().
	Log *slog.Logger

	pipesOnly bool // do not take connections over; for tests
}

// An Engine carries streams: a loop for each processor. It has no goroutines
// while it carries no streams.
type Engine struct {
	loops  *loop.Engine
	ids    atomic.Uint64 // of streams; the last one given
	window atomic.Int64  // over which readers are told to come back after a shutdown
	parked parked        // connections of ended streams
}

// NewEngine returns an engine of n loops, or of GOMAXPROCS if n is 0.
func NewEngine(n int) *Engine {
	e := &Engine{loops: loop.New(n)}
	e.window.Store(int64(2 * time.Second))
	return e
}

var defaultEngine = NewEngine(0)

// Len returns how many streams are open.
func (e *Engine) Len() int { return e.loops.Len() }

// Sockets returns how many of them have a connection of their own, taken from
// net/http. The others, HTTP/2 in the first place, share connections that net/http
// keeps.
func (e *Engine) Sockets() int { return e.loops.Sockets() }

// Each calls fn for every open stream, also those that are ending. It runs on the
// loops, several calls at once, and must not block. Each returns when all are done;
// streams that fn has ended as Expired or Revoked then get nothing more that is
// published. Streams that open meanwhile, from [Options.Admit] to the end of
// [Options.Opened], are left out. Do not call it from fn or from [Guest.Left].
func (e *Engine) Each(fn func(c *Conn)) {
	e.loops.Each(func(lc *loop.Conn) {
		if c, ok := lc.Owner().(*Conn); ok {
			fn(c)
		}
	})
}

// Closed returns how many streams have been closed for reason r.
func (e *Engine) Closed(r Reason) int64 { return e.loops.Closed(r) }

// End ends all streams cleanly. SSE readers are told first to come back after a
// random time within window, so that they do not all come at once.
func (e *Engine) End(window time.Duration) {
	e.window.Store(int64(window))
	e.loops.Each(func(c *loop.Conn) { c.End(loop.Shutdown) })
}

// Close ends all streams at once; what still waits is not sent.
func (e *Engine) Close() {
	e.loops.Each(func(c *loop.Conn) { c.Close(loop.Shutdown) })
}

// withDefaults fills in o and reports the first field that is out of range.
func (o Options) withDefaults() (Options, error) {
	fill := func(d *time.Duration, def time.Duration) {
		switch {
		case *d == 0:
			*d = def
		case *d < 0:
			*d = 0
		}
	}
	fill(&o.Heartbeat, 20*time.Second)
	fill(&o.Retry, 2*time.Second)
	fill(&o.MaxAge, 0)
	fill(&o.UserTimeout, time.Minute)
	fill(&o.Linger, 5*time.Second)
	if o.Buffer == 0 {
		o.Buffer = 1 << 20
	}
	if o.Engine == nil {
		o.Engine = defaultEngine
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, o.validate()
}

func (o *Options) validate() error {
	if o.Heartbeat > 0 && o.Heartbeat < time.Second {
		return fmt.Errorf("stream: Heartbeat is %v, at least 1s", o.Heartbeat)
	}
	if o.Buffer < 1024 {
		return fmt.Errorf("stream: Buffer is %d bytes, at least 1024", o.Buffer)
	}
	for _, text := range o.AllowOrigins {
		if err := origin.Check(text); err != nil {
			return fmt.Errorf("stream: AllowOrigins: %w", err)
		}
		if text == origin.Any && o.AllowCredentials {
			return fmt.Errorf("stream: AllowCredentials with the origin %q: list the origins instead", text)
		}
	}
	return nil
}

// Jitter returns d plus or minus up to a fifth.
func Jitter(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}
