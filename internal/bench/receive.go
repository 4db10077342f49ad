package bench

import (
	"fmt"
	"io"
)

// received implements handler.
//
// Hot path: once per read; no allocation.
func (r *run) received(c *conn, p []byte, now int64) {
	if c.lane != nil {
		r.publisher.received(c.lane, p, now)
		return
	}
	r.meter.bytes += int64(len(p))
	for len(p) > 0 {
		body, rest, err := c.response.next(p)
		if err == nil && c.stage == opening && c.response.headDone() {
			err = r.begun(c)
		}
		if err != nil {
			r.wire.drop(c)
			r.lost(c, err)
			return
		}
		r.scan(c, body, now)
		p = rest
		if c.response.part == partDone {
			r.wire.drop(c)
			r.lost(c, io.EOF)
			return
		}
	}
}

// begun is called when the head of a reader's response is complete.
func (r *run) begun(c *conn) error {
	if c.response.status != 200 {
		err := fmt.Errorf("%w: the server answers a reader with status %d", ErrRefused, c.response.status)
		if r.dial.opened == 0 {
			r.fatal = err
		}
		return err
	}
	c.scanner.events = c.response.events
	c.stage = open
	c.attempts = 0
	c.group.enter(c)
	r.dial.opened++
	r.dial.now++
	r.dial.most = max(r.dial.most, r.dial.now)
	r.dial.under--
	r.openMore()
	return nil
}

// scan delivers the messages of body.
//
// Hot path: once per piece of content; no allocation.
func (r *run) scan(c *conn, body []byte, now int64) {
	for {
		m, rest, ok := c.scanner.next(body)
		if !ok {
			return
		}
		body = rest
		r.deliver(c, m, now)
	}
}

// deliver counts one message.
//
// Hot path: once per delivery; no allocation.
func (r *run) deliver(c *conn, m message, now int64) {
	g := c.group
	i := m.stream - c.firstStream
	if i < 0 || i >= c.streams || c.topic < 0 {
		r.stray(c, m)
		return
	}
	switch r.book.arrived(c.slot+i, m.seq) {
	case doubled:
		g.doubled++
		return
	case late:
		g.late++
	}
	if m.size >= 0 && m.size != r.o.Size {
		g.damaged++
	}
	g.delivered++
	g.last = now
	c.delivered++
	c.order = (c.order ^ (uint64(m.stream)<<40 + m.seq)) * 0x9e3779b97f4a7c15
	g.latency.add(timeSpan(m.due, now))
}

// stray takes a message of no stream of c.
func (r *run) stray(c *conn, m message) {
	switch {
	case m.stream != probeStream:
		c.group.misrouted++
	case !c.probed:
		c.probed = true
		r.probed++
	}
}
