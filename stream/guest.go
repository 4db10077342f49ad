package stream

import (
	"fmt"
	"runtime/debug"
)

// A Guest is what a stream has of its program's: for example the client's place
// among those that may be connected at once. See [Options.Admit].
type Guest interface {
	// Left is called once, as soon as the stream is closed: before its functions
	// OnClose, and before the client can see that its connection is closed. It runs
	// on the loop and must not block.
	Left()
}

// Guest returns what Options.Admit or SetGuest has given, or nil.
func (c *Conn) Guest() Guest { return c.guest }

// SetGuest gives the stream a guest. Only [Options.Opened] may call it, before others
// get to know of the stream. It panics if the stream has one already.
func (c *Conn) SetGuest(g Guest) {
	if c.guest != nil {
		panic("stream: SetGuest on a stream that has a guest")
	}
	c.guest = g
}

// sayLeft tells the guest that the stream is gone. If the guest panics the loop lives on.
func (c *Conn) sayLeft() {
	if c.guest == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			c.opener.opts.Log.Error("stream: guest panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	c.guest.Left()
}
