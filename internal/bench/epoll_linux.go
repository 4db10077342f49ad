package bench

import (
	"errors"
	"io"
	"time"

	"golang.org/x/sys/unix"
)

const (
	readBytes  = 256 << 10 // of the buffer that all connections share
	fullReads  = 8         // reads that fill it before others have their turn
	eventBatch = 256       // events per system call; an acknowledgement waits for at most so many readers

	narrowBuffer  = 4 << 10 // receive buffer of a reader that will stall
	narrowSegment = 536     // keeps the server's buffer for it small as well
)

// A socket is what the wire knows of a connection.
type socket struct {
	fd     int
	index  int    // in epoll.conns, from 1 on; 0 before the first dial
	life   uint32 // tells the connections of one conn apart, so that a late event is dropped
	ready  bool   // connected
	paused bool
	again  bool   // is in epoll.again
	out    []byte // not yet written

	link *link // of the other wire
}

// An epoll is a wire for plain connections, all on the goroutine of the run.
// System calls that cannot block bypass the scheduler.
type epoll struct {
	handler handler
	clock   clock
	fd      int
	buf     []byte
	events  []unix.EpollEvent
	conns   []*conn
	again   []*conn // have more to read than their turn allowed
	broken  []breach
	nap     time.Duration
	busy    bool // there were events a moment ago
	coarse  bool // the kernel lacks epoll_pwait2: timeouts in whole milliseconds
}

// A breach is reported by wait, so that lost is not called from within dial or send.
type breach struct {
	c    *conn
	life uint32
	err  error
}

func newEpoll(h handler, c clock, nap time.Duration) (wire, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &epoll{handler: h, clock: c, fd: fd, nap: nap, buf: make([]byte, readBytes),
		events: make([]unix.EpollEvent, eventBatch), conns: make([]*conn, 1)}, nil
}

func (w *epoll) dial(c *conn) {
	s := &c.socket
	if s.index == 0 {
		s.index = len(w.conns)
		w.conns = append(w.conns, c)
	}
	s.life++
	s.ready, s.paused, s.again, s.out = false, false, false, nil
	if err := w.connect(c); err != nil {
		w.fail(c, err)
	}
}

func (w *epoll) connect(c *conn) (err error) {
	s := &c.socket
	addr, family := sockaddr(c.to)
	s.fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.fd = -1
		return err
	}
	if c.lane != nil {
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if c.narrow {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, narrowBuffer)
		_ = unix.SetsockoptInt(s.fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, narrowSegment)
	}
	if err = unix.Connect(s.fd, addr); err != nil && !errors.Is(err, unix.EINPROGRESS) && !errors.Is(err, unix.EINTR) {
		return err
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(s.index), Pad: int32(s.life)}
	return unix.EpollCtl(w.fd, unix.EPOLL_CTL_ADD, s.fd, &e)
}

func sockaddr(t *target) (unix.Sockaddr, int) {
	if ip := t.addr.Addr(); ip.Is4() || ip.Is4In6() {
		return &unix.SockaddrInet4{Port: int(t.addr.Port()), Addr: ip.Unmap().As4()}, unix.AF_INET
	}
	return &unix.SockaddrInet6{Port: int(t.addr.Port()), Addr: t.addr.Addr().As16()}, unix.AF_INET6
}

// fail has the end of c reported soon.
func (w *epoll) fail(c *conn, err error) {
	w.broken = append(w.broken, breach{c, c.socket.life, err})
}

// end closes c and reports it.
func (w *epoll) end(c *conn, err error) {
	w.drop(c)
	w.handler.lost(c, err)
}

func (w *epoll) drop(c *conn) {
	s := &c.socket
	s.life++
	s.out = nil
	if s.fd > 0 {
		// A reset leaves no port in TIME_WAIT, of which there are too few.
		_ = unix.SetsockoptLinger(s.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(s.fd)
		s.fd = -1
	}
}

func (w *epoll) close() {
	for _, c := range w.conns[1:] {
		w.drop(c)
	}
	_ = unix.Close(w.fd)
}

func (w *epoll) send(c *conn, p []byte) {
	s := &c.socket
	if len(s.out) > 0 || !s.ready {
		s.out = append(s.out, p...)
		return
	}
	n, err := write(s.fd, p)
	if err != nil {
		w.fail(c, err)
		return
	}
	if n < len(p) {
		s.out = append(s.out, p[n:]...)
	}
}

func (w *epoll) pause(c *conn, on bool) {
	c.socket.paused = on
	if !on {
		w.readAgain(c) // what came meanwhile raises no event
	}
}

func (w *epoll) readAgain(c *conn) {
	if !c.socket.again {
		c.socket.again = true
		w.again = append(w.again, c)
	}
}

func (w *epoll) wait(d time.Duration) error {
	w.reportBreaches()
	if w.readMore() {
		d = 0
	}
	n, err := w.poll(d)
	if err != nil {
		return err
	}
	for i := range w.events[:n] {
		e := &w.events[i]
		if c := w.conns[e.Fd]; c.socket.life == uint32(e.Pad) {
			w.event(c, e.Events)
		}
	}
	return nil
}

func (w *epoll) reportBreaches() {
	list := w.broken
	w.broken = nil
	for _, b := range list {
		if b.c.socket.life == b.life {
			w.end(b.c, b.err)
		}
	}
}

// readMore gives connections that had more to read another turn.
func (w *epoll) readMore() bool {
	list := w.again
	if len(list) == 0 {
		return false
	}
	w.again = nil
	for _, c := range list {
		c.socket.again = false
		if c.socket.fd >= 0 && c.socket.ready && !c.socket.paused {
			w.read(c, false)
		}
	}
	return true
}

func (w *epoll) event(c *conn, mask uint32) {
	s := &c.socket
	life := s.life
	if !s.ready {
		if code, err := unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			w.end(c, errors.Join(err, unix.Errno(code)))
			return
		}
		if mask&unix.EPOLLOUT == 0 {
			return
		}
		s.ready = true
		w.handler.connected(c)
	}
	if mask&unix.EPOLLOUT != 0 && len(s.out) > 0 && s.life == life {
		w.flush(c)
	}
	if mask&^unix.EPOLLOUT != 0 && !s.paused && s.life == life {
		w.read(c, mask&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0)
	}
}

func (w *epoll) flush(c *conn) {
	s := &c.socket
	n, err := write(s.fd, s.out)
	if err != nil {
		w.fail(c, err)
		return
	}
	if s.out = s.out[n:]; len(s.out) == 0 {
		s.out = nil
	}
}

// read reads what there is. Events are edge triggered, and a read that does not
// fill the buffer has emptied the socket, unless the end of the stream follows.
//
// Hot path: one system call per event; no allocation.
func (w *epoll) read(c *conn, ended bool) {
	s := &c.socket
	for full, life := 0, s.life; s.life == life; {
		n, errno := read(s.fd, w.buf)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return
		case errno != 0:
			w.end(c, errno)
			return
		case n == 0:
			w.end(c, io.EOF)
			return
		}
		w.handler.received(c, w.buf[:n], w.clock.now())
		if n < len(w.buf) && !ended {
			return
		}
		if full++; full == fullReads && s.life == life {
			w.readAgain(c)
			return
		}
	}
}
