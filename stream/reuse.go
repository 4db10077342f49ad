package stream

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weirstream/weir/internal/handover"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/proxy"
)

// Reuse keeps the connection of an ended stream for the client's next request,
// and then gives it back to net/http. It implements [loop.Owner].
func (c *Conn) Reuse(fd int) {
	nc, err := loop.Attach(fd)
	if err != nil {
		return
	}
	nc = proxy.WithClient(nc, c.RemoteAddr())
	var unread []byte
	if c.rare != nil {
		unread = c.rare.unread
	}
	if len(unread) == 0 {
		unread = c.opener.opts.Engine.parked.await(nc, c.server)
	}
	if len(unread) == 0 {
		nc.Close()
		return
	}
	handover.Return(c.server, nc, unread)
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
