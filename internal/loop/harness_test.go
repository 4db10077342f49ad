package loop_test

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/loop"
)

// TestMain fails if a loop, a poller or anything else of this module is left running.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

func stacks() []byte {
	buf := make([]byte, 1<<20)
	return buf[:runtime.Stack(buf, true)]
}

// eventually waits for a condition that other goroutines or the kernel make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s\n%s", what, stacks())
		}
	}
}

// An owner notes what it is told about its connection.
type owner struct {
	farewell []byte
	reuse    chan int
	onClose  func(loop.Reason)

	mu      sync.Mutex
	closed  []loop.Reason // one for each call of Closed
	leaving []loop.Reason // one for each call of Farewell
	drained int
}

func (o *owner) Closed(r loop.Reason) {
	o.mu.Lock()
	o.closed = append(o.closed, r)
	o.mu.Unlock()
	if o.onClose != nil {
		o.onClose(r)
	}
}

func (o *owner) Drained() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drained++
}

func (o *owner) Farewell(r loop.Reason) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leaving = append(o.leaving, r)
	return o.farewell
}

func (o *owner) Reuse(fd int) { o.reuse <- fd }

// reasons returns what Closed was called with so far.
func (o *owner) reasons() []loop.Reason {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]loop.Reason(nil), o.closed...)
}

// left returns what Farewell was called with so far.
func (o *owner) left() []loop.Reason {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]loop.Reason(nil), o.leaving...)
}

func (o *owner) drains() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.drained
}

// A sink is a Socket in memory.
type sink struct {
	conn *loop.Conn

	mu     sync.Mutex
	room   int // how much it takes; -1 for everything
	err    error
	got    []byte
	writes int
	at     []time.Time // of each write that took something
	clean  []bool      // of each Close
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	if s.err != nil {
		return 0, s.err
	}
	n := len(p)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	if n > 0 {
		s.got = append(s.got, p[:n]...)
		s.at = append(s.at, time.Now())
	}
	return n, nil
}

func (s *sink) Close(clean bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean = append(s.clean, clean)
}

// give makes room for n more bytes; -1 for all.
func (s *sink) give(n int) {
	s.mu.Lock()
	if s.room += n; n < 0 {
		s.room = n
	}
	s.mu.Unlock()
	s.conn.Room()
}

// bytes returns what was taken so far.
func (s *sink) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.got)
}

// A memory connection is one whose socket is a sink.
type memory struct {
	conn  loop.Conn
	owner owner
	sink  sink
}

// open puts a memory connection on l. prepare, which may be nil, sets what the
// loop reads from the start.
func open(l *loop.Loop, cfg *loop.Config, maxAge time.Duration, prepare func(*memory)) *memory {
	m := &memory{sink: sink{room: -1}}
	m.sink.conn = &m.conn
	if prepare != nil {
		prepare(m)
	}
	m.conn.Init(l, cfg, &m.owner, -1, &m.sink, maxAge, false)
	m.conn.Add()
	return m
}

// roomy is a configuration without deadlines.
var roomy = &loop.Config{Limit: 1 << 20}

// hold keeps l from reading its mail until the function returned is called, so
// that everything posted in between is handled in one turn.
func hold(l *loop.Loop) (release func()) {
	held, gate := make(chan struct{}), make(chan struct{})
	l.Do(func() {
		close(held)
		<-gate
	})
	<-held
	return func() { close(gate) }
}

// on runs fn on l and waits for it.
func on(l *loop.Loop, fn func()) {
	done := make(chan struct{})
	l.Do(func() {
		fn()
		close(done)
	})
	<-done
}

// A script is a Source whose Refill enqueues one frame at a time.
type script struct {
	mu      sync.Mutex
	frames  []string
	shared  time.Duration
	stalled int
	closed  int
	again   int // so often Refill asks for another turn before it looks at frames
}

func (s *script) Refill(c *loop.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.again > 0 {
		s.again--
		c.Kick()
		return false
	}
	if len(s.frames) == 0 {
		return false
	}
	c.Enqueue([]byte(s.frames[0]))
	s.frames = s.frames[1:]
	return true
}

func (s *script) Stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalled++
}

func (s *script) Closed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed++
}

func (s *script) Shared() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shared
}

func (s *script) add(frames ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, frames...)
}

// await fails the test if done is not closed within 10 s.
func await(t *testing.T, done <-chan struct{}, what string, args ...any) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf(what+"\n%s", append(args, stacks())...)
	}
}
