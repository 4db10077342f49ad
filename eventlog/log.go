// Package eventlog gives every message a position.
//
// A [Log] keeps messages in one total order. Each has a sequence number that is
// never issued twice, so a reader needs only one number to say what it has seen,
// however many topics it follows. [NewMemory] keeps the log in memory; other
// stores implement [Log] and pass the same suite, package logtest.
//
// A message belongs to one or more topics. Each topic keeps its newest entries
// within its [Retention]; an entry is kept as long as one of its topics keeps it,
// and is found through those topics only. A [Selector] names the topics that a
// reader wants.
//
// A message may be the state of its key: see [Message.State]. A topic keeps the newest
// of each key beyond its retention, so that a reader who comes back late gets what
// has changed, and nobody counts the values in between as lost.
//
// A log reports loss instead of hiding it: for every selection of topics it
// knows the highest position that has been trimmed, and [Log.Read] says so when
// a reader stands before it.
//
// All methods of a Log may be called at once.
package eventlog

import (
	"context"
	"errors"
	"iter"
	"time"
)

// Errors that callers may test for. They are wrapped with the offending value.
var (
	ErrClosed = errors.New("eventlog: closed")
	ErrTopic  = errors.New("eventlog: bad topic")
	ErrID     = errors.New("eventlog: bad id")
	ErrFull   = errors.New("eventlog: full")   // nothing was stored; it may work later
	ErrFailed = errors.New("eventlog: failed") // what stores the log is broken; nothing can be stored any more

	// ErrTooLarge means that what is to be stored together is more than the log can ever
	// store in one go. Nothing was stored.
	ErrTooLarge = errors.New("eventlog: too large")

	// ErrUnavailable means that what stores the log does not answer for now. Nothing is
	// known to be stored: try again, with the same idempotency key.
	ErrUnavailable = errors.New("eventlog: unavailable")
)

const (
	MaxEntryTopics = 256 // topics that one entry may have
	MaxFound       = 64  // positions that Log.Find need return
)

// A Log keeps entries in one total order.
type Log interface {
	// Epoch names this numbering: positions of another epoch mean nothing here.
	// It is 8 characters, a-z and 2-7.
	Epoch() string

	// Append stores the entries as consecutive positions, sets Seq and Time on
	// each, and returns when the log's durability policy is met. Either all are
	// stored or none. It takes ownership of the entries. Entry.Time is set to the
	// log's clock, but never before the time of the entry that precedes it.
	//
	// A topic that an entry names twice counts once. No topic, a name that is not
	// one, or more than MaxEntryTopics is an error that wraps ErrTopic; a chosen ID
	// that ParseID accepts is one that wraps ErrID.
	//
	// An entry with an idempotency key that was used before, within Options.KeyWindow
	// and also in the same call, is not stored again: Append marks it as a Duplicate
	// and sets Seq and Time to those of the first.
	Append(ctx context.Context, es ...*Entry) error

	// Commit is Append, and sets values as well: either all of it is stored or
	// nothing. No entries, or no puts, are fine. Values are small things that belong
	// to the messages and must not disagree with them, like the last number of a
	// producer; they are never trimmed. ErrFull means that they would take more than
	// Options.ValueBytes.
	Commit(ctx context.Context, puts []Put, es ...*Entry) error

	// Value returns the value of a key, or nil. Do not change it.
	Value(key string) []byte

	// Values yields the keys that have a prefix, sorted, and their values, as they
	// were when it was called.
	Values(prefix string) iter.Seq2[string, []byte]

	// Head is the position of the newest entry ever appended; 0 if none.
	Head() uint64

	// Read returns entries that sel selects, in order, with after < Seq <= upTo,
	// each once. It stops at the limits of lim and tells in Page.Next how far it
	// looked; it may stop earlier, even without an entry, when it has looked at
	// many that sel does not select. It does not return expired entries.
	Read(ctx context.Context, sel *Selector, after, upTo uint64, lim Limit) (Page, error)

	// Bounds describes what is kept of sel.
	Bounds(sel *Selector) Bounds

	// Find returns the positions, rising, of kept entries of sel whose publisher
	// gave them this ID. It returns nil if there is none, and may leave out all but
	// the newest MaxFound if there are more.
	Find(sel *Selector, id string) []uint64

	// Since returns the position after which every kept entry of sel not older than
	// t lies, and no older one. If t is before the oldest kept entry it is the
	// position before that; if all are older, or none is kept, it is Head.
	Since(sel *Selector, t time.Time) uint64

	// Last returns the position after which exactly the newest n kept entries of
	// sel lie, or all of them if fewer are kept. If n is 0 or less, or none is kept,
	// it is Head.
	Last(sel *Selector, n int) uint64

	// Forget drops all entries kept of one topic and reports how many. Those that
	// have further topics are still found through them. Readers that stand before
	// them are told by Read as with any other trimming. An error means that nothing
	// was forgotten.
	Forget(topic string) (int, error)

	// Follow registers fn to be called once for every entry appended from now on,
	// in order, before its Append returns. fn is called with the log locked: it
	// must not block nor call the log. A log has one follower; a second call
	// replaces the first, nil removes it.
	Follow(fn func(e *Entry))

	// Close ends the log. Later calls of Append and Read fail with ErrClosed; the
	// other methods find nothing.
	Close() error
}

// A Limit bounds one Read: at most Entries entries and Bytes bytes of data, but at
// least one entry. Fields that are not positive mean 256 entries and 256 KiB.
type Limit struct {
	Entries int
	Bytes   int
}

// A Page is the result of one Read.
type Page struct {
	Entries []*Entry // shared: do not change them
	// Next is the position up to which the log was looked at: every selected entry
	// in (after, Next] that is kept is in Entries. It is upTo when the range is done,
	// or Head if that is less; never less than after.
	Next uint64
	// Lost is the highest position in (after, Next] of a selected entry that has
	// been trimmed, or 0. Every selected entry that is missing from this page has
	// a position in (after, Lost].
	//
	// It may be too high, never too low: a log need not remember every position
	// that was trimmed. When selected entries beyond Next have been trimmed, too,
	// Lost may be Next although none is missing up to there. A log that no longer
	// knows which topics lost messages may report loss where there was none at all.
	Lost uint64
}

// Bounds describes what a log keeps of a selection. Lost is never too low, and too
// high only as in a Page.
type Bounds struct {
	Oldest, Newest uint64 // positions of the oldest and newest kept entry; 0 if none
	Lost           uint64 // highest position of a trimmed entry; 0 if none
	Entries        int    // how many are kept
	Bytes          int64  // size of their data
}
