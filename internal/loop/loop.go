// Package loop writes to many connections from few goroutines.
//
// An [Engine] is a fixed set of loops. A [Loop] is one goroutine that owns its
// connections, their timer wheel and the tables that fan messages out to them;
// nothing it owns is locked. Everybody else posts to its mailbox. The goroutine
// exists while there is a connection or mail, so an idle engine costs nothing
// and needs no closing.
//
// A [Conn] is anything that takes bytes without blocking: a socket descriptor
// taken over from net/http, watched by epoll (Linux); a [Courier], whose bytes a
// goroutine writes out that exists only while there are some (TLS, other systems);
// or a [Pipe], which the goroutine of a handler writes out (HTTP/2). The loop
// treats them alike.
//
// A loop sleeps in Go's scheduler, not in epoll_wait: waking it is no system
// call, and its timing can be tested with virtual time. See poll_linux.go.
package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/wheel"
)

const (
	wheelTick  = 100 * time.Millisecond
	wheelSlots = 512
)

// An Engine spreads connections over its loops.
type Engine struct {
	loops []*Loop
	next  atomic.Uint32
}

// New returns an engine of n loops, or of GOMAXPROCS loops if n is 0.
func New(n int) *Engine {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	e := &Engine{loops: make([]*Loop, n)}
	for i := range e.loops {
		e.loops[i] = newLoop()
	}
	return e
}

// Pick returns the loop that a new connection should join.
func (e *Engine) Pick() *Loop {
	return e.loops[int(e.next.Add(1))%len(e.loops)]
}

// Len returns how many connections are open.
func (e *Engine) Len() (n int) {
	for _, l := range e.loops {
		n += int(l.load.Load())
	}
	return n
}

// Sockets returns how many of them are sockets of the engine's own: all but pipes.
func (e *Engine) Sockets() (n int) {
	for _, l := range e.loops {
		n += int(l.sockets.Load())
	}
	return n
}

// Closed returns how many connections have been closed for reason r.
func (e *Engine) Closed(r Reason) (n int64) {
	for _, l := range e.loops {
		n += l.closed[r].Load()
	}
	return n
}

// Each calls fn for every connection, on the connection's loop, and returns when
// all loops have done so and have handled the mail that fn has posted to its
// connections: what fn has ended gets no more messages. It must not be called on a loop.
func (e *Engine) Each(fn func(*Conn)) {
	OnAll(e.loops, func(l *Loop) { l.EachConn(fn) })
}

// OnAll runs fn on each of the loops, waits for all, and then until they have handled
// the mail that fn has posted. It must not be called on a loop.
func OnAll(loops []*Loop, fn func(*Loop)) {
	for _, fn := range [...]func(*Loop){fn, func(*Loop) {}} { // mail is handled in order
		var wg sync.WaitGroup
		for _, l := range loops {
			wg.Add(1)
			l.Do(func() {
				defer wg.Done()
				fn(l)
			})
		}
		wg.Wait()
	}
}

// A Table fans messages out to connections of one loop.
type Table interface {
	// Step does a bounded amount of work, on the loop, and reports whether more waits.
	Step() (more bool)
	// Pending reports whether Step has something to do. Any goroutine.
	Pending() bool
}

// A Loop is one goroutine and the connections that it owns.
type Loop struct {
	// Any goroutine.
	load    atomic.Int64 // connections, from Init until closed
	sockets atomic.Int64 // those of them that are not pipes
	asleep  atomic.Bool  // the goroutine waits, or is about to, for wake
	wake    chan struct{}
	closed  [Reasons]atomic.Int64 // connections, by Reason; stored by the loop

	mu      sync.Mutex
	mail    []letter // guarded by mu
	running bool     // guarded by mu; the goroutine exists

	// Owned by the loop goroutine.
	reading []letter // the mail being read; swapped with mail
	start   time.Time
	now     time.Duration // since start, taken once per turn
	tables  []Table
	wheel   *wheel.Wheel[*Conn]
	conns   []*Conn // by slot; nil where free
	free    []int32 // free slots
	gens    int32   // tells the users of one slot apart, so that a late event of a closed descriptor is dropped
	ready   []*Conn // have more to send than one turn allows
	batch   []byte  // scratch for gathering small frames into one write
	poll    *poller // nil until the first descriptor
	alarm   *time.Timer
	alarmAt time.Duration
}

func newLoop() *Loop {
	return &Loop{wake: make(chan struct{}, 1), start: time.Now(), wheel: wheel.New[*Conn](wheelTick, wheelSlots)}
}

// EachConn calls fn for every connection of the loop. It is called on the loop.
func (l *Loop) EachConn(fn func(*Conn)) {
	for _, c := range l.conns {
		if c != nil {
			fn(c)
		}
	}
}

// Do runs fn on the loop. fn must not block.
func (l *Loop) Do(fn func()) { l.post(letter{kind: letterDo, do: fn}) }

// AddTable makes the loop step t from now on. It is called on the loop.
func (l *Loop) AddTable(t Table) { l.tables = append(l.tables, t) }

// RemoveTable ends that. It is called on the loop.
func (l *Loop) RemoveTable(t Table) {
	for i := range l.tables {
		if l.tables[i] == t {
			l.tables = append(l.tables[:i:i], l.tables[i+1:]...)
			return
		}
	}
}

// Now is the loop's time at the begin of this turn. It is called on the loop.
func (l *Loop) Now() time.Duration { return l.now }

// Wake makes a sleeping loop look at its mail and tables. It is no system call.
func (l *Loop) Wake() {
	if l.asleep.CompareAndSwap(true, false) {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// run is the loop goroutine. It ends when there is no connection and no mail.
func (l *Loop) run() {
	for {
		if l.turn() {
			runtime.Gosched() // let publishers run between the turns of a long burst
		} else if !l.sleep() {
			return
		}
	}
}

// turn does what is due and reports whether more is due already.
func (l *Loop) turn() (more bool) {
	l.now = time.Since(l.start)
	l.readMail()
	l.wheel.Advance(l.now, l.expire)
	for _, t := range l.tables {
		more = t.Step() || more
	}
	return l.serveReady() || more
}

// serveReady gives each connection that has more to send one more write.
func (l *Loop) serveReady() (more bool) {
	turn := l.ready
	l.ready = nil
	for i, c := range turn {
		turn[i] = nil
		c.queued = false
		l.flush(c)
	}
	if l.ready == nil {
		l.ready = turn[:0]
	}
	return len(l.ready) > 0
}

// sleep waits for mail, a message or a deadline. It returns false when the
// goroutine is to end.
func (l *Loop) sleep() bool {
	l.asleep.Store(true)
	if !l.hasWork() {
		if l.load.Load() == 0 && l.stop() {
			return false
		}
		select {
		case <-l.wake:
		case <-l.nextAlarm():
			l.alarmAt = 0
		}
	}
	l.asleep.Store(false)
	return true
}

// hasWork looks once more after asleep was set: whoever adds work after this
// look sees asleep and wakes the loop.
func (l *Loop) hasWork() bool {
	l.mu.Lock()
	n := len(l.mail)
	l.mu.Unlock()
	if n > 0 {
		return true
	}
	for _, t := range l.tables {
		if t.Pending() {
			return true
		}
	}
	return false
}

// stop ends the goroutine's life unless mail has come in meanwhile. From its
// return on the loop may have a new goroutine, which alone may touch its fields.
func (l *Loop) stop() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.mail) > 0 || l.load.Load() > 0 {
		return false
	}
	l.running = false
	l.asleep.Store(false)
	if l.poll != nil {
		l.poll.close()
		l.poll = nil
	}
	if l.alarm != nil {
		l.alarm.Stop()
		l.alarm, l.alarmAt = nil, 0
	}
	return true
}

// nextAlarm returns a channel that fires when the wheel has something due.
func (l *Loop) nextAlarm() <-chan time.Time {
	at, ok := l.wheel.Next()
	switch {
	case !ok:
		return nil
	case l.alarm == nil:
		l.alarm = time.NewTimer(at - time.Since(l.start))
	case at != l.alarmAt:
		l.alarm.Reset(at - time.Since(l.start))
	}
	l.alarmAt = at
	return l.alarm.C
}
