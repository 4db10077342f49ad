package loop

import (
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/wheel"
)

// A Reason says why a connection is closed. The zero value means it is open.
type Reason uint8

const (
	Open        Reason = iota
	Ended              // the server side ended the stream
	ClientGone         // the client closed or reset the connection
	MaxAge             // the stream reached its maximum age
	TooSlow            // the client did not read for too long
	Shutdown           // the server is stopping
	WriteFailed        // the connection broke
	Expired            // the client's right to the stream has ended
	Revoked            // that right was taken away
	Panicked           // a callback of the stream panicked

	Reasons // how many there are, with Open
)

var reasonNames = [...]string{"open", "ended", "client gone", "maximum age", "too slow", "shutdown", "write failed",
	"access expired", "access revoked", "callback panicked"}

func (r Reason) String() string { return reasonNames[r] }

// barred reports whether the client may have nothing more.
func (r Reason) barred() bool { return r == Expired || r == Revoked }

// A Socket takes bytes without blocking.
type Socket interface {
	// Write takes as many bytes of p as there is room for and returns how many;
	// fewer than len(p) is no error, and asks for [Conn.Room] when there is room
	// again. It keeps no reference to p.
	Write(p []byte) (int, error)
	// Close ends the socket; what Write took is still sent if clean is true.
	Close(clean bool)
}

// An Owner is told about its connection. Its methods run on the loop and must
// not block.
type Owner interface {
	// Closed is called once, last. The socket is closed only after it, so that what
	// it frees is free before the client can come back.
	Closed(r Reason)
	// Drained is called when there is room again after Post refused a frame.
	Drained()
	// Farewell is called when the stream begins to end for reason r. It returns a
	// frame to send last, or nil.
	Farewell(r Reason) []byte
	// Reuse is called in its own goroutine, after Closed for Ended or Expired, with the
	// descriptor of a connection that was to be kept. It owns fd.
	Reuse(fd int)
}

// A Source has more to send when a connection has sent everything queued. Its
// methods run on the loop.
type Source interface {
	// Refill enqueues what comes next, a bounded amount, and reports whether it
	// enqueued anything. It is called only when nothing is queued.
	Refill(c *Conn) bool
	// Stalled tells that the connection is full: nothing may be written past its
	// queue until Refill is called.
	Stalled()
	// Closed tells that the connection is gone, or wants no more from its source. It
	// is the last call.
	Closed()
	// Shared returns when something was last written past the queue.
	Shared() time.Duration
}

// A Config holds what the connections of one kind have in common.
type Config struct {
	Beat      []byte        // sent when nothing was sent for Heartbeat
	Heartbeat time.Duration // 0: never
	Tail      []byte        // sent when the stream is ended
	Limit     int64         // bytes that Post queues for one connection
	Linger    time.Duration // how long an ended stream may take to send its rest
	Patience  time.Duration // after which a full socket that takes nothing is given up; 0: never
}

// A Conn is one connection of a loop. Make it with [Conn.Init], then Add it. In
// between it may be written to and ended already, which adds it.
type Conn struct {
	loop  *Loop
	cfg   *Config
	owner Owner

	// Any goroutine.
	pending atomic.Int64 // bytes posted and not yet written
	sent    atomic.Int64 // bytes written, as far as they have been counted
	refused atomic.Bool  // Post refused a frame since the queue was last low
	closing atomic.Bool  // End or Close was called

	// Owned by the loop goroutine.
	source    Source
	sock      Socket // nil: fd
	fd        int32
	guard     int32 // a descriptor watched for the client's end only; 0: none
	slot, gen int32
	added     bool // the loop has it
	keep      bool // Reuse the descriptor after a clean end
	stalled   bool // the socket is full; an event will tell when it is not
	queued    bool // is in loop.ready
	tailed    bool // the last bytes are queued
	closed    bool
	posted    bool     // posted frames are, or have been, in the queue since it was last empty
	ending    Reason   // send the rest, then close for this reason
	farewell  *[]byte  // the owner's last words, while ending
	queue     [][]byte // frames to send; queue[0] from offset on
	offset    int
	private   int64 // bytes of queue that count in pending
	lastWrite time.Duration
	expires   time.Duration // 0: never
	timer     wheel.Timer[*Conn]
}

// Init prepares c. Exactly one of fd (0 or more) and sock is given. maxAge is 0
// for no limit. keep asks for Owner.Reuse when the stream has ended cleanly. From
// now on the engine counts c, so it must be added.
func (c *Conn) Init(l *Loop, cfg *Config, owner Owner, fd int, sock Socket, maxAge time.Duration, keep bool) {
	c.loop, c.cfg, c.owner, c.keep = l, cfg, owner, keep
	c.fd, c.sock, c.expires = int32(fd), sock, maxAge
	c.timer.Owner = c
	l.load.Add(1)
	c.countSocket(1)
}

// countSocket adds n to the count of sockets, unless the one below c is net/http's.
func (c *Conn) countSocket(n int64) {
	if _, pipe := c.sock.(*Pipe); !pipe {
		c.loop.sockets.Add(n)
	}
}

// Guard has a connection that is not a descriptor itself closed when the client of
// the descriptor fd goes. The descriptor belongs to the socket. Before Add.
func (c *Conn) Guard(fd int) { c.guard = int32(fd) }

// Add hands the connection to its loop.
func (c *Conn) Add() { c.loop.post(letter{kind: letterAdd, conn: c}) }

// Loop returns the loop that owns c.
func (c *Conn) Loop() *Loop { return c.loop }

// Owner returns what Init was given.
func (c *Conn) Owner() Owner { return c.owner }

// Post queues frame, whole or not at all, and reports whether it did: not if the
// bytes waiting would pass Config.Limit. c keeps frame; do not change it. Frames
// are sent in the order of the calls. Any goroutine.
func (c *Conn) Post(frame []byte) bool {
	n := int64(len(frame))
	if waiting := c.pending.Add(n); waiting > c.cfg.Limit && waiting > n {
		c.pending.Add(-n)
		c.WantRoom()
		return false
	}
	c.loop.post(letter{kind: letterFrame, conn: c, frame: frame})
	return true
}

// WantRoom asks for Owner.Drained once no more than half of Config.Limit waits.
// Post does so when it refuses a frame. Any goroutine.
func (c *Conn) WantRoom() {
	c.refused.Store(true)
	if c.hasRoom() { // the loop may have written everything before refused was set
		c.loop.post(letter{kind: letterDrained, conn: c})
	}
}

func (c *Conn) hasRoom() bool { return c.pending.Load() <= c.cfg.Limit/2 }

// Pending returns how many posted bytes wait. Any goroutine.
func (c *Conn) Pending() int64 { return c.pending.Load() }

// End closes c for reason r after everything queued, what its source has, and the
// tail have been sent, or when Config.Linger has passed. For Expired and Revoked
// the source is dropped instead, also if c is ending already: what it has not yet
// enqueued is not for this client any more. Any goroutine.
func (c *Conn) End(r Reason) {
	if !c.closing.Swap(true) || r.barred() {
		c.loop.post(letter{kind: letterEnd, conn: c, reason: r})
	}
}

// Room tells that the socket of c, which took less than it was offered, has room
// again. Any goroutine.
func (c *Conn) Room() { c.loop.post(letter{kind: letterRoom, conn: c}) }

// Close closes c at once. Any goroutine.
func (c *Conn) Close(r Reason) { c.loop.post(letter{kind: letterClose, conn: c, reason: r}) }

// Sent returns how many bytes have been written from the queue, and those that
// CountShared was told of: once c is closed, all. Any goroutine.
func (c *Conn) Sent() int64 { return c.sent.Load() }

// CountShared adds bytes that the source of c has written past the queue. The source
// calls it at times, and when it is closed. On the loop.
func (c *Conn) CountShared(n int64) { c.sent.Add(n) }

// SetSource makes s the source of c. It is called on the loop, once.
func (c *Conn) SetSource(s Source) { c.source = s; c.loop.makeReady(c) }

// Source returns what SetSource was given, or nil. On the loop.
func (c *Conn) Source() Source { return c.source }

// Enqueue adds a shared frame to the queue. It is called by Refill.
func (c *Conn) Enqueue(frame []byte) { c.queue = append(c.queue, frame) }

// Queued returns how many frames wait, the first of which may have left in part.
// It is 0 if posted frames are among them. On the loop.
func (c *Conn) Queued() int {
	if c.posted {
		return 0
	}
	return len(c.queue)
}

// Truncate drops all but the first n frames that wait, and returns how many bytes
// they have. It is called by Stalled, after Queued.
func (c *Conn) Truncate(n int) (bytes int) {
	for _, frame := range c.queue[n:] {
		bytes += len(frame)
	}
	c.queue = append([][]byte(nil), c.queue[:n]...)
	return bytes
}

// Stalled reports whether the socket is full. On the loop.
func (c *Conn) Stalled() bool { return c.stalled }

// busy reports whether the socket is full or frames wait.
func (c *Conn) busy() bool { return c.stalled || len(c.queue) > 0 }

// Closed reports whether c is closed. On the loop.
func (c *Conn) Closed() bool { return c.closed }

// Ending reports whether c is closed or sends its last bytes. On the loop.
func (c *Conn) Ending() bool { return c.closed || c.ending != Open }

// Kick makes the loop ask c's source soon. It is called on the loop.
func (c *Conn) Kick() { c.loop.makeReady(c) }

// FD returns the descriptor of c, or -1 if c is a pipe. Sources write shared
// frames to it with [Write] while they have not been told Stalled since their
// last Refill.
func (c *Conn) FD() int { return int(c.fd) }

// WriteShared is Write for any connection, also a pipe.
func (c *Conn) WriteShared(p []byte) (int, error) { return c.write(p) }

// Short reports to c that a shared write failed or took less than was offered.
// Broken connections are closed. Else c waits for room, without Stalled being
// called, and rest, what is left of the frame that was cut, is sent before
// everything that is queued.
func (c *Conn) Short(rest []byte, err error) {
	if err != nil {
		c.loop.close(c, broken(err))
		return
	}
	c.stalled = true
	if len(rest) > 0 {
		c.queue = append([][]byte{rest}, c.queue...)
	}
}

func (c *Conn) write(p []byte) (int, error) {
	if c.sock != nil {
		return c.sock.Write(p)
	}
	return Write(int(c.fd), p)
}
