package durable

import (
	"container/heap"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	sweepEvery = time.Second
	sweepLimit = 1000 // streams that are deleted, or whose deadlines are stored, in one go
)

// expiry knows when streams expire: those that have a deadline, and only those, are
// in it. With a TTL the deadline moves with each use. The log has one that is later
// by up to an eighth of the TTL, so that not every use is a write, and after a
// restart a stream lives by that much longer rather than shorter.
type expiry struct {
	mu     sync.Mutex
	byName map[string]*deadline // guarded by mu
	queue  deadlines            // guarded by mu
	moved  map[string]struct{}  // guarded by mu: the log has an earlier deadline of these
}

// A deadline is when a stream expires.
type deadline struct {
	name, id string
	ttl      time.Duration // 0: it does not move
	at       time.Time
	stored   time.Time // what the log has
	readers  int       // that follow: as long as there are some, a TTL does not end

	look  time.Time // when to look whether it is over, not after at
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

// newDeadline returns when a stream expires that is used now, or nil if it does not.
func newDeadline(name string, s *state, now time.Time) *deadline {
	d := &deadline{name: name, id: s.ID}
	switch {
	case s.TTL != nil:
		d.ttl = time.Duration(*s.TTL) * time.Second
		d.at = now.Add(d.ttl)
		d.stored = d.at.Add(d.slack())
	case s.Expires != 0:
		d.at = time.UnixMilli(s.Expires)
		d.stored = d.at
	default:
		return nil
	}
	return d
}

// slack is by how much the stored deadline may be later than the true one.
func (d *deadline) slack() time.Duration { return max(d.ttl/8, sweepEvery) }

func (d *deadline) over(now time.Time) bool {
	return !now.Before(d.at) && (d.readers == 0 || d.ttl == 0)
}

// put returns what stores the deadline: "<milliseconds since 1970> <ID>". The ID
// tells it from one of an earlier stream of the name, which may be stored late.
func (d *deadline) put() eventlog.Put {
	return eventlog.Put{Key: deadlineKey + d.name, Value: []byte(strconv.FormatInt(d.stored.UnixMilli(), 10) + " " + d.id)}
}

func (x *expiry) add(d *deadline) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byName == nil {
		x.byName, x.moved = make(map[string]*deadline), make(map[string]struct{})
	}
	d.look = d.at
	x.byName[d.name] = d
	heap.Push(&x.queue, d)
}

func (x *expiry) drop(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if d := x.byName[name]; d != nil {
		heap.Remove(&x.queue, d.index)
		delete(x.byName, name)
		delete(x.moved, name)
	}
}

// over reports whether the time of a stream is over.
func (x *expiry) over(name string, s *state, now time.Time) bool {
	if s.TTL == nil {
		return s.Expires != 0 && now.UnixMilli() >= s.Expires
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.byName[name]
	return d != nil && d.over(now)
}

// use notes that a stream is read or written.
func (x *expiry) use(name string) { x.follow(name, 0) }

// follow notes that so many more readers follow a stream.
func (x *expiry) follow(name string, readers int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	d := x.byName[name]
	if d == nil || d.ttl == 0 {
		return
	}
	d.readers += readers
	d.at = time.Now().Add(d.ttl)
	if d.at.After(d.stored) {
		x.moved[name] = struct{}{}
	}
}

// due returns streams whose time is over. They are returned again a little later if
// they are not dropped.
func (x *expiry) due(now time.Time) (names []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for len(x.queue) > 0 && len(names) < sweepLimit && !now.Before(x.queue[0].look) {
		switch d := x.queue[0]; {
		case d.over(now):
			names = append(names, d.name)
			d.look = now.Add(sweepEvery)
		case now.Before(d.at):
			d.look = d.at
		default: // it has readers
			d.look = now.Add(d.slack())
		}
		heap.Fix(&x.queue, 0)
	}
	return names
}

// puts returns what stores deadlines that have moved.
func (x *expiry) puts() (puts []eventlog.Put) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for name := range x.moved {
		if len(puts) == sweepLimit {
			break
		}
		d := x.byName[name]
		d.stored = d.at.Add(d.slack())
		puts = append(puts, d.put())
		delete(x.moved, name)
	}
	return puts
}

// loadDeadlines reads all deadlines, at start.
func (h *Handler) loadDeadlines() {
	for key, value := range h.hub.Log().Values(deadlineKey) {
		name := strings.TrimPrefix(key, deadlineKey)
		s, err := h.load(name)
		if err != nil {
			continue // it was stored after its stream had been deleted
		}
		d := newDeadline(name, s, time.Now())
		if d == nil {
			continue
		}
		ms, id, _ := strings.Cut(string(value), " ")
		if at, err := strconv.ParseInt(ms, 10, 64); err == nil && id == s.ID {
			d.at, d.stored = time.UnixMilli(at), time.UnixMilli(at)
		}
		h.expiry.add(d)
	}
}

// sweep deletes streams whose time is over, and stores deadlines, until Close.
func (h *Handler) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for !h.writing.Over() {
		for _, name := range h.expiry.due(time.Now()) {
			h.expire(name)
		}
		h.storeDeadlines()
		select {
		case <-tick.C:
		case <-h.writing.Done():
		}
	}
	<-h.reading.Done()
	h.storeDeadlines()
}

func (h *Handler) storeDeadlines() {
	for puts := h.expiry.puts(); len(puts) > 0; puts = h.expiry.puts() {
		if _, err := h.hub.Commit(context.Background(), puts); err != nil {
			h.opts.Log.Warn("deadlines of durable streams are not stored", "streams", len(puts), "error", err)
			return
		}
	}
}
