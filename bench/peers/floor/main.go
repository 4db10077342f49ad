//go:build linux

// Command floor is the least a server of event streams can do for a message: one write(2)
// for each subscriber, in a bare loop. It keeps no history, parses requests only as
// far as it must, knows one topic, and answers a publish after the last write.
//
// All servers that make one system call per delivery cost at least this much.
package main

import (
	"bytes"
	"flag"
	"log"
	"net/netip"
	"runtime"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	head   = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
	answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
)

// A conn is a client: a subscriber once it has sent a GET.
type conn struct {
	fd         int
	in, out    []byte
	subscriber int // index in server.subscribers, or -1
}

type server struct {
	epoll, listener int
	conns           map[int32]*conn
	subscribers     []*conn
	buf, frame      []byte
	id              int64
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8000", "address")
	flag.Parse()
	addr, err := netip.ParseAddrPort(*listen)
	if err != nil {
		log.Fatal(err)
	}
	runtime.LockOSThread()
	s := &server{conns: make(map[int32]*conn), buf: make([]byte, 64<<10)}
	if err := s.listen(addr); err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.run())
}

func (s *server) listen(addr netip.AddrPort) (err error) {
	if s.listener, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(s.listener, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err = unix.Bind(s.listener, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return err
	}
	if err = unix.Listen(s.listener, 4096); err != nil {
		return err
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	return s.watch(s.listener, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
}

func (s *server) watch(fd, op int, events uint32) error {
	return unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)})
}

func (s *server) run() error {
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == s.listener {
				s.accept()
			} else if c := s.conns[e.Fd]; c != nil {
				s.serve(c, e.Events)
			}
		}
	}
}

func (s *server) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		s.conns[int32(fd)] = &conn{fd: fd, subscriber: -1}
		_ = s.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN)
	}
}

func (s *server) serve(c *conn, events uint32) {
	if events&unix.EPOLLOUT != 0 {
		rest := c.out
		c.out = nil
		_ = s.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN)
		s.send(c, rest)
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	n, err := unix.Read(c.fd, s.buf)
	if n <= 0 && err != unix.EAGAIN {
		s.drop(c)
		return
	}
	c.in = append(c.in, s.buf[:max(n, 0)]...)
	for s.request(c) {
	}
}

// request serves one request of c, and reports whether there was a whole one.
func (s *server) request(c *conn) bool {
	end := bytes.Index(c.in, []byte("\r\n\r\n"))
	if end < 0 {
		return false
	}
	if bytes.HasPrefix(c.in, []byte("GET ")) {
		c.in = nil
		c.subscriber = len(s.subscribers)
		s.subscribers = append(s.subscribers, c)
		s.send(c, []byte(head))
		return false
	}
	_, after, _ := bytes.Cut(c.in[:end+2], []byte("Content-Length: "))
	digits, _, _ := bytes.Cut(after, []byte("\r\n"))
	length, _ := strconv.Atoi(string(digits))
	if len(c.in) < end+4+length {
		return false
	}
	s.publish(c.in[end+4 : end+4+length])
	c.in = append(c.in[:0], c.in[end+4+length:]...)
	s.send(c, []byte(answer))
	return true
}

func (s *server) publish(data []byte) {
	s.id++
	s.frame = strconv.AppendInt(append(s.frame[:0], "id: "...), s.id, 10)
	s.frame = append(append(append(s.frame, "\ndata: "...), data...), "\n\n"...)
	for i := len(s.subscribers) - 1; i >= 0; i-- {
		s.send(s.subscribers[i], s.frame)
	}
}

// send is the write that all this is about. What a full socket does not take is
// copied and sent later.
func (s *server) send(c *conn, p []byte) {
	if len(c.out) > 0 {
		c.out = append(c.out, p...)
		return
	}
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	switch {
	case errno == unix.EAGAIN:
		n = 0
	case errno != 0:
		return // the event that tells of the end follows
	}
	if int(n) < len(p) {
		c.out = append(c.out, p[n:]...)
		_ = s.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN|unix.EPOLLOUT)
	}
}

func (s *server) drop(c *conn) {
	if c.subscriber >= 0 {
		last := len(s.subscribers) - 1
		s.subscribers[c.subscriber] = s.subscribers[last]
		s.subscribers[c.subscriber].subscriber = c.subscriber
		s.subscribers = s.subscribers[:last]
	}
	delete(s.conns, int32(c.fd))
	_ = unix.Close(c.fd)
}
