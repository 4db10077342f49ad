package loop

import (
	"context"
	"sync"
)

const (
	pipeBytes = 64 << 10 // what a pipe holds before it is full
	pipeSpare = 4 << 10  // the largest buffer an idle pipe keeps
)

// A Pipe is a Socket whose bytes a goroutine writes out. It holds at most 64 KiB.
// The loop writes, [Pipe.Serve] reads.
type Pipe struct {
	conn  *Conn
	ready chan struct{} // capacity 1: there is something to read

	mu     sync.Mutex
	buf    []byte // guarded by mu
	full   bool   // guarded by mu: Write took less than offered
	closed bool   // guarded by mu
}

// NewPipe returns the pipe of c.
func NewPipe(c *Conn) *Pipe {
	return &Pipe{conn: c, ready: make(chan struct{}, 1)}
}

// Write takes what there is room for. A frame larger than the pipe goes in pieces.
func (p *Pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	n := min(len(b), pipeBytes-len(p.buf))
	p.buf = append(p.buf, b[:n]...)
	p.full = n < len(b)
	p.mu.Unlock()
	p.signal()
	return n, nil
}

// Close lets Serve return: after what was written if clean, at once if not.
func (p *Pipe) Close(clean bool) {
	p.mu.Lock()
	p.closed = true
	if !clean {
		p.buf = nil
	}
	p.mu.Unlock()
	p.signal()
}

func (p *Pipe) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// Serve hands what the loop writes to write, until the connection is closed, ctx
// ends or write fails; then the connection is closed as well.
func (p *Pipe) Serve(ctx context.Context, write func([]byte) error) {
	var spare []byte
	for {
		select {
		case <-p.ready:
		case <-ctx.Done():
			p.conn.Close(ClientGone)
			return
		}
		buf, full, closed := p.take(spare)
		if len(buf) > 0 && write(buf) != nil {
			p.conn.Close(ClientGone)
			return
		}
		if closed {
			return
		}
		if full {
			p.conn.Room()
		}
		spare = nil
		if cap(buf) <= pipeSpare {
			spare = buf[:0]
		}
	}
}

// take empties the pipe and leaves spare as its buffer.
func (p *Pipe) take(spare []byte) (buf []byte, full, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	buf, full, closed = p.buf, p.full, p.closed
	p.buf, p.full = spare, false
	return buf, full, closed
}
