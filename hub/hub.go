package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/topic"
	"github.com/weirstream/weir/stream"
)

// Names that belong to packages below and are part of this package's interface.
type (
	// A Message is what a publisher hands over.
	Message = eventlog.Message
	// A Form is what messages look like on the wire.
	Form = fanout.Form
	// A Policy says what a reader gets when its position cannot be honoured.
	Policy = fanout.Policy
	// A SlowPolicy says what happens to a reader that does not keep up.
	SlowPolicy = fanout.Slow
	// A Gap tells a reader that messages are missing.
	Gap = fanout.Gap
	// History says how much is kept.
	History = eventlog.Options
	// A Retention says how much of a topic is kept.
	Retention = eventlog.Retention
	// A Rule applies a Retention to the topics that match a pattern.
	Rule = eventlog.Rule
)

// Wire forms.
const (
	Events   = fanout.Events   // Server-Sent Events
	Envelope = fanout.Envelope // Server-Sent Events whose data is a JSON object with all fields
	Lines    = fanout.Lines    // JSON lines
	Text     = fanout.Text     // the data of each message and a line feed
)

// Policies for a position that cannot be honoured. A gap notice precedes each.
const (
	Diff  = fanout.Diff  // send what is missing and still kept
	All   = fanout.All   // send everything kept
	Reset = fanout.Reset // send nothing old: the reader should load its state anew
)

// Policies for readers that do not keep up.
const (
	CatchUp = fanout.CatchUp // everything, late; a gap notice if some of it is no longer kept
	Latest  = fanout.Latest  // only the newest message of each topic and key
	Cut     = fanout.Cut     // the stream is closed once messages for it are no longer kept
)

// ParsePolicy reads a policy as the query parameter policy gives it: "diff",
// "all" or "reset".
func ParsePolicy(s string) (Policy, error) { return parseWord("policy", s, Diff, All, Reset) }

// ParseSlow reads a policy for slow readers as the query parameter slow gives it:
// "catch-up", "latest" or "close".
func ParseSlow(s string) (SlowPolicy, error) { return parseWord("slow", s, CatchUp, Latest, Cut) }

func parseWord[T fmt.Stringer](name, s string, values ...T) (none T, err error) {
	var words []string
	for _, v := range values {
		if v.String() == s {
			return v, nil
		}
		words = append(words, v.String())
	}
	return none, fmt.Errorf("%s is %q: want %s", name, s, strings.Join(words, ", "))
}

// GapEvent is the event type of a gap notice on Server-Sent Events.
const GapEvent = fanout.GapEvent

// Errors that callers may test for; they are wrapped with value and limit.
var (
	ErrClosed   = errors.New("hub: closed")
	ErrTopic    = eventlog.ErrTopic
	ErrPattern  = errors.New("hub: bad pattern")
	ErrID       = errors.New("hub: bad event ID")
	ErrType     = errors.New("hub: bad event type")
	ErrTooLarge = errors.New("hub: too large")
	ErrFull     = eventlog.ErrFull
	ErrFailed   = eventlog.ErrFailed

	ErrUnavailable = eventlog.ErrUnavailable
	ErrChanged     = eventlog.ErrChanged
	ErrTaken       = errors.New("hub: the stream follows topics already")
)

// Options configure a Hub. The zero value is ready.
type Options struct {
	Log       eventlog.Log   // where messages are kept; the Hub closes it. nil: in memory
	History   History        // how much is kept in memory, if Log is nil
	Stream    stream.Options // for the streams of Handler and Serve
	Policy    Policy         // for readers that ask for none; 0: Diff
	Policies  []PolicyRule   // the first that matches the reader's first topic comes before Policy
	Slow      SlowPolicy     // for readers that ask for none; 0: CatchUp
	MaxBytes  int            // of one message's data; 0: 1 MiB
	MaxTopics int            // patterns of one reader, topics of one message; 0: 100

	// Sync returns when Log knows all that others had stored in it before the call. nil:
	// there are no others. It is called for readers whose ID is not known yet, and by
	// Hub.Sync.
	Sync func(ctx context.Context) error
}

func (o *Options) fill() error {
	o.Policy = cmp.Or(o.Policy, Diff)
	o.Slow = cmp.Or(o.Slow, CatchUp)
	if o.MaxBytes == 0 {
		o.MaxBytes = 1 << 20
	}
	if o.MaxTopics == 0 {
		o.MaxTopics = 100
	}
	if o.MaxBytes < 0 || o.MaxTopics < 0 {
		return fmt.Errorf("hub: MaxBytes is %d and MaxTopics %d, at least 1", o.MaxBytes, o.MaxTopics)
	}
	if o.Log != nil {
		return nil
	}
	log, err := eventlog.NewMemory(o.History)
	o.Log = log
	return err
}

// A PolicyRule gives readers of the topics that match a pattern a policy.
type PolicyRule struct {
	Pattern string
	Policy  Policy
}

// policy is that of readers who ask for none. A pattern that they follow counts as a
// topic if the rule's matches all that it does.
func (o *Options) policy(pattern string) Policy {
	for _, r := range o.Policies {
		if topic.Covers(r.Pattern, pattern) {
			return r.Policy
		}
	}
	return o.Policy
}

// A Hub has topics, to which programs publish and which streams follow.
type Hub struct {
	opts    Options
	log     eventlog.Log
	enc     *fanout.Encoder
	feed    fanout.Feed
	openers [4]*stream.Opener // by Form

	published  atomic.Int64
	duplicates atomic.Int64
	watchers   watchers

	mu     sync.Mutex
	closed bool                            // guarded by mu
	byLoop map[*loop.Loop]*fanout.Table    // guarded by mu
	tables atomic.Pointer[[]*fanout.Table] // the values of byLoop
}

// New returns a Hub. Close it when it is no longer needed.
func New(o Options) (*Hub, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	h := &Hub{opts: o, log: o.Log, byLoop: make(map[*loop.Loop]*fanout.Table)}
	h.enc = fanout.NewEncoder(o.Log.Epoch())
	h.tables.Store(new([]*fanout.Table))
	for form := range h.openers {
		op, err := stream.NewOpener(o.Stream, format(Form(form)))
		if err != nil {
			return nil, err
		}
		h.openers[form] = op
	}
	h.log.Follow(h.deliver)
	return h, nil
}

// Hot path: deliver hands a new entry to the loops. The log calls it in order,
// one entry at a time. It makes no system call and waits for nobody.
func (h *Hub) deliver(e *eventlog.Entry) {
	h.feed.Push(e)
	for _, t := range *h.tables.Load() {
		t.Wake()
	}
	h.watchers.notify(e)
}

// table returns the hub's table on a loop, or nil if the hub is closed. It is
// called on that loop.
func (h *Hub) table(l *loop.Loop) *fanout.Table {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed { // also if there is a table: Close has ended its streams
		return nil
	}
	if t := h.byLoop[l]; t != nil {
		return t
	}
	t := fanout.NewTable(l, &h.feed, h.log, h.enc)
	l.AddTable(t)
	h.byLoop[l] = t
	tables := append(append([]*fanout.Table(nil), *h.tables.Load()...), t)
	h.tables.Store(&tables)
	return t
}

func (h *Hub) isClosed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}

// Close ends the streams that follow topics of the hub, and closes its log.
// Publishing fails from then on.
func (h *Hub) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.log.Follow(nil)
	err := h.log.Close()
	for l, t := range h.byLoop { // closed, so it no longer changes
		l.Do(func() {
			t.End()
			l.RemoveTable(t)
		})
	}
	h.watchers.close()
	return err
}

// Log returns the log behind the hub. Append to it only through the hub.
func (h *Hub) Log() eventlog.Log { return h.log }

// Shared reports whether others store in the hub's log, too: see Options.Sync.
func (h *Hub) Shared() bool { return h.opts.Sync != nil }

// Sync returns when the hub knows all that others had stored in its log before the call,
// at once if there are no others. [ErrUnavailable] means that this cannot be found out.
func (h *Hub) Sync(ctx context.Context) error {
	if h.opts.Sync == nil {
		return nil
	}
	return h.opts.Sync(ctx)
}

// Stats are counts of a hub.
type Stats struct {
	Published  int64 // messages since start
	Duplicates int64 // messages since start that were not stored again: see [Receipt]
	Delivered  int64 // messages written to streams since start
	Bytes      int64 // bytes written for them
	Readers    int64 // streams that follow topics now
	Behind     int64 // those of them that are catching up
}

// Stats returns the counts.
func (h *Hub) Stats() Stats {
	s := Stats{Published: h.published.Load(), Duplicates: h.duplicates.Load()}
	for _, t := range *h.tables.Load() {
		ts := t.Stats()
		s.Delivered += ts.Delivered
		s.Bytes += ts.Bytes
		s.Readers += ts.Readers
		s.Behind += ts.Behind
	}
	return s
}

// Gaps returns how many gaps readers have been told of since start, by
// [Gap.Reason]. Every reason is there.
func (h *Hub) Gaps() map[string]int64 { return h.enc.Gaps() }
