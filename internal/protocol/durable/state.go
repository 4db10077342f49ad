package durable

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/weirstream/weir/eventlog"
)

// Keys of the log's values. What changes often is apart from what does not.
const (
	stateKey    = "ds/"  // + stream: a state
	deadlineKey = "dsx/" // + stream: when it expires, if it does
	writerKey   = "dsq/" // + stream: the last Stream-Seq
	producerKey = "dsp/" // + stream: its producers; + stream, 0, producer: what it has sent
)

// A state is what is known of a stream, but for its messages and its writers. It is
// a value of the log, in JSON.
type state struct {
	ID    string `json:"id"`    // tells the stream from others that have had its name
	Type  string `json:"type"`  // Content-Type
	First uint64 `json:"first"` // it has no offset before this
	Parts []part `json:"parts"` // where its messages are, in order; the last one is its own topic

	TTL     *int64 `json:"ttl,omitempty"`     // seconds without a read or write after which it expires; nil: see Expires
	Expires int64  `json:"expires,omitempty"` // milliseconds since 1970; 0: never

	Closed   bool      `json:"closed,omitempty"`
	End      *uint64   `json:"end,omitempty"` // of a closed stream: its last position; nil: that of its last message
	ClosedBy *sequence `json:"closed_by,omitempty"`

	Fork    *fork `json:"fork,omitempty"`    // nil: it is none
	Forks   int   `json:"forks,omitempty"`   // of it, that are there
	Deleted bool  `json:"deleted,omitempty"` // and here only for its forks
}

// A part is the messages of a topic with positions in (After, UpTo].
type part struct {
	Topic string `json:"topic"`
	After uint64 `json:"after"`
	UpTo  uint64 `json:"upto,omitempty"` // 0: all there will be
}

// A sequence is what a producer numbers its requests with.
type sequence struct {
	Producer string `json:"producer"`
	Epoch    int64  `json:"epoch"`
	Seq      int64  `json:"seq"`
}

// newID returns 16 random characters.
func newID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// put returns what stores s.
func (s *state) put(name string) eventlog.Put {
	b, err := json.Marshal(s)
	if err != nil {
		panic("durable: " + err.Error())
	}
	return eventlog.Put{Key: stateKey + name, Value: b}
}

// load returns the state of a stream, or errNotFound. It does not look whether the
// stream has been deleted or is over.
func (v *view) load(name string) (*state, error) {
	b := v.value(stateKey + name)
	if b == nil {
		return nil, errNotFound
	}
	s := new(state)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("durable: state of stream %q: %v", name, err)
	}
	return s, nil
}

// live returns the state of a stream that is there for clients: errNotFound or
// errDeleted otherwise.
func (h *Handler) live(v *view, name string) (*state, error) {
	s, err := v.load(name)
	if err = there(s, err); err == nil && h.over(name, s) {
		err = errNotFound
	}
	return s, err
}

// there returns err, which came with s, or errDeleted if s is hidden.
func there(s *state, err error) error {
	if err == nil && s.Deleted {
		err = errDeleted
	}
	return err
}

// find is live, as far as this node knows. A stream whose time is over is deleted on the
// way.
func (h *Handler) find(name string) (*state, error) {
	s, err := h.view().load(name)
	if err != nil || s.Deleted || !h.over(name, s) {
		return s, there(s, err)
	}
	if err := h.expire(name); err != nil {
		return nil, err
	}
	return h.live(h.view(), name)
}

// own is the topic of a stream.
func (s *state) own() part { return s.Parts[len(s.Parts)-1] }

// tail is the position at which a stream ends: that of its last message, or a later
// one if nobody knows how much of it is lost.
func (h *Handler) tail(s *state) uint64 {
	b := h.hub.Log().Bounds(selector(s.own().Topic))
	tail := max(s.own().After, b.Newest, b.Lost)
	if s.End != nil {
		tail = min(tail, *s.End)
	}
	return tail
}

// selector selects one topic, whose name has been checked.
func selector(topic string) *eventlog.Selector {
	sel, err := eventlog.Select(topic)
	if err != nil {
		panic("durable: " + err.Error())
	}
	return sel
}
