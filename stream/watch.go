package stream

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// The functions that a program hangs on a stream (timers, OnClose, OnDrain) run
// one after the other, in the order in which they became due, on a goroutine
// that exists only while there is something to run. A slow one delays no other
// stream.

// A watch holds what a stream has only if its program asked for it.
type watch struct {
	done    chan struct{}
	room    chan struct{} // closed when there is room again; nil if nobody waits
	onClose []func(Reason)
	onDrain []func()
	timers  map[*Timer]struct{}
	calls   []func() // due functions
	calling bool     // a goroutine is running them
}

// watching returns c's watch. c.mu is held.
func (c *Conn) watching() *watch {
	if c.watch == nil {
		c.watch = &watch{done: make(chan struct{})}
		if c.State() == Closed {
			c.watch.end()
		}
	}
	return c.watch
}

// end closes done, once. The stream's mu is held.
func (w *watch) end() {
	select {
	case <-w.done:
	default:
		close(w.done)
	}
}

// Done returns a channel that is closed when the stream is.
func (c *Conn) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watching().done
}

// OnClose has fn called once when the stream is closed, after all functions that
// were due before; at once if it is closed already.
func (c *Conn) OnClose(fn func(Reason)) {
	c.mu.Lock()
	w := c.watching()
	if c.State() == Closed {
		c.mu.Unlock()
		c.call(func() { fn(c.Reason()) })
		return
	}
	w.onClose = append(w.onClose, fn)
	c.mu.Unlock()
}

// OnDrain has fn called whenever the send buffer, after a write was refused with
// [ErrFull], is no more than half full.
func (c *Conn) OnDrain(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watching().onDrain = append(c.watching().onDrain, fn)
}

// WaitRoom returns when the send buffer is no more than half full. It fails with
// [ErrClosed] or the error of ctx.
func (c *Conn) WaitRoom(ctx context.Context) error {
	c.mu.Lock()
	w := c.watching()
	if w.room == nil {
		w.room = make(chan struct{})
	}
	room := w.room
	c.mu.Unlock()
	c.io.WantRoom()
	select {
	case <-room:
		return nil
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call has fn run after the functions that are due already.
func (c *Conn) call(fns ...func()) {
	c.mu.Lock()
	w := c.watching()
	w.calls = append(w.calls, fns...)
	start := !w.calling && len(w.calls) > 0
	w.calling = w.calling || start
	c.mu.Unlock()
	if start {
		go c.runCalls(w)
	}
}

// runCalls runs due functions until there is none.
func (c *Conn) runCalls(w *watch) {
	for {
		c.mu.Lock()
		if len(w.calls) == 0 {
			w.calling, w.calls = false, nil
			c.mu.Unlock()
			return
		}
		fn := w.calls[0]
		w.calls = w.calls[1:]
		c.mu.Unlock()
		c.protect(fn)
	}
}

// protect runs a function of the program. If it panics the stream is closed and
// the program lives on, as with panics of net/http handlers.
func (c *Conn) protect(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			c.opener.opts.Log.Error("stream: function panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			c.leave()
			c.io.Close(loop.Panicked)
		}
	}()
	fn()
}

// Closed implements [loop.Owner].
func (c *Conn) Closed(r Reason) {
	c.state.Store(uint32(Closed) | uint32(r)<<8)
	c.sayLeft()
	c.mu.Lock() // from here on whoever holds it sees what was just stored
	w := c.watch
	if w == nil {
		c.mu.Unlock()
		return
	}
	w.end() // somebody may have begun to watch just now
	for t := range w.timers {
		t.timer.Stop()
	}
	w.timers = nil
	due := make([]func(), 0, len(w.onClose))
	for _, fn := range w.onClose {
		due = append(due, func() { fn(r) })
	}
	w.onClose = nil
	c.mu.Unlock()
	c.call(due...)
}

// Drained implements [loop.Owner].
func (c *Conn) Drained() {
	c.mu.Lock()
	w := c.watch
	if w == nil {
		c.mu.Unlock()
		return
	}
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	due := slices.Clone(w.onDrain)
	c.mu.Unlock()
	c.call(due...)
}

// Farewell implements [loop.Owner].
func (c *Conn) Farewell(r Reason) []byte {
	c.leave()
	farewell := c.opener.format.Farewell
	if farewell == nil || r != Shutdown {
		return nil
	}
	window := time.Duration(c.opener.opts.Engine.window.Load())
	return c.frame(farewell(spread(window)))
}
