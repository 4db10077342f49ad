package loop

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Detach takes the descriptor out of nc and closes nc, leaving the connection
// open. net/http's deadlines are gone with nc, so the kernel watches instead: it
// probes an idle peer after keepAlive and gives up on one that does not take
// data for userTimeout.
//
// The descriptor is duplicated through SyscallConn, because File switches the
// shared descriptor to blocking mode.
func Detach(nc net.Conn, keepAlive, userTimeout time.Duration) (fd int, err error) {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return -1, fmt.Errorf("take over %T: no descriptor", nc)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd = -1
	ctlErr := raw.Control(func(old uintptr) {
		fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	})
	if ctlErr != nil {
		return -1, ctlErr
	}
	if err != nil {
		return -1, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	if _, tcp := nc.(interface{ SetNoDelay(bool) error }); tcp {
		setTimeouts(fd, keepAlive, userTimeout)
	}
	nc.Close()
	return fd, nil
}

// setTimeouts is best effort: a socket without these options still works.
func setTimeouts(fd int, keepAlive, userTimeout time.Duration) {
	if keepAlive > 0 {
		secs := max(1, int(keepAlive/time.Second))
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, secs)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, secs)
	}
	if userTimeout > 0 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout/time.Millisecond))
	}
}

// Attach makes a net.Conn of a descriptor that Detach returned. It owns fd.
func Attach(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "stream")
	defer f.Close() // FileConn has its own duplicate
	return net.FileConn(f)
}
