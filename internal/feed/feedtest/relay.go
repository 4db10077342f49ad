package feedtest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Relay passes connections on to a server. It can cut them, make the way longer, or
// lose what is on its way.
type Relay struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu: both ends of what is open; nil when closed
	apart bool              // guarded by mu: nothing gets through
	mute  [2]bool           // guarded by mu: what clients say, and what the server says, is lost

	delay atomic.Int64 // of what is passed on, in nanoseconds
	lost  atomic.Int64 // connections that have lost something
}

// Directions of what a relay passes on.
const (
	asking = iota
	answering
)

// NewRelay makes a relay to an address, for as long as the test takes.
func NewRelay(t testing.TB, to string) *Relay {
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

// Unplug loses all that is said until heal is called, as when somebody pulls the cable:
// what is open stays open and is silent, and so is what is new. heal cuts what is open,
// because no network loses bytes in the middle.
func (r *Relay) Unplug() (heal func()) { return r.lose(asking, answering) }

// LoseAnswers is like Unplug, but loses only what the server says.
func (r *Relay) LoseAnswers() (heal func()) { return r.lose(answering) }

// Lost is how many times there was something to pass on to one side of a connection, and
// it was lost.
func (r *Relay) Lost() int64 { return r.lost.Load() }

func (r *Relay) lose(directions ...int) (heal func()) {
	set := func(mute bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, d := range directions {
			r.mute[d] = mute
		}
	}
	set(true)
	return func() { set(false); r.Cut() }
}

// Slow makes the way longer: all that is passed on from now on arrives so much later.
func (r *Relay) Slow(d time.Duration) { r.delay.Store(int64(d)) }

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
			r.pass(far, near, asking)
			r.pass(near, far, answering)
		}
		r.mu.Unlock()
	}
}

// A piece is what was read at once, and when it is to arrive.
type piece struct {
	data []byte
	due  time.Time
}

// pass begins to pass on what is read from one side.
func (r *Relay) pass(to, from net.Conn, direction int) {
	way := make(chan piece, 1024) // 32 MiB at most; what is more waits
	r.wg.Go(func() {
		defer close(way)
		r.read(from, way, direction)
	})
	r.wg.Go(func() {
		for p := range way {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				break
			}
		}
		r.forget(to, from)
		for range way { // the reader ends soon
		}
	})
}

// read puts on the way what is read and not lost, until the connection is closed.
func (r *Relay) read(from net.Conn, way chan<- piece, direction int) {
	buf, whole := make([]byte, 32<<10), true
	for {
		n, err := from.Read(buf)
		if n > 0 && whole && r.isMute(direction) {
			whole = false // and what comes later is not for anybody
			r.lost.Add(1)
		}
		if n > 0 && whole {
			way <- piece{append([]byte(nil), buf[:n]...), time.Now().Add(time.Duration(r.delay.Load()))}
		}
		if err != nil {
			return
		}
	}
}

func (r *Relay) isMute(direction int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mute[direction]
}

// forget closes both sides of a connection.
func (r *Relay) forget(to, from net.Conn) {
	to.Close()
	from.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, to)
	delete(r.conns, from)
}
