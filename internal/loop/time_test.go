package loop_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// The tests of this file run in virtual time. The loop's deadlines are kept by a
// wheel that fires up to a tenth of a second late and never early.

// onTime reports whether each of got is a time in want, or up to 0.2 s later.
func onTime(got, want []time.Duration) bool {
	return slices.EqualFunc(got, want, func(g, w time.Duration) bool { return g >= w && g <= w+200*time.Millisecond })
}

// since returns when a sink's writes were, counted from start.
func since(start time.Time, at []time.Time) (ds []time.Duration) {
	for _, t := range at {
		ds = append(ds, t.Sub(start))
	}
	return ds
}

var beating = &loop.Config{Limit: 1 << 20, Beat: []byte(":\n"), Heartbeat: 10 * time.Second}

func TestHeartbeatFollowsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		start := time.Now()
		m := open(l, beating, 0, nil)
		time.Sleep(14 * time.Second)
		m.conn.Post([]byte("traffic\n"))
		time.Sleep(18 * time.Second)
		m.conn.Close(loop.Ended)
		synctest.Wait()
		want := []time.Duration{10 * time.Second, 14 * time.Second, 24 * time.Second}
		if got := since(start, m.sink.at); !onTime(got, want) || string(m.sink.got) != ":\ntraffic\n:\n" {
			t.Errorf("sent %q at %v, want a heartbeat 10 s after anything else, at %v", m.sink.got, got, want)
		}
	})
}

// TestSharedWritesPutOffTheHeartbeat is for streams whose messages do not touch
// the connection.
func TestSharedWritesPutOffTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		start := time.Now()
		m := open(l, beating, 0, nil)
		s := &script{}
		on(l, func() { m.conn.SetSource(s) })
		for range 5 {
			time.Sleep(7 * time.Second)
			on(l, func() {
				s.mu.Lock()
				s.shared = l.Now()
				s.mu.Unlock()
			})
		}
		time.Sleep(12 * time.Second)
		m.conn.Close(loop.Ended)
		synctest.Wait()
		if got := since(start, m.sink.at); !onTime(got, []time.Duration{45 * time.Second}) {
			t.Errorf("heartbeats at %v, want one at 45s, 10 s after the last shared write", got)
		}
	})
}

func TestFullSocketGetsNoHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, beating, 0, func(m *memory) { m.sink.room = 0 })
		m.conn.Post([]byte("x"))
		time.Sleep(time.Hour)
		m.sink.give(-1)
		time.Sleep(11 * time.Second)
		m.conn.Close(loop.Ended)
		synctest.Wait()
		if got := string(m.sink.got); got != "x:\n" {
			t.Errorf("sent %q, want one heartbeat, after there was room", got)
		}
	})
}

func TestMaxAgeEndsTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		start := time.Now()
		var at time.Duration
		m := open(l, &loop.Config{Limit: 100, Tail: []byte("tail")}, time.Minute, func(m *memory) {
			m.owner.farewell = []byte("bye ")
			m.owner.onClose = func(loop.Reason) { at = time.Since(start) }
		})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !slices.Equal(m.owner.closed, []loop.Reason{loop.MaxAge}) || !onTime([]time.Duration{at}, []time.Duration{time.Minute}) {
			t.Errorf("closed %v after %v, want maximum age after 1m0s", m.owner.closed, at)
		}
		if string(m.sink.got) != "bye tail" || !slices.Equal(m.sink.clean, []bool{true}) {
			t.Errorf("sent %q, clean %v; want a clean end", m.sink.got, m.sink.clean)
		}
	})
}

// TestEndedStreamThatDoesNotDrainIsClosedAfterLinger also gives the reason of the
// end, not that of the delay.
func TestEndedStreamThatDoesNotDrainIsClosedAfterLinger(t *testing.T) {
	for _, test := range []struct{ linger, want time.Duration }{
		{0, 5 * time.Second},
		{30 * time.Second, 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := loop.New(1).Pick()
			var closed time.Time
			m := open(l, &loop.Config{Limit: 100, Linger: test.linger, Beat: []byte("beat"), Heartbeat: time.Second}, 0, func(m *memory) {
				m.sink.room = 1
				m.owner.onClose = func(loop.Reason) { closed = time.Now() }
			})
			m.conn.Post([]byte("never taken"))
			time.Sleep(time.Hour)
			ended := time.Now()
			m.conn.End(loop.Shutdown)
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := closed.Sub(ended); !onTime([]time.Duration{got}, []time.Duration{test.want}) {
				t.Errorf("linger %v: closed after %v, want %v", test.linger, got, test.want)
			}
			if !slices.Equal(m.owner.closed, []loop.Reason{loop.Shutdown}) || !slices.Equal(m.sink.clean, []bool{false}) {
				t.Errorf("closed %v with clean %v, want shutdown and false", m.owner.closed, m.sink.clean)
			}
		})
	}
}

// TestIdleLoopHasNoGoroutine would find the bubble of synctest still busy if the
// loop, or its alarm, outlived the last connection.
func TestIdleLoopHasNoGoroutine(t *testing.T) {
	var l *loop.Loop
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(4)
		l = e.Pick()
		for range 3 {
			m := open(l, beating, time.Minute, nil)
			time.Sleep(25 * time.Second)
			m.conn.End(loop.Ended)
			synctest.Wait()
			if e.Len() != 0 {
				t.Errorf("%d connections", e.Len())
			}
		}
	})
}
