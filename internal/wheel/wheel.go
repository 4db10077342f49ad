// Package wheel keeps many coarse deadlines cheaply.
//
// A [Wheel] is a ring of slots, one per tick; setting, moving and stopping a
// deadline costs a few pointer writes and allocates nothing, because the links
// live in the owner's [Timer]. Deadlines fire up to one tick late, never early.
//
// A Wheel and its timers belong to one goroutine. Time is whatever the caller
// counts: a duration since some start, never going back.
package wheel

import "time"

// A Timer is one deadline of Owner. Its zero value, with Owner set, is stopped.
type Timer[T any] struct {
	Owner      T
	prev, next *Timer[T] // nil while stopped
	tick       int64
}

// Active reports whether t waits for its deadline.
func (t *Timer[T]) Active() bool { return t.next != nil }

// A Wheel holds the timers of one goroutine.
type Wheel[T any] struct {
	tick  time.Duration
	slots []Timer[T] // list heads
	done  int64      // the last tick that was fired
	next  int64      // no timer fires before this tick
	count int
}

// New returns a wheel whose timers are as exact as tick. Deadlines further away
// than tick*slots cost a look each time the wheel comes round.
func New[T any](tick time.Duration, slots int) *Wheel[T] {
	w := &Wheel[T]{tick: tick, slots: make([]Timer[T], slots)}
	for i := range w.slots {
		head := &w.slots[i]
		head.prev, head.next = head, head
	}
	return w
}

// Set makes t fire at the time at, or at the next tick if that has passed.
func (w *Wheel[T]) Set(t *Timer[T], at time.Duration) {
	w.Stop(t)
	t.tick = max(int64((at+w.tick-1)/w.tick), w.done+1)
	head := &w.slots[t.tick%int64(len(w.slots))]
	t.prev, t.next = head.prev, head
	head.prev.next, head.prev = t, t
	w.count++
	if w.count == 1 || t.tick < w.next {
		w.next = t.tick
	}
}

// Stop takes t off the wheel. Stopping a stopped timer does nothing.
func (w *Wheel[T]) Stop(t *Timer[T]) {
	if !t.Active() {
		return
	}
	t.prev.next, t.next.prev = t.next, t.prev
	t.prev, t.next = nil, nil
	w.count--
}

// Advance fires every timer due at now. fire may set and stop timers.
func (w *Wheel[T]) Advance(now time.Duration, fire func(T)) {
	upTo := int64(now / w.tick)
	if w.count == 0 || upTo < w.next {
		w.done = max(w.done, upTo)
		return
	}
	first := max(w.next, upTo-int64(len(w.slots))+1)
	w.done = upTo
	for tick := first; tick <= upTo; tick++ {
		w.fireSlot(&w.slots[tick%int64(len(w.slots))], upTo, fire)
	}
	w.next = w.seek(upTo + 1)
}

// fireSlot takes the due timers of one slot off first and fires them after, so
// that fire may change the list.
func (w *Wheel[T]) fireSlot(head *Timer[T], upTo int64, fire func(T)) {
	var due Timer[T]
	due.prev, due.next = &due, &due
	for t := head.next; t != head; {
		next := t.next
		if t.tick <= upTo {
			t.prev.next, t.next.prev = t.next, t.prev
			t.prev, t.next = due.prev, &due
			due.prev.next, due.prev = t, t
		}
		t = next
	}
	for due.next != &due {
		t := due.next
		w.Stop(t)
		fire(t.Owner)
	}
}

// seek returns the first tick from `from` on whose slot holds a timer.
func (w *Wheel[T]) seek(from int64) int64 {
	if w.count == 0 {
		return from
	}
	n := int64(len(w.slots))
	for tick := from; tick < from+n; tick++ {
		if head := &w.slots[tick%n]; head.next != head {
			return tick
		}
	}
	return from + n
}

// Next returns a time before which Advance has nothing to do. ok is false if
// there is no timer.
func (w *Wheel[T]) Next() (at time.Duration, ok bool) {
	return time.Duration(w.next) * w.tick, w.count > 0
}

// Len returns the number of active timers.
func (w *Wheel[T]) Len() int { return w.count }
