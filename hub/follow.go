package hub

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/topic"
)

// A Received is a message as [Hub.Follow] gives it.
type Received struct {
	Message           // shared with other readers: do not change it
	ID      string    // the event ID to resume from
	Time    time.Time // when it was published
	Gap     *Gap      // if not nil, this is no message: messages are missing here
}

// Follow reads topics inside the program, from sub.From on, waiting for new
// messages until ctx ends or the loop is left. An error is the last thing it
// yields; the end of ctx is none. sub.Form and sub.Slow do not matter: a reader
// here pulls at its own pace.
func (h *Hub) Follow(ctx context.Context, sub Subscription) iter.Seq2[Received, error] {
	return func(yield func(Received, error) bool) {
		p, err := h.resolve(sub)
		if err == nil {
			err = h.followFrom(ctx, p, yield)
		}
		if err != nil && err != errStopped && ctx.Err() == nil {
			yield(Received{}, err)
		}
	}
}

// errStopped ends a Follow whose loop was left.
var errStopped = errors.New("hub: loop left")

// followFrom yields until something ends it.
func (h *Hub) followFrom(ctx context.Context, p place, yield func(Received, error) bool) error {
	w := h.watchers.add(p.selector)
	defer h.watchers.remove(w)
	if p.gap != nil && !yield(Received{Gap: p.gap}, nil) {
		return errStopped
	}
	for {
		head := h.log.Head()
		for p.after < head {
			page, err := h.log.Read(ctx, p.selector, p.after, head, eventlog.Limit{})
			if err != nil {
				return publishError(err)
			}
			if !h.yieldPage(&p, page, yield) {
				return errStopped
			}
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// yieldPage hands on one page and moves the place behind it.
func (h *Hub) yieldPage(p *place, page eventlog.Page, yield func(Received, error) bool) bool {
	if page.Lost > p.told {
		gap := h.lostOnTheWay(p, page)
		if !yield(Received{Gap: &gap}, nil) {
			return false
		}
	}
	p.after = page.Next
	for _, e := range page.Entries {
		if !yield(Received{Message: e.Message, ID: h.enc.ID(e), Time: e.Time}, nil) {
			return false
		}
	}
	return true
}

// lostOnTheWay describes a loss that a page reports.
func (h *Hub) lostOnTheWay(p *place, page eventlog.Page) Gap {
	bounds := h.log.Bounds(p.selector)
	p.told = fanout.Told(page, bounds)
	after := page.Next
	if len(page.Entries) > 0 {
		after = page.Entries[0].Seq - 1
	}
	return h.enc.NewGap(fanout.ReasonSlow, eventlog.FormatID(h.log.Epoch(), p.after), p.policy, bounds, after)
}

// watchers are readers inside the program that wait for messages.
type watchers struct {
	count atomic.Int64

	mu     sync.Mutex
	index  topic.Index[*watcher] // guarded by mu
	all    map[*watcher]struct{} // guarded by mu
	closed bool                  // guarded by mu
}

// A watcher waits for messages of a selector.
type watcher struct {
	selector *eventlog.Selector
	ready    chan struct{} // capacity 1
	done     chan struct{} // closed with the hub
}

func (ws *watchers) add(sel *eventlog.Selector) *watcher {
	w := &watcher{selector: sel, ready: make(chan struct{}, 1), done: make(chan struct{})}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		close(w.done)
		return w
	}
	for _, p := range sel.Patterns() {
		ws.index.Add(p, w)
	}
	if ws.all == nil {
		ws.all = make(map[*watcher]struct{})
	}
	ws.all[w] = struct{}{}
	ws.count.Add(1)
	return w
}

func (ws *watchers) remove(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if _, ok := ws.all[w]; !ok {
		return
	}
	delete(ws.all, w)
	for _, p := range w.selector.Patterns() {
		ws.index.Remove(p, w)
	}
	ws.count.Add(-1)
}

// notify wakes those that wait for e.
func (ws *watchers) notify(e *eventlog.Entry) {
	if ws.count.Load() == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for _, name := range e.Topics {
		ws.index.Each(name, (*watcher).signal)
	}
}

func (ws *watchers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	for w := range ws.all {
		close(w.done)
		delete(ws.all, w)
	}
	ws.count.Store(0)
}

func (w *watcher) signal() {
	select {
	case w.ready <- struct{}{}:
	default:
	}
}

func (w *watcher) wait(ctx context.Context) error {
	select {
	case <-w.ready:
		return nil
	case <-w.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}
