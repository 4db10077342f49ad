package fanout

import (
	"sync/atomic"

	"github.com/weirstream/weir/eventlog"
)

const (
	feedEntries = 1 << 14  // a power of two
	feedBytes   = 64 << 20 // of data held by the feed alone
)

// A Feed holds the newest entries of a log for the loops, in a ring. It keeps at
// most 16,384 entries and about 64 MiB. A loop that falls further behind is told
// by At, and its readers go on from the log.
//
// One goroutine at a time may Push; all may read, without locks.
type Feed struct {
	head  atomic.Uint64 // entries are numbered from 1; this is the newest
	slots [feedEntries]atomic.Pointer[eventlog.Entry]

	// Owned by the pusher.
	tail  uint64 // the oldest that is held
	bytes int64
}

// Push adds the next entry.
func (f *Feed) Push(e *eventlog.Entry) {
	n := f.head.Load() + 1
	slot := &f.slots[n%feedEntries]
	if old := slot.Load(); old != nil {
		f.drop(old)
	}
	if f.tail == 0 {
		f.tail = 1
	}
	f.bytes += int64(len(e.Data))
	slot.Store(e)
	f.head.Store(n)
	for f.bytes > feedBytes && f.tail < n {
		f.evict()
	}
}

// drop forgets the entry that Push overwrites, which is the oldest held.
func (f *Feed) drop(old *eventlog.Entry) {
	f.bytes -= int64(len(old.Data))
	f.tail++
}

// evict gives up the oldest entry for its bytes.
func (f *Feed) evict() {
	slot := &f.slots[f.tail%feedEntries]
	if old := slot.Swap(nil); old != nil {
		f.drop(old)
	}
}

// Head returns the number of the newest entry.
func (f *Feed) Head() uint64 { return f.head.Load() }

// Hot path: At returns entry n, or nil if it is no longer held. n is at most Head.
func (f *Feed) At(n uint64) *eventlog.Entry {
	e := f.slots[n%feedEntries].Load()
	if f.head.Load()-n >= feedEntries-1 { // the slot may have been overwritten already
		return nil
	}
	return e
}

// Newest returns the newest entry and its number.
func (f *Feed) Newest() (uint64, *eventlog.Entry) {
	for {
		n := f.Head()
		if n == 0 {
			return 0, nil
		}
		if e := f.At(n); e != nil {
			return n, e
		}
	}
}
