package intake

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Supported says whether connections can be adopted on this system.
const Supported = true

// New returns a server whose requests h answers.
func New(h Handler, o Options) *Server {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Idle <= 0 {
		o.Idle = 2 * time.Minute
	}
	s := &Server{workers: make([]*worker, o.Workers)}
	for i := range s.workers {
		s.workers[i] = &worker{batch: h.NewBatch(), idle: o.Idle}
	}
	return s
}

// A worker reads, has answered, and writes.
type worker struct {
	idle  time.Duration
	count atomic.Int64 // connections

	mu      sync.Mutex
	arrived []Conn   // guarded by mu: not yet taken in
	file    *os.File // guarded by mu: owns epoll; nil while the goroutine does not exist
	done    chan struct{}
	closing bool // guarded by mu

	// Owned by the goroutine.
	epoll int
	conns map[int32]*conn
	buf   []byte // a request is read and parsed from here
	out   []byte // and answered from here
	batch Batch
	turns []turn // of the connections that have requests in the batch
	held  []byte // those requests
	swept time.Time
	begun bool // a connection may hold the begin of a request
}

// A turn is what one connection has in the batch.
type turn struct {
	conn     *conn
	requests int
	bytes    int // of these requests, in held
	leaving  bool
}

// A conn is an adopted connection.
type conn struct {
	fd       int
	partial  []byte    // the begin of a request
	unsent   []byte    // the rest of an answer; nothing is read meanwhile
	leaving  bool      // goes back to net/http, with partial, once unsent is sent
	active   time.Time // when a request or its answer was last begun or ended
	giveBack func(fd int, unread []byte)
}

// adopt hands c to the goroutine, and starts it if there is none.
func (w *worker) adopt(c Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing || w.file == nil && w.start() != nil {
		unix.Close(c.FD)
		return
	}
	w.count.Add(1)
	w.arrived = append(w.arrived, c)
	_ = w.file.SetReadDeadline(time.Now()) // wakes the goroutine
}

// start makes the goroutine. w.mu is held.
func (w *worker) start() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes os.NewFile pollable
		unix.Close(fd)
		return err
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.done, w.epoll = file, make(chan struct{}), fd
	go w.run(w.file, raw, w.done)
	return nil
}

func (w *worker) close() {
	w.mu.Lock()
	w.closing = true
	done := w.done // also of a goroutine that is just ending
	if w.file != nil {
		_ = w.file.SetReadDeadline(time.Now())
	}
	w.mu.Unlock()
	if done != nil {
		<-done
	}
}

// run is the worker's goroutine. It ends when it has no connections.
func (w *worker) run(file *os.File, raw syscall.RawConn, done chan struct{}) {
	defer close(done)
	w.conns = make(map[int32]*conn)
	w.buf, w.out = make([]byte, 2*maxRequest), nil
	w.swept = time.Now()
	var events [128]unix.EpollEvent
	for {
		if !w.takeIn(file) {
			return
		}
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil { // the deadline; EpollWait may have left -1
			n = 0
		}
		for range busyRounds {
			for _, ev := range events[:n] {
				w.event(w.conns[ev.Fd], ev.Events)
			}
			w.flush()
			if n = w.lookAgain(n, events[:]); n == 0 {
				break
			}
		}
		w.sweep(time.Now())
	}
}

const (
	busyRounds = 64 // of serving, before the worker sees who wants to join or close
	looks      = 3  // after a round, before the worker parks
)

// lookAgain lets the loops deliver what was published and asks whether more has
// come meanwhile. Were the worker to park at once, a loop that is busy delivering
// would keep Go's network poller from waking it for up to 10 ms.
func (w *worker) lookAgain(served int, events []unix.EpollEvent) int {
	if served == 0 {
		return 0
	}
	for range looks {
		runtime.Gosched()
		if n, _ := unix.EpollWait(w.epoll, events, 0); n > 0 {
			return n
		}
	}
	return 0
}

// takeIn takes in what has arrived, and sets when the goroutine next wakes by
// itself. It returns false when the goroutine is to end.
func (w *worker) takeIn(file *os.File) bool {
	w.mu.Lock()
	arrived := w.arrived
	w.arrived = nil
	if w.closing {
		w.mu.Unlock()
		w.closeAll(arrived)
		w.mu.Lock()
	}
	if len(w.conns)+len(arrived) == 0 || w.closing {
		w.file = nil
		w.mu.Unlock()
		file.Close()
		return false
	}
	for _, a := range arrived {
		w.begun = w.begun || len(a.Unread) > 0
	}
	_ = file.SetReadDeadline(time.Now().Add(w.sweepEvery()))
	w.mu.Unlock()
	for _, a := range arrived {
		w.watch(a)
		w.flush()
	}
	return true
}

func (w *worker) closeAll(arrived []Conn) {
	for _, c := range w.conns {
		w.drop(c)
	}
	for _, a := range arrived {
		w.count.Add(-1)
		unix.Close(a.FD)
	}
}

// watch registers a connection, after serving what was read of it already.
func (w *worker) watch(a Conn) {
	c := &conn{fd: a.FD, giveBack: a.GiveBack, active: time.Now()}
	w.conns[int32(c.fd)] = c
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(c.fd)}
	if unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, c.fd, &ev) != nil {
		w.drop(c)
		return
	}
	if len(a.Unread) > 0 {
		w.serve(c, a.Unread)
	}
}

// event acts on what epoll reported.
func (w *worker) event(c *conn, events uint32) {
	switch {
	case c == nil:
	case len(c.unsent) > 0:
		w.sendRest(c)
	default:
		w.read(c, events)
	}
}

func (w *worker) read(c *conn, events uint32) {
	held := copy(w.buf, c.partial)
	n, err := receive(c.fd, w.buf[held:])
	switch {
	case err == unix.EAGAIN && events&(unix.EPOLLERR|unix.EPOLLHUP) == 0:
	case n > 0:
		w.serve(c, w.buf[:held+n])
	case n == 0 && held > 0: // net/http tells the client that its request ends early
		w.giveUp(c, w.buf[:held], nil)
	default:
		w.drop(c)
	}
}

// serve puts every complete request in p into the batch and keeps the rest.
func (w *worker) serve(c *conn, p []byte) {
	if len(c.partial) == 0 {
		c.active = time.Now()
	}
	all, t := p, turn{conn: c}
	for len(p) > 0 {
		var r Request
		n, v := parse(p, &r)
		if v == incomplete {
			break
		}
		if v != complete || !w.batch.Add(&r) {
			t.leaving = true
			break
		}
		p = p[n:]
		t.requests++
	}
	if t.requests == 0 && t.leaving {
		w.giveUp(c, p, nil)
		return
	}
	c.partial = append(c.partial[:0], p...)
	w.begun = w.begun || len(p) > 0
	if len(p) == 0 && cap(c.partial) > 4096 {
		c.partial = nil
	}
	if t.requests > 0 {
		t.bytes = len(all) - len(p)
		w.held = append(w.held, all[:t.bytes]...)
		w.turns = append(w.turns, t)
	}
}

// flush carries the batch out and answers.
func (w *worker) flush() {
	if len(w.turns) == 0 {
		return
	}
	err := w.batch.Commit()
	i, held, now := 0, w.held, time.Now()
	for _, t := range w.turns {
		c := t.conn
		if err != nil { // net/http finds the same error and words it
			w.giveUp(c, append(bytes.Clone(held[:t.bytes]), c.partial...), nil)
			held = held[t.bytes:]
			continue
		}
		held = held[t.bytes:]
		c.active = now
		w.out = w.out[:0]
		for range t.requests {
			w.out = w.batch.Answer(w.out, i)
			i++
		}
		if t.leaving {
			w.giveUp(c, c.partial, w.out)
		} else {
			w.send(c, w.out)
		}
	}
	w.batch.Reset()
	clear(w.turns)
	w.turns, w.held = w.turns[:0], w.held[:0]
	if cap(w.held) > maxHeld {
		w.held = nil
	}
}

// maxHeld is how much scratch for requests a worker keeps.
const maxHeld = 1 << 20

// giveUp hands the connection back to net/http, with p unread, after sending
// answers.
func (w *worker) giveUp(c *conn, p, answers []byte) {
	p = bytes.Clone(p)
	switch w.send(c, answers); {
	case c.fd < 0:
	case len(c.unsent) > 0: // net/http's answers must not overtake these
		c.partial, c.leaving = p, true
	default:
		w.forget(c)
		go c.giveBack(c.fd, p) // ends when the connection is handed on
	}
}

// send writes an answer. What does not fit waits, and reading stops.
func (w *worker) send(c *conn, p []byte) {
	if len(p) == 0 {
		return
	}
	n, err := transmit(c.fd, p)
	if err != nil {
		w.drop(c)
		return
	}
	if n < len(p) {
		c.unsent = bytes.Clone(p[n:])
		// Without EPOLLRDHUP, which would be reported again and again until somebody
		// reads. That the peer is gone is always reported.
		w.rearm(c, unix.EPOLLOUT)
	}
}

func (w *worker) sendRest(c *conn) {
	n, err := transmit(c.fd, c.unsent)
	if err != nil {
		w.drop(c)
		return
	}
	if n > 0 {
		c.active = time.Now()
	}
	if c.unsent = c.unsent[n:]; len(c.unsent) > 0 {
		return
	}
	c.unsent = nil
	if c.leaving {
		w.giveUp(c, c.partial, nil)
		return
	}
	w.rearm(c, unix.EPOLLIN|unix.EPOLLRDHUP)
}

func (w *worker) rearm(c *conn, events uint32) {
	ev := unix.EpollEvent{Events: events, Fd: int32(c.fd)}
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_MOD, c.fd, &ev)
}

// forget takes c out without closing it.
func (w *worker) forget(c *conn) {
	_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, c.fd, nil)
	delete(w.conns, int32(c.fd))
	w.count.Add(-1)
}

// drop closes c.
func (w *worker) drop(c *conn) {
	w.forget(c)
	unix.Close(c.fd)
	c.fd = -1
}

// late is how long the rest of a request may take to arrive. What takes longer is
// net/http's, for which limits are set and handlers that read a body as it comes.
const late = time.Second

// sweepEvery returns the time between two sweeps.
func (w *worker) sweepEvery() time.Duration {
	if w.begun {
		return min(w.idle, late) / 4
	}
	return w.idle / 4
}

// sweep gives connections back whose request is late, and closes those that were silent
// for too long.
func (w *worker) sweep(now time.Time) {
	if now.Sub(w.swept) < w.sweepEvery() {
		return
	}
	w.swept, w.begun = now, false
	for _, c := range w.conns {
		silent := now.Sub(c.active)
		switch {
		case len(c.partial) > 0 && len(c.unsent) == 0 && silent >= min(w.idle, late):
			w.giveUp(c, c.partial, nil)
		case len(c.partial) > 0 && len(c.unsent) == 0:
			w.begun = true
		case silent >= w.idle:
			w.drop(c)
		}
	}
}
