package access

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ask returns what the application grants, or an [*Error], at the latest when ctx
// ends. A call goes on then, as others may wait for it.
func (f *Forward) ask(ctx context.Context, q question) (Grant, error) {
	f.requests.Add(1)
	c, joined := f.find(q)
	a := c.wait(ctx)
	if joined && a.once {
		joined = false
		a = f.alone(q).wait(ctx)
	}
	if joined {
		f.hits.Add(1)
	}
	if a.err != nil {
		return Grant{}, a.err
	}
	return a.grant, nil
}

// find returns the call that answers the question, which may be over. It reports
// whether that was made for another request.
func (f *Forward) find(q question) (c *call, joined bool) {
	f.mu.Lock()
	if a, has := f.kept.get(q.key, time.Now()); has && !f.closed {
		c, joined = answered(a), true
	} else if c = f.shared[q.key]; c != nil {
		joined = true
	} else {
		c = f.begin(q, f.opts.Cache > 0)
	}
	f.mu.Unlock()
	return f.orFull(c), joined
}

// alone returns a call that no other request shares.
func (f *Forward) alone(q question) *call {
	f.mu.Lock()
	c := f.begin(q, false)
	f.mu.Unlock()
	return f.orFull(c)
}

// begin starts a call, or returns nil if there is no room. The caller holds f.mu.
func (f *Forward) begin(q question, share bool) *call {
	if f.closed || f.pending >= f.maxPending() {
		return nil
	}
	c := &call{done: make(chan struct{})}
	f.pending++
	if share {
		f.shared[q.key] = c
	}
	f.calls.Go(func() { f.run(c, q) })
	return c
}

func (f *Forward) maxPending() int { return (1 + waitingShare) * f.opts.MaxInFlight }

// orFull stands in for a call that was not begun. It is not called with f.mu held, as
// it reports.
func (f *Forward) orFull(c *call) *call {
	if c != nil {
		return c
	}
	return answered(f.failed(fmt.Errorf("%d calls run or wait, which is the limit, or this was closed", f.maxPending())))
}

func (f *Forward) run(c *call, q question) {
	a := f.inTurn(q)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending--
	if f.shared[q.key] == c {
		delete(f.shared, q.key)
	}
	f.kept.put(q.key, a, time.Now())
	c.answer = a
	close(c.done)
}

// inTurn makes the call as soon as fewer than MaxInFlight are under way.
func (f *Forward) inTurn(q question) answer {
	ctx, cancel := context.WithTimeoutCause(f.ctx, f.opts.Timeout, fmt.Errorf("timed out after %v", f.opts.Timeout))
	defer cancel()
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return f.failed(fmt.Errorf("%d calls are under way: %v", f.opts.MaxInFlight, context.Cause(ctx)))
	}
	f.started.Add(1)
	begin := time.Now()
	a, err := f.call(ctx, q)
	f.latency.Store(int64(time.Since(begin)))
	if err != nil {
		return f.failed(causeOf(ctx, err))
	}
	if a.err != nil {
		f.refusals.Add(1)
	}
	f.reports.say(nil)
	return a
}

// failed makes the refusal of what the application has not decided. It never allows
// anything, and is not kept.
func (f *Forward) failed(why error) answer {
	f.failures.Add(1)
	why = fmt.Errorf("ask %s: %w", f.opts.URL, why)
	if f.ctx.Err() == nil {
		f.reports.say(why)
	}
	return answer{err: unavailable(why)}
}

func unavailable(why error) *Error {
	e := refuse(AuthUnavailable, "the application that decides about requests did not answer as it should")
	e.cause = why
	return e
}

func answered(a answer) *call {
	c := &call{done: make(chan struct{}), answer: a}
	close(c.done)
	return c
}

func (c *call) wait(ctx context.Context) answer {
	select {
	case <-c.done:
		return c.answer
	case <-ctx.Done():
		return answer{err: unavailable(context.Cause(ctx))}
	}
}

// A reporter keeps failures of the same second from filling the operator's log.
type reporter struct {
	report func(error)

	mu    sync.Mutex
	last  time.Time // of a failure that was reported
	alarm bool      // the last report was a failure
}

func (r *reporter) say(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && !r.alarm:
		return
	case err != nil && !r.last.IsZero() && time.Since(r.last) < time.Second:
		return
	case err != nil:
		r.last = time.Now()
	}
	r.alarm = err != nil
	r.report(err)
}
