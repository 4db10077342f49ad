package server

import (
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/stream"
)

// warnBefore is how long before its end a reader is told that its stream will end,
// so that it can come back with another token.
var warnBefore = 30 * time.Second

// opened is told of every stream, on the goroutine of its handler.
func (s *Server) opened(c *stream.Conn, r *http.Request) {
	if l := gate.TakeLease(r); l != nil {
		s.arrive(c, l)
		c.SetGuest(l)
		if !l.Expires.IsZero() {
			s.endAt(c, l.Expires)
		}
		if l.Over() { // revoked while the stream was opened
			c.After(time.Millisecond, func() { revoke(c) })
		}
	}
	if s.visits.log != nil {
		s.visits.opened(c, r)
	}
}

// endAt ends a stream when what allowed it expires.
func (s *Server) endAt(c *stream.Conn, at time.Time) {
	left := max(time.Until(at), time.Millisecond)
	if left > warnBefore {
		c.After(left-warnBefore, func() { _ = c.Notify(stream.ExpiringNotice(at)) }) // there may be no room for it
	}
	c.After(left, func() { _ = c.EndWith(stream.Expired) }) // it may have ended
}
