package redislog

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// A dialer makes connections and can close all of them: the client's own Close waits
// for commands that wait for something to come.
type dialer struct {
	mu     sync.Mutex
	open   map[*conn]struct{} // guarded by mu
	closed bool               // guarded by mu
}

// A conn leaves its dialer's list when it is closed.
type conn struct {
	net.Conn
	dialer *dialer
}

func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

func (d *dialer) dial(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
	raw, err := connect(ctx, address, nd, config)
	if err != nil {
		return nil, err
	}
	c := &conn{raw, d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		raw.Close()
		return nil, net.ErrClosed
	}
	if d.open == nil {
		d.open = make(map[*conn]struct{})
	}
	d.open[c] = struct{}{}
	return c, nil
}

func connect(ctx context.Context, address string, nd *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return nd.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: nd, Config: config}).DialContext(ctx, "tcp", address)
}

// close closes all connections. There are no new ones.
func (d *dialer) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for c := range d.open {
		c.Conn.Close()
	}
}
