package durable

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/weirstream/weir/hub"
)

// A waiter follows one stream.
type waiter struct {
	h     *Handler
	rq    request
	s     *state // as it was when it was read last
	watch *hub.Watch
}

// newWaiter begins to follow. Its end must be called.
func (h *Handler) newWaiter(rq request, s *state) (*waiter, error) {
	watch, err := h.hub.Watch(rq.name)
	if err != nil {
		return nil, err
	}
	h.use(rq.name, s, 1)
	return &waiter{h, rq, s, watch}, nil
}

func (wt *waiter) end() {
	wt.watch.Stop()
	wt.h.use(wt.rq.name, wt.s, -1)
}

// again reads the state anew, which comes before reading messages: a stream that is
// closed then has all of them.
func (wt *waiter) again() error {
	s, err := wt.h.live(wt.h.view(), wt.rq.name)
	if err == nil && s.ID != wt.s.ID {
		err = errNotFound
	}
	if err == nil {
		wt.s = s
	}
	return err
}

// An outcome is how a wait ends.
type outcome int

const (
	changed outcome = iota // there may be something new
	late                   // time is up
	over                   // nothing more is to be waited for
)

// wait waits until the stream may have changed, or timer fires.
func (wt *waiter) wait(ctx context.Context, timer *time.Timer) outcome {
	select {
	case <-wt.watch.Ready():
		return changed
	case <-timer.C:
		return late
	case <-wt.watch.Closed():
	case <-wt.h.reading.Done():
	case <-ctx.Done():
	}
	return over
}

// poll answers a long poll: with data as soon as there is some, or with 204.
func (h *Handler) poll(rq request, s *state) error {
	wt, err := h.newWaiter(rq, s)
	if err != nil {
		return err
	}
	defer wt.end()
	timer := time.NewTimer(time.Until(rq.until(h.opts.Wait)))
	defer timer.Stop()
	for ended := false; ; ended = wt.wait(rq.r.Context(), timer) != changed {
		if err := wt.again(); err != nil {
			return err
		}
		p, err := h.read(rq.r.Context(), wt.s, rq.at, readLimit)
		if err != nil {
			return err
		}
		if err := rq.v.Still(); err != nil { // it may have waited for long
			return err
		}
		if len(p.entries) > 0 || p.closed || ended {
			h.answerPoll(rq, wt.s, p)
			return nil
		}
	}
}

func (h *Handler) answerPoll(rq request, s *state, p page) {
	head := rq.w.Header()
	if !p.closed {
		head.Set("Stream-Cursor", strconv.FormatUint(nextCursor(rq.cursor, time.Now()), 10))
	}
	if len(p.entries) > 0 {
		h.answer(rq, s, p, caching(rq, s))
		return
	}
	h.answerHeader(rq.w, s, p.next)
	setPage(head, p)
	rq.w.WriteHeader(http.StatusNoContent)
}

// Cursors count intervals since a day that all servers know. A client sends back the
// one it has got, so that its requests differ from one interval to the next and no
// cache answers for ever.
var cursorsBegan = time.Date(2024, time.October, 9, 0, 0, 0, 0, time.UTC)

const (
	cursorInterval = 20 * time.Second
	cursorJitter   = 3600 // seconds
)

// nextCursor returns the cursor of now, or a later one if the client's is not behind.
func nextCursor(client string, now time.Time) uint64 {
	current := uint64(now.Sub(cursorsBegan) / cursorInterval)
	sent, err := strconv.ParseUint(client, 10, 53)
	if err != nil || sent < current {
		return current
	}
	return sent + max(1, uint64(1+rand.IntN(cursorJitter))/uint64(cursorInterval/time.Second))
}
