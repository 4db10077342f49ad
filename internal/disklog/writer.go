package disklog

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	groupEntries = 8192     // in one transaction, about
	groupBytes   = 16 << 20 // of data, about
	behindLimit  = 16 << 20 // bytes of data that may wait for Options.Interval
	reserve      = 1 << 16  // positions
	buryAtLeast  = 512      // entries deleted with each transaction, if there are some
	buryAfter    = 200 * time.Millisecond
	fullFor      = 250 * time.Millisecond // refuse without trying, after the disk was full
)

// A writer is the goroutine that gives positions and stores entries. All its fields
// are its own, but for those marked.
type writer struct {
	log      *Log
	seq      uint64 // newest position given
	last     int64  // time of the newest entry, in nanoseconds since 1970
	reserved uint64 // positions up to here may be given to entries that are not stored at once
	memory   uint64 // newest position of an entry of durability Memory; 0 if none since Open
	losses   losses
	keys     int // idempotency keys in the file
	failed   error
	full     time.Time // the disk was full then; zero: it is not

	// Entries of durability Interval that readers can see and that are not stored.
	behind      []*eventlog.Entry
	behindBytes int
	timer       *time.Timer // for the next transaction that nobody waits for
	due         time.Time   // when it fires; zero: not set

	record   []byte       // scratch
	lastSync atomic.Int64 // any goroutine may load it; nanoseconds
}

// A group is what goes into one transaction.
type group struct {
	requests []*request
	puts     []eventlog.Put
	entries  []*eventlog.Entry // with positions; those of durability Memory are only in visible
	visible  []*eventlog.Entry // all that readers will get, with duplicates
	forget   map[string]uint64
	bury     bool
	bytes    int
	sync     bool // somebody waits for the disk
	weak     bool // some entries are visible before they are stored
}

// run serves requests until Close, and then those that are waiting.
func (w *writer) run() {
	defer close(w.log.stopped)
	w.timer = time.NewTimer(time.Hour)
	w.timer.Stop()
	for closing := false; !closing; {
		select {
		case r := <-w.log.queue:
			w.serve(w.collect(r))
		case <-w.timer.C:
			w.due = time.Time{}
			w.tidy()
		case <-w.log.graves.dug:
		case <-w.log.closing:
			closing = true
		}
		w.setTimer()
	}
	for {
		select {
		case r := <-w.log.queue:
			w.serve(w.collect(r))
		default:
			return
		}
	}
}

// collect takes what else is waiting.
func (w *writer) collect(r *request) []*request {
	list := []*request{r}
	n, size := w.count(r)
	for n < groupEntries && size < groupBytes {
		select {
		case r := <-w.log.queue:
			list = append(list, r)
			more, bytes := w.count(r)
			n, size = n+more, size+bytes
		default:
			return list
		}
	}
	return list
}

func (w *writer) count(r *request) (entries, bytes int) {
	for _, e := range r.Entries {
		bytes += len(e.Data)
	}
	for _, p := range r.Puts {
		bytes += len(p.Value)
	}
	return len(r.Entries), bytes
}

// serve carries out some requests, all in one transaction, and answers them.
func (w *writer) serve(list []*request) {
	if w.failed != nil {
		answer(list, w.failed)
		return
	}
	before := w.seq
	g := w.number(list)
	var err error
	if w.mustStore(g) {
		if err = w.tryStore(g); err != nil {
			w.seq = before // nobody has seen them
			answer(g.requests, err)
			return
		}
		err = w.log.Insert(g.puts, func(e *eventlog.Entry) bool { return w.log.options.of(e) != Memory }, g.visible...)
	} else {
		w.behind = append(w.behind, g.entries...)
		w.behindBytes += g.bytes
		err = w.log.Insert(nil, func(*eventlog.Entry) bool { return false }, g.visible...)
	}
	answer(g.requests, err)
}

func answer(list []*request, err error) {
	for _, r := range list {
		r.done <- err
	}
}

// number gives positions and times to the entries of requests.
func (w *writer) number(list []*request) *group {
	g := &group{forget: make(map[string]uint64)}
	w.last = max(w.last, time.Now().UnixNano())
	keys := make(map[string]*eventlog.Entry)
	batch := w.log.NewBatch()
	for _, r := range list {
		if err := batch.Add(r.Expect, r.Puts); err != nil {
			r.done <- err
			continue
		}
		g.requests = append(g.requests, r)
		g.puts = append(g.puts, r.Puts...)
		g.sync = g.sync || len(r.Puts)+len(r.Forget) > 0 || r.bury
		g.bury = g.bury || r.bury
		r.upTo = w.seq
		for _, name := range r.Forget {
			g.forget[name] = r.upTo
		}
		for _, e := range r.Entries {
			w.place(g, keys, e)
		}
	}
	return g
}

// place puts e into g. keys are the idempotency keys used in g.
func (w *writer) place(g *group, keys map[string]*eventlog.Entry, e *eventlog.Entry) {
	g.visible = append(g.visible, e)
	if !w.log.Place(e, w.seq+1, time.Unix(0, w.last), keys) {
		return
	}
	w.seq++
	d := w.log.options.of(e)
	g.sync = g.sync || d == Always
	g.weak = g.weak || d != Always
	if d == Memory {
		w.memory = w.seq
		return
	}
	g.entries = append(g.entries, e)
	g.bytes += len(e.Data)
}

// mustStore reports whether g cannot wait for the next transaction.
func (w *writer) mustStore(g *group) bool {
	return g.sync || g.weak && w.seq > w.reserved || w.behindBytes+g.bytes > behindLimit || len(w.behind) > groupEntries
}

// tryStore is store, but for a moment after the disk was found full: to find that out
// again takes bbolt a look at the whole file.
func (w *writer) tryStore(g *group) error {
	if time.Since(w.full) < fullFor {
		return ErrNoSpace
	}
	if err := w.store(g); err != nil {
		return w.failure(err)
	}
	if !w.full.IsZero() {
		w.full = time.Time{}
		w.log.options.Logger.Info("the disk has room again")
	}
	return nil
}

// failure turns the error of a transaction into what publishers get. Only a full
// disk may get better.
func (w *writer) failure(err error) error {
	if isFull(err) {
		if w.full.IsZero() {
			w.log.options.Logger.Error("the disk is full: publishing is refused", "error", err)
		}
		w.full = time.Now()
		return ErrNoSpace
	}
	w.failed = ErrFailed
	w.log.options.Logger.Error("the disk has failed: nothing can be published until the server is restarted", "error", err)
	w.log.options.Failed(fmt.Errorf("%w: %w", ErrFailed, err))
	return w.failed
}

// isFull reports whether err says that there is no room, and came before fsync. When
// the file cannot grow, bbolt gives only the text of the system's error. From fsync
// it gives the bare number: then nobody knows what is on the disk.
func isFull(err error) bool {
	if _, fsync := err.(syscall.Errno); fsync {
		return false
	}
	for _, full := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.HasSuffix(err.Error(), ": "+full.Error()) {
			return true
		}
	}
	return false
}

// tidy stores what nobody waits for, and deletes.
func (w *writer) tidy() {
	if w.failed != nil || len(w.behind) == 0 && w.log.graves.len() == 0 {
		return
	}
	_ = w.tryStore(new(group)) // what it could not do is done by the next one
}

// setTimer makes sure that tidy is called in time if there is something to tidy.
func (w *writer) setTimer() {
	if w.failed != nil || !w.due.IsZero() {
		return
	}
	switch {
	case len(w.behind) > 0:
		w.arm(w.log.options.Interval)
	case w.log.graves.len() > 0:
		w.arm(buryAfter)
	}
}

func (w *writer) arm(d time.Duration) {
	w.due = time.Now().Add(d)
	w.timer.Reset(d)
}

// finish stores what is left and notes that this was a clean end. The writer
// goroutine has ended.
func (w *writer) finish() error {
	if w.failed != nil {
		return w.failed
	}
	for w.log.graves.len() > 0 || len(w.behind) > 0 {
		before := w.log.graves.len() + len(w.behind)
		if err := w.store(new(group)); err != nil {
			return err
		}
		if w.log.graves.len()+len(w.behind) >= before {
			break
		}
	}
	return w.sign()
}

// caughtUp notes that the entries behind are on the disk.
func (w *writer) caughtUp() {
	w.log.Stored(w.behind)
	clear(w.behind)
	w.behind, w.behindBytes = w.behind[:0], 0
}
