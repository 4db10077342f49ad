// Package handover gives connections that were taken from net/http back to it.
package handover

import (
	"errors"
	"net"
	"net/http"
	"syscall"
)

// Return has srv serve nc again, as if it had just been accepted. unread is what
// was read from nc and not served; net/http reads it first. It returns once srv
// has accepted nc, or has refused it, because it is shutting down, and closed it.
func Return(srv *http.Server, nc net.Conn, unread []byte) {
	_ = srv.Serve(&oneConn{conn: &Conn{Conn: nc, unread: unread}}) // the error is that there is no second connection
}

// oneConn is a listener that accepts one connection.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if l.conn == nil {
		return nil, net.ErrClosed
	}
	nc := l.conn
	l.conn = nil
	return nc, nil
}

func (l *oneConn) Close() error {
	if l.conn != nil {
		return l.conn.Close()
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

// SyscallConn lets the connection be taken over again. That loses what is unread,
// so it fails until net/http has read all of it.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := c.Conn.(syscall.Conn)
	if !ok || len(c.unread) > 0 {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}
