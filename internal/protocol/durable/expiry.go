package durable

import (
	"container/heap"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

const (
	sweepEvery = time.Second
	sweepLimit = 1000 // streams that are deleted, or whose deadlines are stored, in one go

	// followed is the least that a deadline is put off for streams with followers, and
	// urgent is how long before its end a deadline is stored at once, if several nodes go
	// by what is stored.
	followed = 4 * sweepEvery
	urgent   = 2 * sweepEvery
	// outageGrace is how long no TTL ends after this node could not reach the others: they
	// may have deadlines to store.
	outageGrace = 5 * time.Second
)

// expiry knows when streams expire: those that have a deadline in the log, and only those,
// are in it. With a TTL the deadline moves with each use. The log has one that is later
// by up to an eighth of the TTL, so that not every use is a write, and after a
// restart a stream lives by that much longer rather than shorter.
//
// Where several nodes share the log, none knows what others have not stored. So what is
// stored counts, and is stored in time.
type expiry struct {
	shared bool

	mu     sync.Mutex
	byName map[string]*deadline // guarded by mu
	queue  deadlines            // guarded by mu
	moved  map[string]struct{}  // guarded by mu: the log has an earlier deadline of these
}

// A deadline is when a stream expires.
type deadline struct {
	name, id string
	ttl      time.Duration // 0: it does not move, or was not used here
	at       time.Time
	stored   time.Time // what the log has
	readers  int       // that follow here: as long as there are some, a TTL does not end

	look  time.Time // when to look whether it is over, not after its end
	index int       // in the queue
}

// deadlines is a heap, the one to look at first in front.
type deadlines []*deadline

func (q deadlines) Len() int           { return len(q) }
func (q deadlines) Less(i, j int) bool { return q[i].look.Before(q[j].look) }
func (q deadlines) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *deadlines) Push(x any) {
	d := x.(*deadline)
	d.index = len(*q)
	*q = append(*q, d)
}
func (q *deadlines) Pop() any {
	last := len(*q) - 1
	d := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return d
}

// firstDeadline returns what is to be stored of a stream that is created now, or false if
// it does not expire.
func firstDeadline(s *state, now time.Time) (at time.Time, ok bool) {
	switch {
	case s.TTL != nil:
		return now.Add(s.ttl() + slack(s.ttl())), true
	case s.Expires != 0:
		return time.UnixMilli(s.Expires), true
	}
	return at, false
}

// ttl is that of a stream that has one.
func (s *state) ttl() time.Duration { return time.Duration(*s.TTL) * time.Second }

// slack is by how much the stored deadline may be later than the true one.
func slack(ttl time.Duration) time.Duration { return max(ttl/8, sweepEvery) }

// putDeadline returns what stores a deadline: "<milliseconds since 1970> <ID>". The ID
// tells it from one of another stream of the name.
func putDeadline(name, id string, at time.Time) eventlog.Put {
	return eventlog.Put{Key: deadlineKey + name, Value: []byte(strconv.FormatInt(at.UnixMilli(), 10) + " " + id)}
}

// parseDeadline is the reverse.
func parseDeadline(value []byte) (id string, at time.Time, ok bool) {
	text, id, _ := strings.Cut(string(value), " ")
	ms, err := strconv.ParseInt(text, 10, 64)
	return id, time.UnixMilli(ms), err == nil
}

// set notes a deadline that the log has.
func (x *expiry) set(name, id string, stored time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.byName[name]
	if d == nil || d.id != id {
		x.remove(d)
		d = &deadline{name: name, id: id, at: stored, look: stored}
		x.byName[name] = d
		heap.Push(&x.queue, d)
	}
	d.stored = stored
	if !d.at.After(stored) {
		delete(x.moved, name)
	}
	x.aim(d)
}

// drop forgets the deadline of a stream, of any if id is "".
func (x *expiry) drop(name, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := x.byName[name]; d != nil && (id == "" || d.id == id) {
		x.remove(d)
	}
}

// remove removes d, which may be nil. mu is held.
func (x *expiry) remove(d *deadline) {
	if d != nil {
		heap.Remove(&x.queue, d.index)
		delete(x.byName, d.name)
		delete(x.moved, d.name)
	}
}

// end is when a stream that is not used any more is over. mu is held.
func (x *expiry) end(d *deadline) time.Time {
	if x.shared {
		return d.stored
	}
	return d.at
}

// aim makes sure that d is looked at in time. mu is held.
func (x *expiry) aim(d *deadline) {
	at := x.end(d)
	if d.kept() {
		at = time.Now().Add(x.span(d) / 2)
	}
	if at.Before(d.look) {
		d.look = at
		heap.Fix(&x.queue, d.index)
	}
}

// kept reports whether readers keep a stream from expiring.
func (d *deadline) kept() bool { return d.readers > 0 && d.ttl > 0 }

// span is by how much a use puts d off. mu is held.
func (x *expiry) span(d *deadline) time.Duration { return x.spanOf(d.ttl, d.readers > 0) }

func (x *expiry) spanOf(ttl time.Duration, read bool) time.Duration {
	if x.shared && read {
		return max(ttl, followed)
	}
	return ttl
}

// over reports whether the time of a stream with a TTL is over, if this node is the only
// one.
func (x *expiry) over(name, id string, now time.Time) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.byName[name]
	return d != nil && d.id == id && !d.kept() && !now.Before(d.at)
}

// use notes that a stream is read or written, and that so many more readers follow it. It
// reports false if its time was over, and this node is the only one: nothing is put off.
func (x *expiry) use(name string, s *state, readers int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.byName[name]
	if d == nil || d.id != s.ID || s.TTL == nil {
		return true
	}
	now := time.Now()
	over := !x.shared && d.ttl > 0 && !d.kept() && !now.Before(d.at)
	d.ttl = s.ttl()
	d.readers += readers
	if !over {
		x.putOff(d, now)
		x.aim(d)
	}
	return !over
}

// putOff moves a deadline. mu is held.
func (x *expiry) putOff(d *deadline, now time.Time) {
	if d.at = now.Add(x.span(d)); d.at.After(d.stored) {
		x.moved[d.name] = struct{}{}
	}
}

// A due is a stream whose time is over, or was.
type due struct{ name, id string }

// due returns streams whose time is over. They are returned again a little later if
// they are not dropped.
func (x *expiry) due(now time.Time) (list []due) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.queue) > 0 && len(list) < sweepLimit && !now.Before(x.queue[0].look) {
		switch d := x.queue[0]; {
		case d.kept():
			x.putOff(d, now)
			d.look = now.Add(max(x.span(d)/2, sweepEvery))
		case now.Before(x.end(d)):
			d.look = x.end(d)
		default:
			list = append(list, due{d.name, d.id})
			d.look = now.Add(sweepEvery)
		}
		heap.Fix(&x.queue, 0)
	}
	return list
}

// late returns copies of the deadlines that have moved and are not stored.
func (x *expiry) late() (list []deadline) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.moved {
		list = append(list, *x.byName[name])
	}
	return list
}

// over reports whether the time of a stream is over.
func (h *Handler) over(name string, s *state) bool {
	now := time.Now()
	if s.TTL == nil {
		return s.Expires != 0 && now.UnixMilli() >= s.Expires
	}
	if !h.expiry.shared {
		return h.expiry.over(name, s.ID, now)
	}
	id, at, ok := parseDeadline(h.hub.Log().Value(deadlineKey + name))
	return ok && id == s.ID && !now.Before(at) && now.UnixNano() >= h.graceEnds.Load()
}

// use notes that a stream is read or written, and that so many more readers follow it. If
// another node might delete it soon it stores that at once.
func (h *Handler) use(name string, s *state, readers int) {
	h.expiry.use(name, s, readers)
	if !h.expiry.shared || h.renewal(h.view(), name, s, readers > 0) == nil {
		return
	}
	_, err := h.commit(context.Background(), func(v *view) (hub.Change, error) {
		now, err := v.load(name)
		if err == nil && now.ID != s.ID {
			err = errNotFound
		}
		return hub.Change{Puts: h.renewal(v, name, s, readers > 0)}, err
	})
	if err != nil && err != errNotFound { // the sweeper tries again
		h.opts.Log.Debug("the deadline of a durable stream is not stored", "stream", name, "error", err)
	}
}

// renewal returns what stores that a stream is used, or nil if that can wait for the
// sweeper.
func (h *Handler) renewal(v *view, name string, s *state, read bool) []eventlog.Put {
	if s.TTL == nil || !h.expiry.shared {
		return nil
	}
	id, stored, ok := parseDeadline(v.log.Value(deadlineKey + name))
	now := time.Now()
	at := now.Add(h.expiry.spanOf(s.ttl(), read))
	if !ok || id != s.ID || !at.After(stored) || stored.Sub(now) >= urgent {
		return nil
	}
	return []eventlog.Put{putDeadline(name, id, at.Add(slack(s.ttl())))}
}

// loadDeadlines reads all deadlines, at start.
func (h *Handler) loadDeadlines() {
	for key, value := range h.hub.Log().Values(deadlineKey) {
		name := strings.TrimPrefix(key, deadlineKey)
		s, err := h.view().load(name)
		if err != nil {
			continue // it was stored after its stream had been deleted
		}
		id, at, ok := parseDeadline(value)
		if !ok || id != s.ID { // likewise, but there is another stream
			at, ok = firstDeadline(s, time.Now())
		}
		if ok {
			h.expiry.set(name, s.ID, at)
		}
	}
}

// sweep deletes streams whose time is over, and stores deadlines, until Close.
func (h *Handler) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for !h.writing.Over() {
		h.sweepOnce()
		select {
		case <-tick.C:
		case <-h.writing.Done():
		}
	}
	<-h.reading.Done()
	h.storeDeadlines()
}

func (h *Handler) sweepOnce() {
	if h.sync(context.Background()) != nil {
		h.graceEnds.Store(time.Now().Add(outageGrace).UnixNano())
		return
	}
	list := h.expiry.due(time.Now())
	h.storeDeadlines() // first: other nodes look at what is stored
	for _, d := range list {
		_ = h.expire(d.name) // it is tried again
		if s, err := h.view().load(d.name); err == errNotFound || err == nil && s.ID != d.id {
			h.expiry.drop(d.name, d.id)
		}
	}
}

// storeDeadlines stores the deadlines that have moved.
func (h *Handler) storeDeadlines() {
	for list := range slices.Chunk(h.expiry.late(), sweepLimit) {
		_, err := h.commit(context.Background(), func(v *view) (c hub.Change, err error) {
			for _, d := range list {
				// Another node may have stored a later one, or deleted the stream.
				if id, at, ok := parseDeadline(v.first(deadlineKey + d.name)); ok && id == d.id && at.Before(d.at) {
					c.Puts = append(c.Puts, putDeadline(d.name, d.id, d.at.Add(slack(d.ttl))))
				}
			}
			return c, nil
		})
		if err != nil {
			h.opts.Log.Warn("deadlines of durable streams are not stored", "streams", len(list), "error", err)
			return
		}
	}
}
