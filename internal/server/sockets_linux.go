package server

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter has the kernel close a TCP connection whose client takes or acknowledges
// nothing for a time, while there is something for it. It is best effort.
func giveUpAfter(nc net.Conn, silence time.Duration) {
	if _, tcp := nc.(interface{ SetNoDelay(bool) error }); !tcp || silence <= 0 {
		return
	}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence/time.Millisecond))
			})
		}
	}
}
