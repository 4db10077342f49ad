package bench

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Bounds of what one goroutine waits for.
const (
	sendTimeout = 10 * time.Second
	dialTimeout = 30 * time.Second
)

// Goroutines is a wire with one goroutine per connection, for TLS and for systems
// without epoll. A lock lets one of them at a time, or the run, touch the run's
// data; the run holds it except within wait.
type goroutines struct {
	handler handler
	clock   clock
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	news    chan struct{} // something has happened

	mu     sync.Mutex
	paused *sync.Cond         // somebody may go on
	links  map[*link]struct{} // that run
	broken map[*link]error    // to be reported by wait
}

// A link is one life of a connection. Its fields are guarded by goroutines.mu.
type link struct {
	c      *conn
	net    net.Conn // nil until connected
	paused bool
	ended  bool
}

// newGoroutines returns a wire whose lock is held, as after wait.
func newGoroutines(h handler, c clock) *goroutines {
	w := &goroutines{handler: h, clock: c, news: make(chan struct{}, 1),
		links: make(map[*link]struct{}), broken: make(map[*link]error)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.paused = sync.NewCond(&w.mu)
	w.mu.Lock()
	return w
}

// dial starts the goroutine of c, which ends when c is lost or dropped; close
// waits for it.
func (w *goroutines) dial(c *conn) {
	l := &link{c: c}
	c.socket.link = l
	w.links[l] = struct{}{}
	w.running.Go(func() { w.run(l) })
}

func (w *goroutines) run(l *link) {
	nc, err := connect(w.ctx, l.c.to, l.c.narrow)
	w.mu.Lock()
	defer w.mu.Unlock()
	defer delete(w.links, l)
	if l.ended {
		if nc != nil {
			nc.Close()
		}
		return
	}
	l.net = nc
	if err == nil {
		w.tell(func() { w.handler.connected(l.c) })
		err = w.read(l)
	}
	if !l.ended {
		w.cut(l)
		w.tell(func() { w.handler.lost(l.c, err) })
	}
}

func connect(ctx context.Context, t *target, narrow bool) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	nc, err := d.DialContext(ctx, "tcp", t.addr.String())
	if err != nil {
		return nil, err
	}
	if narrow {
		_ = nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	if t.tls == nil {
		return nc, nil
	}
	secure := tls.Client(nc, t.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		nc.Close()
		return nil, err
	}
	return secure, nil
}

// tell calls fn, which tells the run something, and has wait return.
func (w *goroutines) tell(fn func()) {
	fn()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// read hands on what arrives until the connection ends. The lock is held when it
// is called and when it returns, not while it reads.
func (w *goroutines) read(l *link) error {
	buf := make([]byte, 4<<10)
	for {
		for l.paused && !l.ended {
			w.paused.Wait()
		}
		if l.ended {
			return nil
		}
		w.mu.Unlock()
		n, err := l.net.Read(buf)
		now := w.clock.now()
		w.mu.Lock()
		if l.ended {
			return nil
		}
		if n > 0 {
			w.tell(func() { w.handler.received(l.c, buf[:n], now) })
		}
		if err != nil {
			return err
		}
	}
}

func (w *goroutines) send(c *conn, p []byte) {
	l := c.socket.link
	_ = l.net.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := l.net.Write(p); err != nil {
		w.broken[l] = err
	}
}

func (w *goroutines) pause(c *conn, on bool) {
	if l := c.socket.link; l != nil {
		l.paused = on
		w.paused.Broadcast()
	}
}

func (w *goroutines) drop(c *conn) {
	if l := c.socket.link; l != nil && !l.ended {
		w.cut(l)
	}
}

// cut ends l, whose goroutine then ends without a word.
func (w *goroutines) cut(l *link) {
	l.ended = true
	l.c.socket.link = nil
	delete(w.broken, l)
	w.paused.Broadcast()
	if l.net == nil {
		return
	}
	nc := l.net
	if secure, ok := nc.(*tls.Conn); ok {
		nc = secure.NetConn()
	}
	_ = nc.(*net.TCPConn).SetLinger(0)
	_ = nc.Close()
}

func (w *goroutines) wait(d time.Duration) error {
	for l, err := range w.broken {
		w.cut(l)
		w.handler.lost(l.c, err)
	}
	w.mu.Unlock()
	defer w.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-w.news:
	case <-timer.C:
	}
	return nil
}

// close ends all links and gives the lock back for good.
func (w *goroutines) close() {
	w.cancel()
	for l := range w.links {
		if !l.ended {
			w.cut(l)
		}
	}
	w.mu.Unlock()
	w.running.Wait()
}
