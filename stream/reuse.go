package stream

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// Reuse keeps the connection of an ended stream for the client's next request,
// and then gives it back to net/http. It implements [loop.Owner].
func (c *Conn) Reuse(fd int) {
	nc, err := loop.Attach(fd)
	if err != nil {
		return
	}
	prefix := c.leftover
	if len(prefix) == 0 {
		prefix = c.opener.opts.Engine.parked.await(nc, c.server)
	}
	if len(prefix) == 0 {
		nc.Close()
		return
	}
	_ = c.server.Serve(&oneConn{conn: &prefixConn{Conn: nc, prefix: prefix}}) // returns once it has accepted, or refused
}

// parked are connections between an ended stream and the next request. Their
// server does not know them.
type parked struct {
	sync.Mutex
	conns map[net.Conn]*http.Server // guarded by Mutex
}

// await waits for the next request and returns its first byte, or nothing if
// there will be none.
func (p *parked) await(nc net.Conn, srv *http.Server) []byte {
	p.Lock()
	if p.conns == nil {
		p.conns = make(map[net.Conn]*http.Server)
	}
	p.conns[nc] = srv
	p.Unlock()
	defer func() {
		p.Lock()
		delete(p.conns, nc)
		p.Unlock()
	}()
	idle := srv.IdleTimeout
	if idle <= 0 {
		idle = 2 * time.Minute
	}
	_ = nc.SetReadDeadline(time.Now().Add(idle))
	first := make([]byte, 1)
	n, _ := nc.Read(first)
	_ = nc.SetReadDeadline(time.Time{})
	return first[:n]
}

// close closes the connections of a server.
func (p *parked) close(srv *http.Server) {
	p.Lock()
	defer p.Unlock()
	for nc, s := range p.conns {
		if s == srv {
			nc.Close()
		}
	}
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

// prefixConn first reads what an earlier owner has read already.
type prefixConn struct {
	net.Conn
	prefix []byte
}

// SyscallConn lets the connection be taken over again. By then net/http has read
// the prefix: it is no longer than the buffer that it came from.
func (p *prefixConn) SyscallConn() (syscall.RawConn, error) {
	sc, ok := p.Conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sc.SyscallConn()
}

func (p *prefixConn) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}
