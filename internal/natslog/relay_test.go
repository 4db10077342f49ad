package natslog_test

import (
	"net"
	"sync"
	"sync/atomic"
)

// A relay passes bytes on to a server. It can be cut, as when a cable is pulled: what
// is open stays open and is silent, and nothing new is answered. It can also lose only
// what the server says.
type relay struct {
	addr, to string
	listener net.Listener
	wg       sync.WaitGroup
	lost     atomic.Int32 // reads that were not passed on

	mu    sync.Mutex
	up    chan struct{} // guarded by mu: closed while bytes pass to the server
	down  chan struct{} // guarded by mu: closed while bytes pass from it
	conns []net.Conn    // guarded by mu
	ended bool          // guarded by mu
}

var closed = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// via starts a relay, for as long as the test takes, and returns the way through it.
func (s *server) via() (*server, *relay) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	r := &relay{addr: l.Addr().String(), to: s.Addr(), listener: l, up: closed, down: closed}
	r.wg.Go(r.accept)
	s.t.Cleanup(r.end)
	return &server{s.Server, s.t, "nats://" + r.addr}, r
}

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", r.to)
		if err != nil {
			near.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, near, far)
		if r.ended {
			near.Close()
			far.Close()
		}
		r.mu.Unlock()
		r.wg.Go(func() { r.pass(near, far, &r.down) })
		r.wg.Go(func() { r.pass(far, near, &r.up) })
	}
}

// pass passes bytes on while a gate is open. What comes while it is closed is lost, and
// the connection with it: no network loses bytes in the middle.
func (r *relay) pass(to, from net.Conn, gate *chan struct{}) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		r.mu.Lock()
		open := *gate
		r.mu.Unlock()
		select {
		case <-open:
		default:
			r.lost.Add(1)
			<-open
			return
		}
		if _, bad := to.Write(buf[:n]); err != nil || bad != nil {
			return
		}
	}
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = make(chan struct{})
	r.down = r.up
}

// lose loses what the server says.
func (r *relay) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = make(chan struct{})
}

func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, gate := range []*chan struct{}{&r.down, &r.up} {
		if *gate != closed {
			open := *gate
			if r.up == open {
				r.up = closed
			}
			*gate = closed
			close(open)
		}
	}
}

// reset closes all connections. New ones are welcome.
func (r *relay) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.Close()
	}
	r.conns = nil
}

func (r *relay) end() {
	r.listener.Close()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.mend()
	r.reset()
	r.wg.Wait()
}
