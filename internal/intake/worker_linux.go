package intake

import (
	"errors"
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
		s.workers[i] = &worker{handler: h, idle: o.Idle}
	}
	return s
}

// A worker reads, has answered, and writes.
type worker struct {
	handler Handler
	idle    time.Duration
	count   atomic.Int64 // connections

	mu      sync.Mutex
	arrived []Conn   // guarded by mu: not yet taken in
	file    *os.File // guarded by mu: owns epoll; nil while the goroutine does not exist
	done    chan struct{}
	closing bool // guarded by mu

	// Owned by the goroutine.
	epoll int
	conns map[int32]*conn
	buf   []byte // a request is read and served from here
	out   []byte // and answered from here
	swept time.Time
}

// A conn is an adopted connection.
type conn struct {
	fd       int
	partial  []byte // the begin of a request
	unsent   []byte // the rest of an answer; nothing is read meanwhile
	active   time.Time
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
	w.file, w.done = os.NewFile(uintptr(fd), "epoll"), make(chan struct{})
	raw, err := w.file.SyscallConn()
	if err != nil {
		w.file.Close()
		w.file = nil
		return err
	}
	w.epoll = fd
	go w.run(w.file, raw, w.done)
	return nil
}

func (w *worker) close() {
	w.mu.Lock()
	w.closing = true
	done := w.done
	if w.file != nil {
		_ = w.file.SetReadDeadline(time.Now())
	} else {
		done = nil
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
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			n = 0
		}
		now := time.Now()
		for _, ev := range events[:n] {
			w.event(w.conns[ev.Fd], ev.Events, now)
		}
		w.sweep(now)
		if n > 0 {
			runtime.Gosched() // let the loops deliver what was published
		}
	}
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
	_ = file.SetReadDeadline(time.Now().Add(w.idle / 4))
	w.mu.Unlock()
	for _, a := range arrived {
		w.watch(a)
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
		w.serve(c, w.buf[:copy(w.buf, a.Unread)])
	}
}

// event acts on what epoll reported.
func (w *worker) event(c *conn, events uint32, now time.Time) {
	if c == nil {
		return
	}
	c.active = now
	if len(c.unsent) > 0 {
		w.sendRest(c)
		return
	}
	held := copy(w.buf, c.partial)
	n, err := receive(c.fd, w.buf[held:])
	switch {
	case err == unix.EAGAIN && events&(unix.EPOLLERR|unix.EPOLLHUP) == 0:
	case n <= 0:
		w.drop(c)
	default:
		w.serve(c, w.buf[:held+n])
	}
}

// serve answers every complete request in p and keeps the rest.
func (w *worker) serve(c *conn, p []byte) {
	w.out = w.out[:0]
	for len(p) > 0 {
		var r Request
		n, v := parse(p, &r)
		if v == incomplete {
			break
		}
		served := false
		if v == complete {
			w.out, served = w.handler.Answer(w.out, &r)
		}
		if !served {
			w.giveUp(c, p)
			return
		}
		p = p[n:]
	}
	c.partial = append(c.partial[:0], p...)
	if len(p) == 0 && cap(c.partial) > 4096 {
		c.partial = nil
	}
	w.send(c, w.out)
}

// giveUp hands the connection back to net/http, with p unread.
func (w *worker) giveUp(c *conn, p []byte) {
	if w.send(c, w.out); c.fd < 0 {
		return
	}
	if len(c.unsent) > 0 { // it does not read our answers: no need to bother net/http
		w.drop(c)
		return
	}
	w.forget(c)
	go c.giveBack(c.fd, append([]byte(nil), p...)) // ends when the connection is handed on
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
		c.unsent = append([]byte(nil), p[n:]...)
		w.rearm(c, unix.EPOLLOUT|unix.EPOLLRDHUP)
	}
}

func (w *worker) sendRest(c *conn) {
	n, err := transmit(c.fd, c.unsent)
	if err != nil {
		w.drop(c)
		return
	}
	if c.unsent = c.unsent[n:]; len(c.unsent) == 0 {
		c.unsent = nil
		w.rearm(c, unix.EPOLLIN|unix.EPOLLRDHUP)
	}
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

// sweep closes connections that were silent for too long.
func (w *worker) sweep(now time.Time) {
	if now.Sub(w.swept) < w.idle/4 {
		return
	}
	w.swept = now
	for _, c := range w.conns {
		if now.Sub(c.active) >= w.idle {
			w.drop(c)
		}
	}
}
