package proxy

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// ListenerOptions say which peers send the PROXY protocol. Zero values are the defaults.
type ListenerOptions struct {
	// Trusted are the peers whose connections must begin with a header. nil: none.
	Trusted *Trusted
	// Timeout bounds the time from the begin of a connection to the end of its header.
	// A header that got lost is sent again within 3 s. 0: 5 s.
	Timeout time.Duration
	// MaxPending is how many connections may wait for their header, or with it for
	// Accept, each in a goroutine of its own. More are closed. 0: 4,096.
	MaxPending int
	// Report is called for each connection that was closed for want of a header. The error
	// wraps [io.EOF] for a peer that has closed it without a byte, as some health checks
	// do, and [os.ErrDeadlineExceeded] for one that was too slow. It may be nil, is called
	// from several goroutines at once, and must not block or call Close.
	Report func(peer net.Addr, err error)
}

func (o ListenerOptions) withDefaults() ListenerOptions {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 4096
	}
	if o.Report == nil {
		o.Report = func(net.Addr, error) {}
	}
	return o
}

// A Listener accepts connections that proxies have opened with the PROXY protocol,
// version 1 or 2, each as coming from the client that the header names.
//
// A connection of a trusted peer without a valid header is closed: to guess would let
// clients choose their address (PROXY protocol, section 2). Connections of other peers
// are not touched, so a header on them is not HTTP.
//
// Where the header names no client (LOCAL, UNKNOWN, UNSPEC, unix and datagram sockets),
// the peer's address remains. A proxy should be made to send these for its own health
// checks only: a client that it stands for would be believed like the proxy.
type Listener struct {
	net  net.Listener
	opts ListenerOptions

	accepted chan accepted // not buffered: the backlog is the kernel's
	places   chan struct{} // holds one for each connection that is pending
	done     chan struct{} // closed by Close

	goroutines sync.WaitGroup
	closing    sync.Once
	closeErr   error

	mu      sync.Mutex
	closed  bool
	reading map[net.Conn]struct{} // those whose header is being read

	headers, refused, shed atomic.Uint64
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// NewListener accepts from ln, which belongs to the result from now on: closing that
// ends all goroutines. ln should return *net.TCPConn or *net.UnixConn, since
// [WithClient] hides what others can do; so whatever wraps connections, such as TLS,
// must come on top.
func NewListener(ln net.Listener, o ListenerOptions) *Listener {
	o = o.withDefaults()
	l := &Listener{
		net: ln, opts: o,
		accepted: make(chan accepted),
		places:   make(chan struct{}, o.MaxPending),
		done:     make(chan struct{}),
		reading:  make(map[net.Conn]struct{}),
	}
	l.goroutines.Go(l.run)
	return l
}

// Accept implements [net.Listener]. It does not wait for a header: connections come in
// the order in which their headers are complete.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return l.net.Addr() }

// Close implements [net.Listener]. It closes the connections that Accept has not
// returned, and returns when all goroutines have ended.
func (l *Listener) Close() error {
	l.closing.Do(func() {
		close(l.done)
		l.closeErr = l.net.Close()
		l.mu.Lock()
		l.closed = true
		for nc := range l.reading {
			nc.Close()
		}
		l.mu.Unlock()
		l.goroutines.Wait()
	})
	return l.closeErr
}

// Counts are of the whole life of a listener, but for Pending.
type Counts struct {
	Pending int    // connections of trusted peers that Accept has not returned yet
	Headers uint64 // valid headers
	Refused uint64 // connections closed because of no header, a bad one, or a late one
	Shed    uint64 // connections closed because too many were pending
}

// Counts returns the counts as they are now.
func (l *Listener) Counts() Counts {
	return Counts{Pending: len(l.places), Headers: l.headers.Load(), Refused: l.refused.Load(), Shed: l.shed.Load()}
}

// run accepts until Close. Errors are passed on, one to each call of Accept, so it is the
// caller that decides whether and when to try again.
func (l *Listener) run() {
	for {
		nc, err := l.net.Accept()
		if err == nil && l.opts.Trusted.hasPeer(nc) {
			l.receive(nc)
		} else if !l.deliver(accepted{nc, err}) {
			return
		}
	}
}

// deliver hands a over to Accept; it is false if there will be no Accept any more.
func (l *Listener) deliver(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.done:
		if a.conn != nil {
			a.conn.Close()
		}
		return false
	}
}

// receive reads the header of nc in a goroutine, which ends with it, at the deadline, or
// with the listener.
func (l *Listener) receive(nc net.Conn) {
	select {
	case l.places <- struct{}{}:
		l.goroutines.Go(func() {
			l.read(nc)
			<-l.places
		})
	default:
		nc.Close()
		l.shed.Add(1)
		l.opts.Report(nc.RemoteAddr(), fmt.Errorf("%d connections are pending, which is the limit", cap(l.places)))
	}
}

func (l *Listener) read(nc net.Conn) {
	if !l.begin(nc) {
		nc.Close()
		return
	}
	_ = nc.SetReadDeadline(time.Now().Add(l.opts.Timeout))
	client, err := readHeader(nc)
	_ = nc.SetReadDeadline(time.Time{})
	switch {
	case l.end(nc):
		nc.Close()
	case err != nil:
		nc.Close()
		l.refused.Add(1)
		l.opts.Report(nc.RemoteAddr(), err)
	default:
		l.headers.Add(1)
		l.deliver(accepted{conn: WithClient(nc, client)})
	}
}

// begin lets Close know of nc; it is false if the listener is closed.
func (l *Listener) begin(nc net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.reading[nc] = struct{}{}
	}
	return !l.closed
}

// end is the reverse of begin, and reports whether the listener was closed meanwhile.
func (l *Listener) end(nc net.Conn) (closed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.reading, nc)
	return l.closed
}
