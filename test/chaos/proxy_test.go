package chaos_test

import (
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A cutter passes TCP connections on to a server, and cuts each after a number of
// bytes that nobody knows. It stands for a bad network.
type cutter struct {
	url    string
	target string
	most   int64 // bytes that a connection may carry to the client
	ln     net.Listener
	cuts   atomic.Int64
	wg     sync.WaitGroup

	mu    sync.Mutex
	kind  bool                  // false: connections are cut
	conns map[net.Conn]struct{} // guarded by mu; nil when it has ended
}

func newCutter(t *testing.T, target string, most int64) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{url: "http://" + ln.Addr().String(), target: target, most: most, ln: ln, conns: make(map[net.Conn]struct{})}
	c.wg.Go(c.accept)
	t.Cleanup(c.close)
	return c
}

func (c *cutter) close() {
	c.ln.Close()
	c.mu.Lock()
	for nc := range c.conns {
		nc.Close()
	}
	c.conns = nil
	c.mu.Unlock()
	c.wg.Wait()
}

// spare lets all connections from now on live.
func (c *cutter) spare() {
	c.mu.Lock()
	c.kind = true
	c.mu.Unlock()
}

func (c *cutter) accept() {
	for {
		client, err := c.ln.Accept()
		if err != nil {
			return
		}
		c.wg.Go(func() { c.pass(client) })
	}
}

// pass serves one connection to its end.
func (c *cutter) pass(client net.Conn) {
	defer client.Close()
	upstream, err := net.Dial("tcp", c.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	budget, ok := c.begin(client, upstream)
	if !ok {
		return
	}
	defer c.end(client, upstream)
	c.wg.Go(func() {
		_, _ = io.Copy(upstream, client)
		upstream.Close()
	})
	if budget < 0 {
		_, _ = io.Copy(client, upstream)
		return
	}
	if _, err := io.CopyN(client, upstream, budget); err == nil {
		c.cut(client, upstream)
	}
}

// begin notes a connection and returns how many bytes it may carry, -1 for any number.
func (c *cutter) begin(ends ...net.Conn) (budget int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conns == nil {
		return 0, false
	}
	for _, nc := range ends {
		c.conns[nc] = struct{}{}
	}
	if c.kind {
		return -1, true
	}
	return 1 + rand.Int64N(c.most), true
}

func (c *cutter) end(ends ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range ends {
		delete(c.conns, nc)
	}
}

// cut lets a connection end with resets or as if both sides had closed it.
func (c *cutter) cut(ends ...net.Conn) {
	c.cuts.Add(1)
	for _, nc := range ends {
		if tcp, ok := nc.(*net.TCPConn); ok && rand.N(2) == 0 {
			_ = tcp.SetLinger(0)
		}
	}
}
