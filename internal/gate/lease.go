package gate

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/limit"
)

// A Lease is what a stream holds of the server: a slot for each limit that counts
// streams. The stream gives it back with Left when it ends.
type Lease struct {
	User, Token string         // whose it is, and the ID of the token; "": nobody's, none
	Client      netip.AddrPort // whom proxies speak for; not valid for a unix socket
	Expires     time.Time      // when the stream is to end; zero: never
	Topics      []string       // names and patterns that it reads
	Info        string         // what others may know of the user, a JSON value; "": nothing

	leave func() // nil, or to be called when the stream has ended

	gate      *Gate     // nil: nothing can be taken back
	issued    time.Time // as in access.Grant
	slots     *limit.Lease
	meter     *limit.Meter
	uncounted bool // there is nothing to give back
	taken     bool // by a stream; before the request is answered, by its goroutine alone
}

// Replayed returns what is to be told how many bytes of history were read for the
// stream, or nil.
func (l *Lease) Replayed() func(bytes int64) {
	if l.meter == nil {
		return nil
	}
	return l.meter.Add
}

// Over reports whether what allowed the stream was taken back.
func (l *Lease) Over() bool {
	return l.gate != nil && l.gate.revoked(access.Grant{User: l.User, ID: l.Token, Issued: l.issued}) != nil
}

// OnLeft has fn called when the stream has ended. It must not block. It is set once, by
// who opens the stream.
func (l *Lease) OnLeft(fn func()) { l.leave = fn }

// Left gives the slots back. It is called when the stream has ended, and does not block.
func (l *Lease) Left() {
	l.slots.Release()
	if l.leave != nil {
		l.leave()
	}
}

// Abandon gives the slots back unless a stream has taken the lease.
func (l *Lease) Abandon() {
	if !l.taken {
		l.slots.Release()
	}
}

type leaseKey struct{}

// Request returns r such that a stream which it opens can find its lease.
func (l *Lease) Request(r *http.Request) *http.Request {
	if l.uncounted {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), leaseKey{}, l))
}

// TakeLease returns the lease that a stream opened by r takes over, or nil.
func TakeLease(r *http.Request) *Lease {
	l, _ := r.Context().Value(leaseKey{}).(*Lease)
	if l != nil {
		l.taken = true
	}
	return l
}
