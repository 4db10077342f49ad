package eventlog

import (
	"sync/atomic"
	"time"
)

// A Message is what a publisher hands over.
type Message struct {
	Topics []string      // at least one; the first is the canonical one
	Type   string        // event type; "" for none
	ID     string        // publisher-chosen event ID; "" to use the position
	Key    string        // what the message is about, for latest-per-key readers; "" means the topic
	Retry  time.Duration // reconnection time to tell readers; 0 for none
	Data   []byte        // the payload; owned by the log from Append on

	// State means that the message is the value of its key in its topics: they keep it
	// until the next one of the same key, whatever their retention, and a reader does
	// not miss the ones before it.
	State bool

	IdempotencyKey string // a message with a key that was used before is not stored again; "" for none
}

// NumForms is how many derived encodings an Entry can carry.
const NumForms = 4

// An Entry is a message that has, or is about to get, a place in a log. It is
// shared by all readers and must not be changed after Append.
type Entry struct {
	Message
	Seq  uint64    // position, from 1; set by Append
	Time time.Time // set by Append

	Duplicate bool // set by Append: Seq and Time are those of an earlier entry with the same idempotency key

	forms  [NumForms]atomic.Pointer[[]byte]
	record record // of its Memory, and guarded by that one's lock
}

// Form returns the entry's derived encoding number i, which encode makes when it
// is asked for first. Several goroutines may ask at once; they get equal bytes.
// The result is shared: do not change it.
func (e *Entry) Form(i int, encode func(*Entry) []byte) []byte {
	if p := e.forms[i].Load(); p != nil {
		return *p
	}
	b := encode(e)
	e.forms[i].CompareAndSwap(nil, &b)
	return *e.forms[i].Load()
}
