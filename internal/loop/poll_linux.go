package loop

import (
	"errors"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Supported says whether descriptors can be taken over on this system.
const Supported = true

// Every connection is watched once, edge-triggered, for room and for the other
// side's end. The kernel reports room only after a write fell short, so nothing
// is re-armed, ever. Incoming bytes are not watched: a stream's client has
// nothing to say, and what it says stays in the kernel's bounded buffer.
const watched = unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// A poller waits for socket events of one loop. Its goroutine parks in Go's own
// network poller until the epoll descriptor is readable, so no thread is blocked
// and the loop itself sleeps on a channel.
type poller struct {
	epoll int
	file  *os.File // owns epoll
	done  chan struct{}
}

func newPoller(l *Loop) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes os.NewFile pollable
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), done: make(chan struct{})}
	raw, err := p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return nil, err
	}
	go p.run(l, raw)
	return p, nil
}

// run posts socket events to the loop until close.
func (p *poller) run(l *Loop, raw syscall.RawConn) {
	defer close(p.done)
	var events [128]unix.EpollEvent
	var letters [len(events)]letter
	for {
		n := 0
		err := raw.Read(func(fd uintptr) bool {
			n, _ = unix.EpollWait(int(fd), events[:], 0)
			return n > 0
		})
		if err != nil {
			return
		}
		for i, ev := range events[:n] {
			letters[i] = letter{kind: letterSocket, slot: ev.Fd, gen: ev.Pad, events: ev.Events}
		}
		l.post(letters[:n]...)
	}
}

// close ends the poller's goroutine.
func (p *poller) close() { p.file.Close() }

// watch registers c with epoll.
func (l *Loop) watch(c *Conn) error {
	if l.poll == nil {
		p, err := newPoller(l)
		if err != nil {
			return err
		}
		l.poll = p
	}
	ev := unix.EpollEvent{Events: watched, Fd: c.slot, Pad: c.gen}
	fd := int(c.fd)
	if c.sock != nil {
		fd, ev.Events = int(c.guard), unix.EPOLLRDHUP|unix.EPOLLET
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(l.poll.epoll, unix.EPOLL_CTL_ADD, fd, &ev))
}

// unwatch takes a descriptor that lives on off epoll.
func (l *Loop) unwatch(c *Conn) {
	_ = unix.EpollCtl(l.poll.epoll, unix.EPOLL_CTL_DEL, int(c.fd), nil)
}

// socketEvent acts on what epoll reported.
func (l *Loop) socketEvent(c *Conn, events uint32) {
	switch {
	case events&unix.EPOLLERR != 0 && c.sock != nil:
		l.close(c, ClientGone) // the socket reads its own error
	case events&unix.EPOLLERR != 0:
		l.close(c, broken(socketError(int(c.fd))))
	case events&(unix.EPOLLRDHUP|unix.EPOLLHUP) != 0:
		l.close(c, ClientGone)
	case events&unix.EPOLLOUT != 0 && c.stalled:
		l.resume(c)
	}
}

func socketError(fd int) error {
	n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	return syscall.Errno(n)
}

// broken maps a write error to the reason for closing.
func broken(err error) Reason {
	switch {
	case errors.Is(err, unix.ETIMEDOUT):
		return TooSlow
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return ClientGone
	}
	return WriteFailed
}

// Hot path: Write writes to a descriptor what the socket has room for and
// returns how much that was. It is one system call, without telling the
// scheduler, since it does not block. MSG_NOSIGNAL keeps a closed connection
// from raising SIGPIPE.
func Write(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
			unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// closeFD closes a socket. A clean end first says so and discards what the client
// has sent, because closing over unread bytes would reset the connection and may
// cost the client the last bytes of the stream.
func closeFD(fd int, clean bool) {
	if clean {
		_ = unix.Shutdown(fd, unix.SHUT_WR)
		var scrap [4096]byte
		for range 16 {
			if n, _, err := unix.Recvfrom(fd, scrap[:], unix.MSG_DONTWAIT); n <= 0 || err != nil {
				break
			}
		}
	}
	_ = unix.Close(fd)
}
