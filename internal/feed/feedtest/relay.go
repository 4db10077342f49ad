package feedtest

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Relay passes connections on to a server, and can cut them.
type Relay struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu: both ends of what is open; nil when closed
	apart bool              // guarded by mu: nothing gets through

	delay atomic.Int64 // of what is passed on, in nanoseconds
}

// NewRelay makes a relay to an address, for as long as the test takes.
func NewRelay(t *testing.T, to string) *Relay {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{ln: ln, to: to, conns: make(map[net.Conn]bool)}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		ln.Close()
		r.mu.Lock()
		for c := range r.conns {
			c.Close()
		}
		r.conns = nil
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// Addr is where it listens.
func (r *Relay) Addr() string { return r.ln.Addr().String() }

// Cut closes all connections without warning, and reports how many there were.
func (r *Relay) Cut() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.conns) / 2
	for c := range r.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		c.Close()
		delete(r.conns, c)
	}
	return n
}

// Part cuts all connections, and lets no new ones through until heal is called.
func (r *Relay) Part() (heal func()) {
	set := func(apart bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.apart = apart
	}
	set(true)
	r.Cut()
	return func() { set(false) }
}

func (r *Relay) accept() {
	for {
		near, err := r.ln.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			near.Close()
			continue
		}
		r.mu.Lock()
		if r.conns == nil || r.apart {
			near.Close()
			far.Close()
		} else {
			r.conns[near], r.conns[far] = true, true
			r.wg.Go(func() { r.pass(near, far) })
			r.wg.Go(func() { r.pass(far, near) })
		}
		r.mu.Unlock()
	}
}

// Slow has all that is passed on from now on wait for a while, piece by piece.
func (r *Relay) Slow(d time.Duration) { r.delay.Store(int64(d)) }

func (r *Relay) pass(to, from net.Conn) {
	_, _ = io.Copy(slowly{to, r}, from) // until one of them is closed
	to.Close()
	from.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, to)
	delete(r.conns, from)
}

// slowly writes after the delay of a relay.
type slowly struct {
	io.Writer
	r *Relay
}

func (w slowly) Write(p []byte) (int, error) {
	if d := time.Duration(w.r.delay.Load()); d > 0 {
		time.Sleep(d)
	}
	return w.Writer.Write(p)
}
