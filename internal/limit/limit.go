// Package limit bounds what clients may use of a server.
//
// [Slots] counts what is open at a time, such as streams: [Slots.Take] gives a
// [Lease], which frees everything with one call. [Rates] bounds how fast something
// is used: before it is used with [Rates.Take], or afterwards with a [Meter] and
// [Rates.Check]. [Memory] says when the process is too large. A [Key] is whom
// something is counted for. A refusal is an [*Error].
//
// Numbers to hold clients to are arguments of each call, since they may differ by
// client and change while the server runs. How many clients are kept account of
// has a bound of its own, so that nobody fills the memory with accounts.
//
// All of it may be used at once, also by event loops: nothing blocks longer than a
// short lock that is shared by a few keys. No goroutine is started. Time is
// monotonic.
package limit

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// Codes of refusals, for programs. They do not change.
const (
	TooManyStreams  = "too_many_streams"  // 429: the client has as many open as it may
	TooManyRequests = "too_many_requests" // 429: the client is faster than it may be
	Overloaded      = "overloaded"        // 503: all clients together use what there is
)

const (
	// retrySlot is what clients are told to wait for a slot: nobody knows when one
	// becomes free.
	retrySlot = 5 * time.Second
	// retryFull is the same for when there is no room to keep account of a client.
	retryFull = time.Second
)

// An Error is a refusal. Its text is fit for the client: it names a value and a
// limit, and no other client.
type Error struct {
	What       string        // what there is too much of: "streams of this address"
	Value      int           // how much there is; for rates, how much more was asked for, or 0
	Limit      int           // how much there may be; for rates, in a second, rounded up
	Code       string        // one of the codes above
	RetryAfter time.Duration // more than 0
	Status     int           // 429 or 503

	rate float64 // the exact limit of a rate, or 0
}

func (e *Error) Error() string {
	switch {
	case e.rate == 0:
		return fmt.Sprintf("%d %s, limit %d", e.Value, e.What, e.Limit)
	case e.Value == 0:
		return fmt.Sprintf("too many %s, limit %v a second, wait %d s", e.What, e.rate, e.RetrySeconds())
	}
	return fmt.Sprintf("%d more %s, limit %v a second, wait %d s", e.Value, e.What, e.rate, e.RetrySeconds())
}

// RetrySeconds is RetryAfter for the header Retry-After: whole seconds, rounded up,
// at least 1.
func (e *Error) RetrySeconds() int {
	return int(max(1, (e.RetryAfter+time.Second-1)/time.Second))
}

func overloaded(what string, value, limit int, retry time.Duration) *Error {
	return &Error{What: what, Value: value, Limit: limit, Code: Overloaded, RetryAfter: retry, Status: http.StatusServiceUnavailable}
}

// refusals counts them.
type refusals struct {
	byKind [kinds]atomic.Uint64
	full   atomic.Uint64
}

// Refused returns how often something was refused because of the limit of a key of
// that kind, or with [Everyone], because of the limit of all together.
func (r *refusals) Refused(k Kind) uint64 { return r.byKind[k].Load() }

// Full returns how often something was refused because too many keys had accounts.
func (r *refusals) Full() uint64 { return r.full.Load() }
