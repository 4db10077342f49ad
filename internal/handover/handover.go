// Package handover gives connections that were taken from net/http back to it.
package handover

import (
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
)

// Return has srv serve nc again, as if it had just been accepted. unread is what
// was read from nc and not served; net/http reads it first. It returns once srv
// has accepted nc, or has refused it, because it is shutting down, and closed it.
func Return(srv *http.Server, nc net.Conn, unread []byte) {
	l := new(oneConn)
	l.conn.Store(&Conn{Conn: nc, unread: unread})
	_ = srv.Serve(l) // the error is that there is no second connection
}

// oneConn is a listener that accepts one connection. The server's Shutdown may
// close it while Serve accepts.
type oneConn struct{ conn atomic.Pointer[Conn] } // nil once accepted or closed

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn.Swap(nil); c != nil {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	if c := l.conn.Swap(nil); c != nil {
		return c.Close()
	}
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A Conn is a connection that was given back.
type Conn struct {
	net.Conn
	unread []byte
}

// Read implements [net.Conn].
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.unread) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// CloseWrite lets net/http say that it is done before it closes, so that a client
// which still sends can read the answer.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn lets the connection be taken over again. That loses what is unread,
// so it fails until net/http has read all of it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok || len(c.unread) > 0 {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}
