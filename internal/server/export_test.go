package server

import (
	"context"
	"time"
)

// BreakListener closes the first listener under a running server.
func (s *Server) BreakListener() { s.listeners[0].net.Close() }

// Streams returns how many streams are open.
func (s *Server) Streams() int { return s.engine.Len() }

// Adopted returns how many connections are served without net/http.
func (s *Server) Adopted() int { return s.native.Adopted() }

// WarnBefore sets how long before their end readers are told of it, until the
// returned function is called.
func WarnBefore(d time.Duration) (restore func()) {
	before := warnBefore
	warnBefore = d
	return func() { warnBefore = before }
}

// OpenFiles has servers go by another limit of open files, until the returned function
// is called.
func OpenFiles(n uint64) (restore func()) {
	before := openFiles
	openFiles = func() uint64 { return n }
	return func() { openFiles = before }
}

// Tickets returns how many tickets wait to be used.
func (s *Server) Tickets() int { return s.tickets.Len() }

// Sweep forgets what has expired.
func (s *Server) Sweep() { s.sweep(context.Background()) }

// RevokeUser refuses a user from now on. Streams that are open are not ended by this.
func (s *Server) RevokeUser(name string) error {
	return s.gate.Revoke(context.Background(), name, "", time.Minute)
}
