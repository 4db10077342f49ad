package loop

import "sync"

// A Courier is a Socket for connections whose writes block, such as TLS. A
// goroutine writes its bytes out, and exists only while there are some, so an
// idle connection has none. It holds at most 64 KiB.
type Courier struct {
	conn  *Conn
	write func([]byte) error // blocks
	end   func()             // closes what write writes to; blocks

	mu      sync.Mutex
	buf     []byte // guarded by mu
	running bool   // guarded by mu
	full    bool   // guarded by mu: Write took less than offered
	closed  bool   // guarded by mu
}

// NewCourier returns the courier of c. write and end are called one at a time, end
// last and once.
func NewCourier(c *Conn, write func([]byte) error, end func()) *Courier {
	return &Courier{conn: c, write: write, end: end}
}

// Write takes what there is room for.
func (k *Courier) Write(p []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := min(len(p), pipeBytes-len(k.buf))
	k.buf = append(k.buf, p[:n]...)
	k.full = n < len(p)
	k.start()
	return n, nil
}

// Close ends the courier: after what was written if clean, at once if not.
func (k *Courier) Close(clean bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	if !clean {
		k.buf = nil
	}
	k.start()
}

// start makes the goroutine unless it runs. k.mu is held.
func (k *Courier) start() {
	if !k.running {
		k.running = true
		go k.run()
	}
}

// run writes until nothing is left.
func (k *Courier) run() {
	for {
		k.mu.Lock()
		buf, full := k.buf, k.full
		k.buf, k.full = nil, false
		if len(buf) == 0 {
			closed := k.closed
			k.running = closed // the last run never ends, so that end is called once
			k.mu.Unlock()
			if closed {
				k.end()
			}
			return
		}
		k.mu.Unlock()
		if k.write(buf) != nil {
			k.conn.Close(ClientGone)
			continue
		}
		if full {
			k.conn.Room()
		}
	}
}
