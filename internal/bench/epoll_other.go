//go:build !linux

package bench

import "time"

// A socket is what the wire knows of a connection.
type socket struct{ link *link }

// newEpoll falls back to one goroutine per connection.
func newEpoll(h handler, c clock, _ time.Duration) (wire, error) { return newGoroutines(h, c), nil }
