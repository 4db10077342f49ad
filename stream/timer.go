package stream

import "time"

// A Timer runs a function for a stream. It stops with its stream.
type Timer struct {
	conn  *Conn
	timer *time.Timer
	fn    func()
	every time.Duration // 0: once
	next  time.Time
	due   bool // guarded by conn.mu: waits to run, or runs
}

// Every runs fn each d, for the first time after d, until the stream is closed
// or the timer stopped. d may be any positive duration. Calls for one stream
// never overlap: if fn takes longer than d, the calls missed are left out.
func (c *Conn) Every(d time.Duration, fn func()) *Timer {
	if d <= 0 {
		panic("stream: Every needs a positive duration, not " + d.String())
	}
	return c.startTimer(&Timer{conn: c, fn: fn, every: d, next: time.Now().Add(d)}, d)
}

// After runs fn once after d, unless the stream is closed or the timer stopped before.
func (c *Conn) After(d time.Duration, fn func()) *Timer {
	return c.startTimer(&Timer{conn: c, fn: fn}, d)
}

func (c *Conn) startTimer(t *Timer, d time.Duration) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.State() == Closed {
		return t
	}
	w := c.watching()
	if w.timers == nil {
		w.timers = make(map[*Timer]struct{})
	}
	w.timers[t] = struct{}{}
	t.timer = time.AfterFunc(d, t.fire)
	return t
}

// Stop stops the timer. A call that is running goes on.
func (t *Timer) Stop() {
	t.conn.mu.Lock()
	defer t.conn.mu.Unlock()
	t.stop()
}

// stop is Stop with conn.mu held. It reports whether t was active.
func (t *Timer) stop() bool {
	w := t.conn.watch
	if w == nil {
		return false
	}
	_, active := w.timers[t]
	delete(w.timers, t)
	if active {
		t.timer.Stop()
	}
	return active
}

// active reports whether t is neither stopped nor over. conn.mu is held.
func (t *Timer) active() bool {
	_, ok := t.conn.watch.timers[t]
	return ok
}

// fire has the function called, on time.AfterFunc's goroutine, and plans the
// next call on the original beat.
func (t *Timer) fire() {
	c := t.conn
	c.mu.Lock()
	if !t.active() {
		c.mu.Unlock()
		return
	}
	if t.every > 0 {
		late := time.Since(t.next)
		t.next = t.next.Add(t.every * (1 + late/t.every))
		t.timer.Reset(time.Until(t.next))
	}
	skip := t.due
	t.due = true
	c.mu.Unlock()
	if !skip {
		c.call(t.run)
	}
}

// run calls the function unless the timer was stopped meanwhile.
func (t *Timer) run() {
	c := t.conn
	c.mu.Lock()
	live := t.active()
	if live && t.every == 0 {
		t.stop()
	}
	c.mu.Unlock()
	if live {
		t.fn()
	}
	c.mu.Lock()
	t.due = false
	c.mu.Unlock()
}
