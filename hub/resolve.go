package hub

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
)

// A Subscription says what a reader gets. The zero value of everything but Topics
// is a sensible choice.
type Subscription struct {
	Topics []string   // topics and patterns, at least one
	From   Start      // where to start
	Form   Form       // the form on the wire
	Policy Policy     // if the start cannot be honoured; 0: as the hub's options say
	Slow   SlowPolicy // if the reader does not keep up; 0: as the hub's options say

	// Replayed is told how many bytes a stream's reader reads from the log, at the start
	// or when it is late, page by page: of each message the data and 64 more. Live
	// messages do not count. It is called on any goroutine and must not block; nil
	// for none. Follow and Poll do not call it.
	Replayed func(bytes int64)
}

// A place is a subscription with its start looked up.
type place struct {
	selector *eventlog.Selector
	after    uint64 // the reader stands here
	told     uint64 // losses up to here are known to it
	gap      *Gap   // to be told first
	policy   Policy
	slow     SlowPolicy
	form     Form
	replayed func(bytes int64)
}

// resolve checks sub and finds its place in the log.
func (h *Hub) resolve(sub Subscription) (place, error) {
	if h.isClosed() {
		return place{}, ErrClosed
	}
	sel, err := h.selector(sub.Topics)
	if err != nil {
		return place{}, err
	}
	p := place{selector: sel, form: sub.Form, policy: cmp.Or(sub.Policy, h.opts.policy(sub.Topics[0])), slow: cmp.Or(sub.Slow, h.opts.Slow), replayed: sub.Replayed}
	return p, h.locate(&p, sub.From)
}

// selector checks topics and patterns.
func (h *Hub) selector(topics []string) (*eventlog.Selector, error) {
	if n := len(topics); n == 0 || n > h.opts.MaxTopics {
		return nil, fmt.Errorf("%w: %d topics, from 1 to %d are possible", ErrPattern, n, h.opts.MaxTopics)
	}
	sel, err := eventlog.Select(topics...)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrPattern, err)
	}
	return sel, nil
}

// Bounds describes what is kept of topics and patterns, of which there may be as many
// as in a subscription.
func (h *Hub) Bounds(topics ...string) (eventlog.Bounds, error) {
	sel, err := h.selector(topics)
	if err != nil {
		return eventlog.Bounds{}, err
	}
	return h.log.Bounds(sel), nil
}

// locate finds the start. What was lost before it is not news to the reader,
// except after an ID, which claims to have seen everything up to there. What is
// lost once the start is known is news in any case.
func (h *Hub) locate(p *place, from Start) error {
	if from.kind == startID {
		return h.locateID(p, from.id)
	}
	p.told = h.log.Bounds(p.selector).Lost
	switch from.kind {
	case startNow:
		p.after = h.log.Head()
	case startOldest:
		p.after = 0
	case startTime:
		p.after = h.log.Since(p.selector, from.time)
	case startAge:
		p.after = h.log.Since(p.selector, time.Now().Add(-from.age))
	case startLast:
		p.after = h.log.Last(p.selector, from.n)
	}
	return nil
}

// locateID finds the position after an event ID, or notes a gap.
func (h *Hub) locateID(p *place, id string) error {
	after, reason := h.find(p.selector, id)
	if h.opts.Sync != nil && (reason == fanout.ReasonFuture || reason == fanout.ReasonUnknown) && h.sync() {
		after, reason = h.find(p.selector, id)
	}
	bounds := h.log.Bounds(p.selector)
	p.after, p.told = after, after
	if reason == "" && bounds.Lost > after {
		reason = fanout.ReasonExpired
	}
	if reason == "" {
		return nil
	}
	p.told = bounds.Lost
	switch {
	case p.policy == Reset:
		p.after = h.log.Head()
	case p.policy == All:
		p.after = 0
	}
	next, err := h.nextAfter(p.selector, p.after)
	if err != nil {
		return err
	}
	gap := h.enc.NewGap(reason, id, p.policy, bounds, next)
	p.gap = &gap
	return nil
}

// syncTime bounds how long a reader waits for a log that others store in.
const syncTime = 5 * time.Second

// sync catches up with what others have stored: another node may have given the reader
// its ID a moment ago.
func (h *Hub) sync() bool {
	ctx, cancel := context.WithTimeout(context.Background(), syncTime)
	defer cancel()
	return h.opts.Sync(ctx) == nil
}

// find returns the position that id stands for. If it stands for none, the reason
// is given, and the position is the one from which the missing messages, as far
// as they are kept, certainly follow.
func (h *Hub) find(sel *eventlog.Selector, id string) (after uint64, reason string) {
	if epoch, seq, ok := eventlog.ParseID(id); ok {
		switch {
		case epoch != h.log.Epoch():
			return 0, fanout.ReasonForeign
		case seq > h.log.Head():
			return 0, fanout.ReasonFuture
		}
		return seq, ""
	}
	switch found := h.log.Find(sel, id); len(found) {
	case 0:
		return 0, fanout.ReasonUnknown
	case 1:
		return found[0], ""
	default:
		return found[0], fanout.ReasonAmbiguous
	}
}

// nextAfter returns the position just before the first message that a reader at
// after will get: the point from which its stream goes on.
func (h *Hub) nextAfter(sel *eventlog.Selector, after uint64) (uint64, error) {
	head := h.log.Head()
	for after < head {
		page, err := h.log.Read(context.Background(), sel, after, head, eventlog.Limit{Entries: 1, Bytes: math.MaxInt})
		if err != nil {
			return 0, publishError(err)
		}
		if len(page.Entries) > 0 {
			return page.Entries[0].Seq - 1, nil
		}
		after = page.Next
	}
	return head, nil
}
