package access

import (
	"context"
	"errors"
	"time"
)

// A Store keeps what several servers must agree on, as values by key, so that what one
// of them stores all of them have.
//
// An error of Change that is neither [ErrChanged] nor [ErrNoRoom], and every error of
// Sync, means that the store does not answer: what was to be stored may be stored or not,
// all of it or nothing.
type Store interface {
	// Value returns a value, or nil. It is not changed.
	Value(key string) []byte

	// Follow has fn told of the values whose keys begin with prefix: of those that there
	// are before it returns, and of all changes from then on until the store is closed,
	// with nil for what was deleted. What it is told last of a key holds. fn must not
	// block nor call the store.
	Follow(prefix string, fn func(key string, value []byte))

	// Change stores values if others are as expected at that moment. A nil one must not
	// be there, or is deleted. Who follows has been told when it returns.
	Change(ctx context.Context, expect, puts map[string][]byte) error

	// Sync returns when all that others had stored before the call is known here.
	Sync(ctx context.Context) error
}

// Errors of a Store. Nothing was stored.
var (
	ErrChanged = errors.New("access: a value has changed")
	ErrNoRoom  = errors.New("access: no room for values")
)

// mostInChange bounds the values that are deleted at once.
const mostInChange = 1000

// noAnswer refuses what the store would have to know. The cause may name machines,
// which is not for clients.
func noAnswer(cause error) *Error {
	e := refuse(LogUnavailable, "the log that has the tickets and revocations does not answer")
	e.cause = cause
	return e
}

// storable returns a time as a value can hold it: JSON knows none after the year 9999.
func storable(t time.Time) time.Time {
	if t.Unix() > latest {
		t = time.Unix(latest, 0)
	}
	return t.UTC()
}
