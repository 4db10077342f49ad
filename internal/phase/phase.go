// Package phase is for what is possible until somebody ends it, such as publishing to a
// server that is about to stop.
package phase

import "context"

// A Phase is a time that End ends, and with it its context.
type Phase struct {
	context.Context
	End context.CancelFunc // may be called several times
}

// New begins a phase.
func New() Phase {
	ctx, end := context.WithCancel(context.Background())
	return Phase{ctx, end}
}

// Over reports whether End was called.
func (p Phase) Over() bool { return p.Err() != nil }
