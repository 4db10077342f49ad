package loop

import "time"

// What a loop does with a connection. All of this runs on the loop goroutine.

const (
	gatherBytes = 64 << 10 // small frames are gathered up to this size into one write
	turnBytes   = 256 << 10
	lingerFor   = 5 * time.Second
)

// add takes a new connection in.
func (l *Loop) add(c *Conn) {
	if c.added = true; c.closed { // a source has closed it before
		return
	}
	l.takeSlot(c)
	c.lastWrite = l.now
	if c.expires != 0 {
		c.expires += l.now
	}
	if c.sock == nil || c.guard > 0 {
		if err := l.watch(c); err != nil {
			l.close(c, WriteFailed)
			return
		}
	}
	l.setTimer(c)
	l.makeReady(c)
}

func (l *Loop) takeSlot(c *Conn) {
	if n := len(l.free); n > 0 {
		c.slot = l.free[n-1]
		l.free = l.free[:n-1]
		l.conns[c.slot] = c
	} else {
		c.slot = int32(len(l.conns))
		l.conns = append(l.conns, c)
	}
	l.gens++
	c.gen = l.gens
}

// send queues a posted frame and writes it if the socket has room.
func (l *Loop) send(c *Conn, frame []byte) {
	if c.Ending() {
		c.pending.Add(-int64(len(frame)))
		return
	}
	c.queue = append(c.queue, frame)
	c.private += int64(len(frame))
	c.posted = true
	l.makeReady(c)
}

// makeReady has c flushed at the end of this turn, so that all frames posted to
// it so far leave in one write.
func (l *Loop) makeReady(c *Conn) {
	if !c.queued && !c.stalled && !c.closed {
		c.queued = true
		l.ready = append(l.ready, c)
	}
}

// flush writes what is queued, then asks the source, until the socket is full,
// there is nothing more, or c has had its share of this turn.
func (l *Loop) flush(c *Conn) {
	for budget := turnBytes; !c.closed && !c.stalled; {
		if len(c.queue) == 0 && !l.refill(c) {
			return
		}
		if budget <= 0 {
			l.makeReady(c)
			return
		}
		budget -= l.writeQueue(c)
	}
}

// refill asks the source for more. A stream that is ending gets its tail once the
// source has nothing left, and is finished once that is written.
func (l *Loop) refill(c *Conn) bool {
	if !c.tailed && c.source != nil && c.source.Refill(c) {
		return true
	}
	if c.ending == Open || c.queued { // queued: the source asked for another turn
		return false
	}
	if !c.tailed {
		c.tailed = true
		c.enqueueTail()
		if len(c.queue) > 0 {
			return true
		}
	}
	l.finish(c)
	return false
}

// enqueueTail queues the last bytes of a stream.
func (c *Conn) enqueueTail() {
	if c.farewell != nil {
		c.queue = append(c.queue, *c.farewell)
	}
	if c.cfg.Tail != nil {
		c.queue = append(c.queue, c.cfg.Tail)
	}
}

// writeQueue writes as much of the queue as one write takes.
func (l *Loop) writeQueue(c *Conn) int {
	p := l.gather(c)
	n, err := c.write(p)
	if err != nil {
		l.close(c, broken(err))
		return n
	}
	c.lastWrite = l.now
	c.sent.Add(int64(n))
	c.consume(n)
	if n < len(p) {
		l.stall(c)
	}
	return n
}

// gather returns the begin of the queue as one slice, copying only if the first
// frame is small and not alone.
func (l *Loop) gather(c *Conn) []byte {
	first := c.queue[0][c.offset:]
	if len(c.queue) == 1 || len(first) >= gatherBytes {
		return first
	}
	l.batch = append(l.batch[:0], first...)
	for _, frame := range c.queue[1:] {
		if len(l.batch)+len(frame) > gatherBytes {
			break
		}
		l.batch = append(l.batch, frame...)
	}
	return l.batch
}

// consume drops n written bytes from the queue.
func (c *Conn) consume(n int) {
	c.settle(n)
	done := 0
	for done < len(c.queue) { // also past empty frames, which no write takes
		rest := len(c.queue[done]) - c.offset
		if n < rest {
			c.offset += n
			break
		}
		n -= rest
		c.offset = 0
		done++
	}
	if done == len(c.queue) {
		c.queue, c.posted = nil, false
		return
	}
	clear(c.queue[:done])
	c.queue = c.queue[done:]
}

// settle takes written bytes off the count of posted ones. Posted frames and
// shared ones mix only while a source is set, and then the count is settled
// early, never late: the bound holds for posted bytes in any case.
func (c *Conn) settle(n int) {
	if c.private == 0 {
		return
	}
	n64 := min(int64(n), c.private)
	c.private -= n64
	c.pending.Add(-n64)
	c.tellRoom()
}

// tellRoom tells the owner if it asked for room and there is some.
func (c *Conn) tellRoom() {
	if c.refused.Load() && c.hasRoom() && c.refused.CompareAndSwap(true, false) && !c.closed {
		c.owner.Drained()
	}
}

func (l *Loop) stall(c *Conn) {
	c.stalled = true
	if c.source != nil {
		c.source.Stalled()
	}
	if c.cfg.Patience > 0 {
		l.setTimer(c)
	}
}

// resume goes on after the socket has room again.
func (l *Loop) resume(c *Conn) {
	if c.closed {
		return
	}
	c.stalled = false
	l.makeReady(c)
}

// end lets c send what is queued and what its source has, and then closes it.
func (l *Loop) end(c *Conn, r Reason) {
	if r.barred() && !c.closed {
		c.dropSource()
		l.makeReady(c)
	}
	if c.Ending() {
		return
	}
	c.closing.Store(true)
	c.ending = r
	if f := c.owner.Farewell(r); f != nil { // now, so that the owner learns of the end
		c.farewell = &f
	}
	linger := c.cfg.Linger
	if linger == 0 {
		linger = lingerFor
	}
	c.expires = l.now + linger
	l.setTimer(c)
	l.makeReady(c)
}

// finish closes c after its last byte was written, or hands the descriptor on.
func (l *Loop) finish(c *Conn) {
	if c.sock != nil || !c.keep || c.ending != Ended && c.ending != Expired {
		l.close(c, c.ending)
		return
	}
	fd := int(c.fd)
	l.unwatch(c)
	c.fd = -1
	l.close(c, c.ending)
	go c.owner.Reuse(fd) // ends when the descriptor is handed on or closed
}

// close takes c out of everything and tells its owner.
func (l *Loop) close(c *Conn, r Reason) {
	if c.closed {
		return
	}
	c.closed = true
	c.closing.Store(true)
	c.dropSource()
	l.wheel.Stop(&c.timer)
	if c.added {
		l.conns[c.slot] = nil
		l.free = append(l.free, c.slot)
	}
	clean := c.ending != Open && len(c.queue) == 0
	c.queue, c.offset = nil, 0
	l.closed[r].Store(l.closed[r].Load() + 1)
	c.owner.Closed(r)
	if c.sock != nil {
		c.sock.Close(clean)
	} else if c.fd >= 0 {
		closeFD(int(c.fd), clean)
	}
	c.countSocket(-1)
	l.load.Add(-1) // last: whoever waits for it may end the program
}

// dropSource leaves c with what is queued.
func (c *Conn) dropSource() {
	if c.source != nil {
		c.source.Closed()
		c.source = nil
	}
}

// expire handles a deadline of c: the end of its life, or a heartbeat.
func (l *Loop) expire(c *Conn) {
	switch {
	case c.closed:
		return
	case c.expires != 0 && l.now >= c.expires && c.ending != Open:
		l.close(c, c.ending)
		return
	case c.expires != 0 && l.now >= c.expires:
		l.end(c, MaxAge)
		return
	case c.stalled && c.cfg.Patience > 0 && l.now >= c.active()+c.cfg.Patience:
		l.close(c, TooSlow)
		return
	case c.beatDue(l.now) && !c.busy() && c.ending == Open:
		c.lastWrite = l.now // also if the write falls short: the rest is in the queue
		c.queue = append(c.queue, c.cfg.Beat)
		l.makeReady(c)
	}
	l.setTimer(c)
}

func (c *Conn) beatDue(now time.Duration) bool {
	return c.cfg.Heartbeat > 0 && now >= c.active()+c.cfg.Heartbeat
}

// active is when something was last written to c. Shared writes do not touch c,
// so its source remembers them.
func (c *Conn) active() time.Duration {
	if c.source == nil {
		return c.lastWrite
	}
	return max(c.lastWrite, c.source.Shared())
}

// setTimer sets the one timer of c to its next deadline. Traffic moves that
// deadline but not the timer: expire looks and sets it again.
func (l *Loop) setTimer(c *Conn) {
	at := c.expires
	if c.cfg.Heartbeat > 0 && c.ending == Open {
		beat := c.active() + c.cfg.Heartbeat
		if c.busy() {
			beat = l.now + c.cfg.Heartbeat
		}
		if at == 0 || beat < at {
			at = beat
		}
	}
	if c.stalled && c.cfg.Patience > 0 && c.ending == Open {
		if give := c.active() + c.cfg.Patience; at == 0 || give < at {
			at = give
		}
	}
	if at == 0 {
		l.wheel.Stop(&c.timer)
		return
	}
	l.wheel.Set(&c.timer, at)
}
