package loop

import (
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A crowd counts the connections that are closed.
type crowd struct {
	closed, farewells atomic.Int64
}

func (o *crowd) Closed(Reason)          { o.closed.Add(1) }
func (o *crowd) Drained()               {}
func (o *crowd) Farewell(Reason) []byte { o.farewells.Add(1); return nil }
func (o *crowd) Reuse(int)              {}

func descriptors(t *testing.T) int {
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// TestTenThousandStreamsLeaveNothing opens them in waves of 2,000. A third is
// dropped by the client, a third ended, a third closed.
func TestTenThousandStreamsLeaveNothing(t *testing.T) {
	const waves, size = 5, 2000
	goroutines, fds := runtime.NumGoroutine(), descriptors(t)
	e := New(2)
	cfg := &Config{Limit: 1000, Beat: []byte(":\n"), Heartbeat: time.Minute}
	owner := new(crowd)
	for wave := range waves {
		conns := make([]Conn, size)
		clients := make([]int, size)
		for i := range conns {
			pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatalf("socket pair %d: %v", i, err)
			}
			clients[i] = pair[1]
			conns[i].Init(e.Pick(), cfg, owner, pair[0], nil, time.Hour, false)
			conns[i].Add()
			conns[i].Post([]byte("data: hello\n\n"))
		}
		var timers atomic.Int64
		e.Each(func(c *Conn) {
			if c.timer.Active() {
				timers.Add(1)
			}
		})
		if n := e.Len(); n != size || timers.Load() != size {
			t.Fatalf("wave %d: %d streams with %d timers, want %d", wave, n, timers.Load(), size)
		}
		for i := range conns {
			switch i % 3 {
			case 0:
				unix.Close(clients[i])
			case 1:
				conns[i].End(Ended)
			case 2:
				conns[i].Close(Ended)
			}
		}
		until(t, "all streams of the wave are closed", func() bool { return owner.closed.Load() == int64(size*(wave+1)) })
		for i, fd := range clients {
			if i%3 != 0 {
				unix.Close(fd)
			}
		}
	}
	until(t, "goroutines are as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	until(t, "descriptors are as before", func() bool { return descriptors(t) <= fds })
	for i, l := range e.loops {
		l.mu.Lock() // its goroutine has ended
		if n := l.wheel.Len(); n != 0 || e.Len() != 0 || l.poll != nil || l.alarm != nil || len(l.free) != len(l.conns) {
			t.Errorf("loop %d: %d timers, %d streams, poller %v, alarm %v, %d of %d slots free", i, n, e.Len(), l.poll, l.alarm, len(l.free), len(l.conns))
		}
		l.mu.Unlock()
	}
	if ended := owner.farewells.Load(); ended != waves*((size+1)/3) {
		t.Errorf("%d streams were ended cleanly, want %d", ended, waves*((size+1)/3))
	}
}
