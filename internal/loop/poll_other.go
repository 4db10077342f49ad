//go:build !linux

package loop

// Supported says whether descriptors can be taken over on this system.
const Supported = false

// A poller does not exist here: all connections are pipes.
type poller struct{}

func (*poller) close() {}

func (l *Loop) watch(*Conn) error         { panic("loop: descriptor on a system without epoll") }
func (l *Loop) unwatch(*Conn)             {}
func (l *Loop) socketEvent(*Conn, uint32) {}

// Write is not called here.
func Write(fd int, p []byte) (int, error) { panic("loop: descriptor on a system without epoll") }
func closeFD(fd int, clean bool)          {}
func broken(error) Reason                 { return WriteFailed }
