package loop_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/internal/loop"
)

// TestLettersAreHandledInTheOrderOfPosting mixes all kinds of mail in one turn.
func TestLettersAreHandledInTheOrderOfPosting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, &loop.Config{Limit: 1 << 20, Tail: []byte("tail")}, 0, func(m *memory) { m.owner.farewell = []byte("bye ") })
		var order []string
		note := func(s string) { l.Do(func() { order = append(order, fmt.Sprint(s, " ending=", m.conn.Ending())) }) }
		release := hold(l)
		note("first")
		m.conn.Post([]byte("one "))
		m.conn.Post([]byte("two "))
		note("before end")
		m.conn.End(loop.Ended)
		note("after end")
		m.conn.Post([]byte("late "))
		release()
		synctest.Wait()
		if want := []string{"first ending=false", "before end ending=false", "after end ending=true"}; !slices.Equal(order, want) {
			t.Errorf("handled %q, want %q", order, want)
		}
		if got := string(m.sink.got); got != "one two bye tail" {
			t.Errorf("sent %q, want what was posted before the end, the farewell and the tail", got)
		}
		if m.conn.Pending() != 0 {
			t.Errorf("%d bytes pending of a frame that was posted after the end", m.conn.Pending())
		}
	})
}

// TestFramesOfOneTurnLeaveInOneWrite is what makes bursts cheap.
func TestFramesOfOneTurnLeaveInOneWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, nil)
		release := hold(l)
		var want []byte
		for i := range 100 {
			frame := fmt.Appendf(nil, "frame %d;", i)
			want = append(want, frame...)
			m.conn.Post(frame)
		}
		release()
		synctest.Wait()
		if m.sink.writes != 1 || !bytes.Equal(m.sink.got, want) {
			t.Errorf("%d writes of %d bytes, want 1 of %d", m.sink.writes, len(m.sink.got), len(want))
		}
		m.conn.Close(loop.Ended)
	})
}

// TestFramesStayWholeAndInOrder posts from several goroutines to a socket that
// takes random numbers of bytes.
func TestFramesStayWholeAndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const posters, frames = 4, 200
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, func(m *memory) { m.sink.room = 0 })
		var wg sync.WaitGroup
		for p := range posters {
			wg.Go(func() {
				for i := range frames {
					m.conn.Post(fmt.Appendf(nil, "%d:%d:%s\n", p, i, strings.Repeat("x", i%50)))
				}
			})
		}
		wg.Wait()
		rnd := rand.New(rand.NewPCG(1, 2))
		for m.conn.Pending() > 0 {
			m.sink.give(1 + rnd.IntN(300))
			synctest.Wait()
		}
		var next [posters]int
		for line := range strings.Lines(string(m.sink.got)) {
			var p, i int
			if _, err := fmt.Sscanf(line, "%d:%d:", &p, &i); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			if want := fmt.Sprintf("%d:%d:%s\n", p, next[p], strings.Repeat("x", i%50)); line != want {
				t.Fatalf("line %q, want %q", line, want)
			}
			next[p]++
		}
		if next != [posters]int{frames, frames, frames, frames} {
			t.Errorf("got %d frames of the posters, want %d each", next, frames)
		}
		if got, want := m.conn.Sent(), int64(len(m.sink.got)); got != want {
			t.Errorf("Sent is %d, want %d", got, want)
		}
		m.conn.Close(loop.Ended)
	})
}

func TestPostRefusesWholeFramesAndTellsWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, &loop.Config{Limit: 100}, 0, func(m *memory) { m.sink.room = 0 })
		frame := bytes.Repeat([]byte("x"), 30)
		for i, want := range []bool{true, true, true, false, false} {
			if got := m.conn.Post(frame); got != want {
				t.Errorf("post %d of 30 bytes at limit 100: %v, want %v", i+1, got, want)
			}
		}
		synctest.Wait()
		m.sink.give(39)
		synctest.Wait()
		if n := m.owner.drains(); m.conn.Pending() != 51 || n != 0 {
			t.Errorf("pending %d, Drained called %d times; want 51 and not yet", m.conn.Pending(), n)
		}
		m.sink.give(1)
		synctest.Wait()
		if n := m.owner.drains(); m.conn.Pending() != 50 || n != 1 {
			t.Errorf("pending %d, Drained called %d times; want 50 and once", m.conn.Pending(), n)
		}
		m.sink.give(-1)
		synctest.Wait()
		if n := m.owner.drains(); len(m.sink.got) != 90 || n != 1 {
			t.Errorf("%d bytes sent, Drained called %d times; want 90 and once", len(m.sink.got), n)
		}
		if !m.conn.Post(make([]byte, 1000)) {
			t.Error("a frame larger than the limit was refused though nothing waits")
		}
		m.conn.Close(loop.Ended)
	})
}

// TestEmptyFramesDoNotStopTheLoop would hang, were they waited for.
func TestEmptyFramesDoNotStopTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, func(m *memory) { m.owner.farewell = []byte{} })
		m.conn.Post(nil)
		m.conn.Post([]byte("a"))
		m.conn.Post([]byte{})
		m.conn.Post([]byte("b"))
		m.conn.End(loop.Ended)
		synctest.Wait()
		if got := string(m.sink.got); got != "ab" || !slices.Equal(m.owner.closed, []loop.Reason{loop.Ended}) {
			t.Errorf("sent %q and closed %v, want ab and ended", got, m.owner.closed)
		}
	})
}

func TestEachVisitsEveryConnectionOnItsLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(3)
		conns := make(map[*loop.Conn]int)
		loops := make(map[*loop.Loop]int)
		for range 90 {
			m := open(e.Pick(), roomy, 0, nil)
			conns[&m.conn] = 0
			loops[m.conn.Loop()]++
		}
		if e.Len() != 90 || len(loops) != 3 {
			t.Errorf("%d connections on %d loops, want 90 on 3", e.Len(), len(loops))
		}
		var mu sync.Mutex
		e.Each(func(c *loop.Conn) {
			mu.Lock()
			conns[c]++
			mu.Unlock()
			c.Enqueue([]byte("seen")) // the race detector reports if this is another goroutine
			c.Kick()
		})
		for c, n := range conns {
			if n != 1 {
				t.Fatalf("a connection was visited %d times", n)
			}
			c.End(loop.Ended)
		}
		synctest.Wait()
		if e.Len() != 0 {
			t.Errorf("%d connections after all have ended", e.Len())
		}
	})
}

// TestCloseTakesNoHeedOfWhatWaits also checks that owner and socket are told once.
func TestCloseTakesNoHeedOfWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		s := &script{}
		m := open(l, roomy, 0, func(m *memory) { m.sink.room = 2 })
		on(l, func() { m.conn.SetSource(s) })
		m.conn.Post([]byte("abcd"))
		synctest.Wait()
		m.conn.Close(loop.TooSlow)
		m.conn.Close(loop.Ended)
		m.conn.End(loop.Shutdown)
		m.conn.Post([]byte("late"))
		m.sink.give(-1)
		synctest.Wait()
		if !slices.Equal(m.owner.closed, []loop.Reason{loop.TooSlow}) || len(m.owner.leaving) != 0 {
			t.Errorf("closed %v, farewell for %v; want too slow, and none", m.owner.closed, m.owner.leaving)
		}
		if !slices.Equal(m.sink.clean, []bool{false}) || string(m.sink.got) != "ab" || s.closed != 1 {
			t.Errorf("socket closed with clean %v after %q, source closed %d times; want false, ab, once", m.sink.clean, m.sink.got, s.closed)
		}
		if m.conn.Pending() != 2 {
			t.Errorf("pending %d; want 2: what was posted later no longer counts", m.conn.Pending())
		}
	})
}

func TestBrokenSocketClosesItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, func(m *memory) { m.sink.err = fmt.Errorf("on purpose") })
		m.conn.Post([]byte("x"))
		synctest.Wait()
		if !slices.Equal(m.owner.closed, []loop.Reason{loop.WriteFailed}) {
			t.Errorf("closed %v, want write failed", m.owner.closed)
		}
	})
}

// TestLoopsWakeAfterTheirGoroutineEnded goes through many lives of a loop: mail
// that comes while the old goroutine ends must reach the new one.
func TestLoopsWakeAfterTheirGoroutineEnded(t *testing.T) {
	e := loop.New(1)
	l := e.Pick()
	for i := range 5000 {
		closed := make(chan struct{})
		m := open(l, roomy, 0, func(m *memory) { m.owner.onClose = func(loop.Reason) { close(closed) } })
		for range 3 {
			woken := make(chan struct{})
			l.Do(func() { close(woken) })
			await(t, woken, "life %d: the loop sleeps over its mail", i)
		}
		m.conn.Close(loop.Ended)
		await(t, closed, "life %d: the loop does not close", i)
	}
}

// TestClosedConnectionsAreCountedByReason closes some on each of two loops.
func TestClosedConnectionsAreCountedByReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(2)
		want := map[loop.Reason]int64{loop.Ended: 1, loop.ClientGone: 2, loop.Shutdown: 3, loop.Panicked: 4}
		for reason, n := range want {
			for range n {
				open(e.Pick(), roomy, 0, nil).conn.Close(reason)
			}
		}
		twice := open(e.Pick(), roomy, 0, nil)
		twice.conn.Close(loop.MaxAge)
		twice.conn.Close(loop.TooSlow)
		want[loop.MaxAge] = 1
		synctest.Wait()
		for r := loop.Open; r < loop.Reasons; r++ {
			if got := e.Closed(r); got != want[r] {
				t.Errorf("%d closed for reason %q, want %d", got, r, want[r])
			}
		}
	})
}
