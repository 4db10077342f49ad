package sharedlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	groupEntries = 1024      // in one record, about
	groupBytes   = 256 << 10 // of data, about
	firstPause   = 10 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// A group is what goes into one record. The writer owns it; Log.mu guards what the
// tailer touches, too.
type group struct {
	requests []*request
	deadline time.Time

	// As decided last.
	state    *state
	after    Mark
	record   *record
	data     []byte
	visible  []*eventlog.Entry // all entries, with duplicates
	doubt    bool              // data was sent, and nobody knows what has become of it
	applied  bool              // guarded by Log.mu: it was stored, and is applied here
	err      error             // guarded by Log.mu: of applying it
	reason   error             // why it was not stored, as far as that is known
	attempts int               // how often another node was faster
	took     time.Duration     // until the last answer
}

var errSilent = errors.New("it does not answer")

// write serves requests until Close, and then those that are waiting.
func (l *Log) write() {
	for r := l.next(); r != nil; r = l.next() {
		l.serve(l.collect(r))
	}
}

// next waits for a request. It returns nil after Close, when none is left.
func (l *Log) next() *request {
	if r := l.held; r != nil {
		l.held = nil
		return r
	}
	select {
	case r := <-l.queue:
		return r
	case <-l.closing:
	}
	select {
	case r := <-l.queue:
		return r
	default:
		return nil
	}
}

// collect takes what else is waiting, and has room in the same record.
func (l *Log) collect(r *request) []*request {
	list := []*request{r}
	n, size := r.count()
	for n < groupEntries && size < groupBytes {
		select {
		case r := <-l.queue:
			more, bytes := r.count()
			if bytes > l.largest-size {
				l.held = r
				return list
			}
			list = append(list, r)
			n, size = n+more, size+bytes
		default:
			return list
		}
	}
	return list
}

func (r *request) count() (entries, bytes int) {
	part := record{entries: r.Entries, moved: r.moved, puts: r.Puts, chunks: r.chunks}
	bytes = part.size()
	for _, name := range r.Forget {
		bytes += forgetBytes + len(name)
	}
	return len(r.Entries) + len(r.moved), bytes
}

// serve stores requests in one record, and answers them.
func (l *Log) serve(list []*request) {
	g := &group{deadline: time.Now().Add(l.options.Wait), reason: errSilent}
	if l.silent { // others should not wait as long again
		g.deadline = time.Now().Add(l.options.Wait / 10)
	}
	for _, r := range list {
		if err := r.ctx.Err(); err != nil {
			r.done <- err
			continue
		}
		g.requests = append(g.requests, r)
	}
	for pause := firstPause; !l.try(g); pause = min(2*pause, longestPause) {
		if err := l.rest(g, pause); err != nil {
			l.giveUp(g, err)
			return
		}
	}
}

// try decides and sends g once, or sends it again. done is false if that must be
// done again after a while.
func (l *Log) try(g *group) (done bool) {
	for {
		send, done := l.prepare(g)
		if !send {
			return done
		}
		again, done := l.send(g)
		if !again {
			return done
		}
	}
}

// prepare decides what becomes of g, unless it has been sent and may still be stored
// as it is. send is false if there is nothing to send, done if g is answered.
func (l *Log) prepare(g *group) (send, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case g.applied:
		g.answer(g.err)
		return false, true
	case l.failed != nil:
		g.answer(l.failed)
		return false, true
	case !l.ready || time.Now().Before(l.settled):
		return false, false
	case g.doubt && g.state != l.state: // whether the list still has it, or gets it back, nobody knows
		g.answer(fmt.Errorf("%w: the engine has lost messages", eventlog.ErrUnavailable))
		return false, true
	case g.doubt && g.after == l.state.mark:
		l.inflight = g
		return true, false
	}
	g.doubt, l.inflight = false, nil
	if l.decide(g); g.record == nil {
		g.answer(nil)
		return false, true
	}
	l.inflight = g
	return true, false
}

// send sends g. again is true if it should be decided anew at once, done if it is
// answered; neither if it should be tried again after a while.
func (l *Log) send(g *group) (again, done bool) {
	ctx, cancel := context.WithTimeout(l.ctx, min(l.options.Wait/2, max(time.Until(g.deadline), time.Millisecond)))
	defer cancel()
	sent := time.Now()
	came, err := l.engine.Append(ctx, l.epoch, g.after, g.record.tag(), g.data, g.frees())
	g.took = time.Since(sent)
	switch {
	case err == nil:
		return false, l.stored(g)
	case errors.Is(err, ErrConflict):
		return l.beaten(g, came), false
	case isRefused(err) && !g.doubt:
		if errors.Is(err, eventlog.ErrFull) {
			return l.refuse(g, err)
		}
		g.reason = err
		return false, false
	}
	g.doubt, g.reason = true, err
	return false, false
}

// frees reports whether g only makes room.
func (g *group) frees() bool {
	return !slices.ContainsFunc(g.requests, func(r *request) bool { return !r.frees() })
}

// frees reports whether r allows records to be deleted.
func (r *request) frees() bool {
	return r.chunks != nil || len(r.Forget) > 0 && len(r.Entries) == 0
}

// refuse answers the requests of g, which a full engine has not stored, but for those
// that make room when they are alone.
func (l *Log) refuse(g *group, err error) (again, done bool) {
	rest := &group{}
	if !g.frees() {
		for _, r := range g.requests {
			if r.frees() {
				rest.requests = append(rest.requests, r)
			}
		}
	}
	g.requests = slices.DeleteFunc(g.requests, func(r *request) bool { return slices.Contains(rest.requests, r) })
	l.giveUp(g, err)
	g.requests = rest.requests
	return len(rest.requests) > 0, len(rest.requests) == 0
}

// stored applies g, which the list has, unless the tailer was faster.
func (l *Log) stored(g *group) (done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.silent = false
	if !g.applied && l.state == g.state && l.state.mark == g.after {
		l.applyOwn(g, Record{g.after.Pos + 1, g.data})
		l.changed()
	}
	if g.applied {
		g.answer(g.err)
		return true
	}
	g.doubt = true // the state is being replaced
	return false
}

// applyOwn applies g with the entries of its requests. mu is held.
func (l *Log) applyOwn(g *group, rec Record) {
	var forgotten []int
	forgotten, g.err = l.state.apply(g.record, rec, g.visible)
	for _, r := range g.requests {
		for range min(len(r.Forget), len(forgotten)) {
			r.n, forgotten = r.n+forgotten[0], forgotten[1:]
		}
	}
	g.applied = true
	l.inflight = nil
}

// beaten is for a conflict: it applies what another node has stored in g's place, if the
// engine has given it. again reports whether g can be decided anew.
func (l *Log) beaten(g *group, came []Record) (again bool) {
	err := l.feed(came)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.suspect(err)
	}
	if l.state != g.state || l.state.mark == g.after {
		g.doubt = g.doubt && l.state.mark == g.after
		return false // the tailer brings what came, or finds out what is wrong
	}
	if g.attempts++; g.attempts%patience == 0 {
		l.mu.Unlock()
		l.claim(g)
		l.mu.Lock()
	}
	return true
}

const (
	// patience is how often a group is beaten before its node asks others to wait.
	patience = 3
	// longestTurn bounds how long others wait.
	longestTurn = time.Second
)

// claim asks the other nodes to let g go first, for a few times as long as an answer
// has taken.
func (l *Log) claim(g *group) {
	if c, ok := l.engine.(Claimer); ok {
		ctx, cancel := context.WithTimeout(l.ctx, longestTurn)
		defer cancel()
		if err := c.Claim(ctx, min(5*g.took+5*time.Millisecond, longestTurn)); err == nil {
			return
		}
	}
	time.Sleep(rand.N(time.Duration(min(g.attempts, 20)) * 100 * time.Microsecond)) // lets others through
}

// rest waits until the state changes, but no longer than d, nor than g's deadline: then
// it returns an error.
func (l *Log) rest(g *group, d time.Duration) error {
	left := time.Until(g.deadline)
	if left <= 0 {
		return fmt.Errorf("%w: the engine of the log: %v", eventlog.ErrUnavailable, g.reason)
	}
	l.mu.Lock()
	changed := l.waitChange()
	l.mu.Unlock()
	timer := time.NewTimer(min(left, d/2+rand.N(d)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	}
	return nil
}

// giveUp answers g, which is not known to be stored.
func (l *Log) giveUp(g *group, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inflight = nil
	if g.applied {
		g.answer(g.err)
		return
	}
	l.silent = errors.Is(err, eventlog.ErrUnavailable)
	g.answer(err)
}

func (g *group) answer(err error) {
	for _, r := range g.requests {
		r.done <- err
	}
}

// decide gives positions and times to the entries of g, and makes the record that is to
// follow the newest; none if there is nothing to store. mu is held.
func (l *Log) decide(g *group) {
	s := l.state
	r := &record{nonce: random(), before: s.nonce, head: s.seq, time: max(s.last, time.Now().UnixNano())}
	g.state, g.after, g.record, g.visible = s, s.mark, r, nil
	requests := g.requests
	g.requests = nil
	keys := make(map[string]*eventlog.Entry)
	batch := s.index.NewBatch()
	for _, q := range requests {
		if err := batch.Add(q.Expect, q.Puts); err != nil {
			q.done <- err
			continue
		}
		g.requests = append(g.requests, q)
		r.puts = append(r.puts, q.Puts...)
		r.moved = append(r.moved, q.moved...)
		r.chunks = append(r.chunks, q.chunks...)
		for _, name := range q.Forget {
			r.forgets = append(r.forgets, forget{name, r.head})
		}
		for _, e := range q.Entries {
			g.place(s, keys, e)
		}
	}
	if len(r.entries)+len(r.puts)+len(r.moved)+len(r.chunks)+len(r.forgets) == 0 {
		g.record = nil
		return
	}
	g.data = r.encode(s.mark.Pos + 1)
}

// place puts e into g. keys are the idempotency keys used in g.
func (g *group) place(s *state, keys map[string]*eventlog.Entry, e *eventlog.Entry) {
	r := g.record
	g.visible = append(g.visible, e)
	if s.index.Place(e, r.head+1, time.Unix(0, r.time), keys) {
		r.head++
		r.entries = append(r.entries, e)
	}
}
