package proxy

import (
	"net"
	"net/netip"
)

// WithClient returns nc with another address of its peer, a [*net.TCPAddr]. All else that
// a [*net.TCPConn] or a [*net.UnixConn] can do, the result can do, too; of others it has
// what [net.Conn] has. If client is not valid, or is the peer, the result is nc.
//
// It is for connections that are made anew of the descriptor of one that a [Listener] has
// returned: they have lost the client's address. To take the proxy for the client would
// let the client choose its address, since the proxy is trusted to name others.
func WithClient(nc net.Conn, client netip.AddrPort) net.Conn {
	client = unmapped(client)
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); !client.IsValid() || ok && unmapped(tcp.AddrPort()) == client {
		return nc
	}
	remote := net.TCPAddrFromAddrPort(client)
	switch nc := nc.(type) {
	case *net.TCPConn:
		return &tcpConn{nc, remote}
	case *net.UnixConn:
		return &unixConn{nc, remote}
	}
	return &otherConn{nc, remote}
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

type tcpConn struct {
	*net.TCPConn
	remote *net.TCPAddr
}

func (c *tcpConn) RemoteAddr() net.Addr { return c.remote }

type unixConn struct {
	*net.UnixConn
	remote *net.TCPAddr
}

func (c *unixConn) RemoteAddr() net.Addr { return c.remote }

func (c *unixConn) LocalAddr() net.Addr { return relayed{c.UnixConn.LocalAddr()} }

type otherConn struct {
	net.Conn
	remote *net.TCPAddr
}

func (c *otherConn) RemoteAddr() net.Addr { return c.remote }
func (c *otherConn) LocalAddr() net.Addr  { return relayed{c.Conn.LocalAddr()} }

// A relayed address is that of a socket whose other end is not where the client is. Its
// type tells Trusted.peer that the remote address is not that of a unix socket.
type relayed struct{ net.Addr }
