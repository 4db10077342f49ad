package bench

import (
	"crypto/tls"
	"net/netip"
	"time"
)

// A stage is how far a connection has come.
type stage uint8

const (
	closed  stage = iota
	opening       // connecting, or waiting for the head of the response
	open
)

// A conn is one connection: a reader's, or that of a lane.
type conn struct {
	// Set before it is first dialled.
	to     *target
	lane   *lane  // nil: a reader
	group  *group // of a reader
	topics []string
	topic  int  // the first of them; -1 if nothing is published to them
	narrow bool // small buffers on the way, because it will stall

	firstStream, streams int // that its topic carries
	slot                 int // of firstStream in the book

	stage    stage
	attempts int
	response response
	scanner  scanner
	member   bool // of its group
	probed   bool // has received a probe since it was opened

	delivered int64  // in this phase
	order     uint64 // a digest of what was delivered in this phase, in order

	socket socket // the wire's own
}

// A target is where connections go.
type target struct {
	addr netip.AddrPort
	host string      // for the Host field
	tls  *tls.Config // nil: plain
}

// A wire carries the bytes of connections. Its methods are called by the
// goroutine of the run, and it calls the run's methods only while that goroutine
// is within wait or does not look: never two at once.
type wire interface {
	// dial begins to open c; connected or lost follows.
	dial(c *conn)
	// send sends p, which it does not keep.
	send(c *conn, p []byte)
	// pause stops reading from c, or goes on.
	pause(c *conn, on bool)
	// drop resets c. Nothing is called for it any more until it is dialled again.
	drop(c *conn)
	// wait handles what happens, for at most d if nothing does.
	wait(d time.Duration) error
	// close ends all connections and waits for what it has started.
	close()
}

// A handler is told by a wire what happens.
type handler interface {
	connected(c *conn)
	// received is given bytes that are valid until it returns, and the time at
	// which they were read.
	received(c *conn, p []byte, now int64)
	// lost tells that c could not be opened, broke, or was ended by the server
	// (io.EOF). The wire has closed it.
	lost(c *conn, err error)
}

// A clock gives nanoseconds since 1970 that never jump.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }
