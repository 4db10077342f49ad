package loop_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/internal/loop"
)

func TestSourceIsAskedWhenNothingIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, nil)
		s := &script{frames: []string{"c", "d"}, again: 3}
		release := hold(l)
		m.conn.Post([]byte("a"))
		l.Do(func() { m.conn.SetSource(s) })
		m.conn.Post([]byte("b"))
		release()
		synctest.Wait()
		s.add("e")
		l.Do(m.conn.Kick)
		synctest.Wait()
		if got := string(m.sink.got); got != "abcde" {
			t.Errorf("sent %q, want what was posted, then what the source has: abcde", got)
		}
		if m.conn.Pending() != 0 {
			t.Errorf("pending %d, want 0: the frames of a source do not count", m.conn.Pending())
		}
		m.conn.Close(loop.Ended)
	})
}

// A flood is a Source that has more to send than its share of a turn.
type flood struct {
	script
	first func() // called by the first Refill
}

func (f *flood) Refill(c *loop.Conn) bool {
	if f.first != nil {
		f.first()
		f.first = nil
	}
	return f.script.Refill(c)
}

func TestOneStreamDoesNotHoldUpTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, nil)
		ahead := -1
		f := &flood{first: func() { l.Do(func() { ahead = len(m.sink.bytes()) }) }}
		for range 100 {
			f.add(strings.Repeat("x", 64<<10))
		}
		l.Do(func() { m.conn.SetSource(f) })
		synctest.Wait()
		if all := len(m.sink.got); all != 100*64<<10 || ahead > 512<<10 {
			t.Errorf("the loop came to its mail after %d of %d bytes", ahead, all)
		}
		m.conn.Close(loop.Ended)
	})
}

func TestEndSendsPostedFramesThenTheSourcesThenTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, &loop.Config{Limit: 1000, Tail: []byte("|tail")}, 0, func(m *memory) {
			m.sink.room = 0
			m.owner.farewell = []byte("|bye")
		})
		s := &script{frames: []string{"|s1", "|s2"}, again: 2}
		m.conn.Post([]byte("posted"))
		l.Do(func() { m.conn.SetSource(s) })
		m.conn.End(loop.MaxAge)
		synctest.Wait()
		if !slices.Equal(m.owner.left(), []loop.Reason{loop.MaxAge}) || len(m.owner.reasons()) != 0 {
			t.Errorf("owner told %v and closed %v; want told of the end at once, and not closed", m.owner.left(), m.owner.reasons())
		}
		for range 40 {
			m.sink.give(1)
			synctest.Wait()
		}
		if got, want := string(m.sink.got), "posted|s1|s2|bye|tail"; got != want {
			t.Errorf("sent %q, want %q", got, want)
		}
		if !slices.Equal(m.sink.clean, []bool{true}) || !slices.Equal(m.owner.closed, []loop.Reason{loop.MaxAge}) || s.closed != 1 {
			t.Errorf("socket closed with clean %v, owner %v, source %d times; want true, maximum age, once", m.sink.clean, m.owner.closed, s.closed)
		}
	})
}

// TestNothingFollowsTheTail ends a stream whose socket takes only half of the
// tail, and whose source then has more.
func TestNothingFollowsTheTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, &loop.Config{Limit: 1000, Tail: []byte("0\r\n\r\n")}, 0, func(m *memory) { m.sink.room = 2 })
		s := &script{}
		on(l, func() { m.conn.SetSource(s) })
		m.conn.End(loop.Ended)
		synctest.Wait()
		s.add("more")
		m.sink.give(-1)
		synctest.Wait()
		if got := string(m.sink.got); got != "0\r\n\r\n" || !slices.Equal(m.owner.closed, []loop.Reason{loop.Ended}) {
			t.Errorf("sent %q and closed %v, want the tail alone", got, m.owner.closed)
		}
	})
}

// TestShortSharedWriteIsFinishedFirst has a source write past the queue, as
// package fanout does.
func TestShortSharedWriteIsFinishedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, func(m *memory) { m.sink.room = 3 })
		s := &script{}
		on(l, func() { m.conn.SetSource(s) })
		release := hold(l)
		m.conn.Post([]byte("private"))
		l.Do(func() {
			n, err := m.conn.WriteShared([]byte("shared"))
			if n != 3 || err != nil {
				t.Errorf("shared write took %d, %v; want 3", n, err)
			}
			m.conn.Short([]byte("shared")[n:], err)
			if !m.conn.Stalled() {
				t.Error("not stalled after a short write")
			}
		})
		release()
		synctest.Wait()
		if s.stalled != 0 {
			t.Error("Stalled was called for a write that the source made itself")
		}
		s.add("next")
		m.sink.give(5)
		synctest.Wait()
		if got := string(m.sink.bytes()); got != "sharedpr" || s.stalled != 1 {
			t.Errorf("sent %q, Stalled called %d times; want sharedpr, once", got, s.stalled)
		}
		m.sink.give(-1)
		synctest.Wait()
		if got := string(m.sink.got); got != "sharedprivatenext" {
			t.Errorf("sent %q, want sharedprivatenext", got)
		}
		m.conn.Close(loop.Ended)
	})
}

// A sharer is a Source that tells what it has written past the queue in the end.
type sharer struct {
	script
	conn *loop.Conn
}

func (s *sharer) Closed() { s.conn.CountShared(40) }

func TestSentCountsSharedBytesOnceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, nil)
		on(l, func() { m.conn.SetSource(&sharer{conn: &m.conn}) })
		m.conn.Post([]byte("private"))
		m.conn.End(loop.Ended)
		synctest.Wait()
		if m.conn.Sent() != 47 {
			t.Errorf("Sent is %d, want 7 + 40", m.conn.Sent())
		}
	})
}

type table struct {
	steps   int
	pending bool
}

func (t *table) Step() bool {
	if t.pending {
		t.steps++
	}
	t.pending = t.pending && t.steps%3 != 0
	return t.pending
}
func (t *table) Pending() bool { return t.pending }

func TestTablesAreSteppedUntilNothingIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		m := open(l, roomy, 0, nil) // keeps the loop alive
		a, b := &table{pending: true}, &table{pending: true}
		on(l, func() { l.AddTable(a); l.AddTable(b) })
		synctest.Wait()
		if a.steps != 3 || b.steps != 3 {
			t.Errorf("stepped %d and %d times, want 3 each", a.steps, b.steps)
		}
		on(l, func() { l.RemoveTable(a); a.pending, b.pending = true, true })
		synctest.Wait()
		if a.steps != 3 || b.steps != 6 {
			t.Errorf("stepped %d and %d times, want 3 and, for the one that is left, 6", a.steps, b.steps)
		}
		m.conn.Close(loop.Ended)
	})
}
