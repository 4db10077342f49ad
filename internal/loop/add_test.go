package loop_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

var errBroken = errors.New("broken on purpose")

// TestConnectionsMayBeUsedBeforeTheyAreAdded has another one in the slot that a
// connection without one would take for its own.
func TestConnectionsMayBeUsedBeforeTheyAreAdded(t *testing.T) {
	for name, use := range map[string]func(l *loop.Loop, c *loop.Conn){
		"nothing": func(*loop.Loop, *loop.Conn) {},
		"post":    func(_ *loop.Loop, c *loop.Conn) { c.Post([]byte("early ")) },
		"end":     func(_ *loop.Loop, c *loop.Conn) { c.End(loop.Revoked) },
		"close":   func(_ *loop.Loop, c *loop.Conn) { c.Close(loop.Revoked) },
		"room":    func(_ *loop.Loop, c *loop.Conn) { c.Room() },
		"source": func(l *loop.Loop, c *loop.Conn) { // breaks before any letter
			l.Do(func() {
				c.SetSource(&script{})
				c.Short(nil, errBroken)
			})
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := loop.New(1)
			l := e.Pick()
			first := open(l, roomy, 0, nil)
			synctest.Wait()
			m := &memory{sink: sink{room: -1}}
			m.sink.conn = &m.conn
			m.conn.Init(l, roomy, &m.owner, -1, &m.sink, 0, false)
			use(l, &m.conn)
			synctest.Wait()
			m.conn.Add()
			synctest.Wait()
			open := 2 - len(m.owner.reasons())
			if seen := each(e); e.Len() != open || seen != open {
				t.Errorf("%s: %d connections, of which Each finds %d; want %d", name, e.Len(), seen, open)
			}
			m.conn.Post([]byte("late"))
			m.conn.End(loop.Revoked)
			first.conn.Post([]byte("first"))
			first.conn.End(loop.Ended)
			synctest.Wait()
			if got := string(first.sink.got); got != "first" || !slices.Equal(first.owner.closed, []loop.Reason{loop.Ended}) {
				t.Errorf("%s: the other connection got %q and was closed for %v", name, got, first.owner.closed)
			}
			if len(m.owner.closed) != 1 || len(m.sink.clean) != 1 || e.Len() != 0 {
				t.Errorf("%s: closed for %v, socket %d times, %d connections left", name, m.owner.closed, len(m.sink.clean), e.Len())
			}
			if want := map[string]string{"nothing": "late", "post": "early late", "room": "late"}[name]; string(m.sink.got) != want {
				t.Errorf("%s: sent %q, want %q", name, m.sink.got, want)
			}
		})
	}
}

// TestLingerCountsFromAnEndBeforeTheConnectionIsAdded has a client that takes nothing.
func TestLingerCountsFromAnEndBeforeTheConnectionIsAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := loop.New(1).Pick()
		time.Sleep(time.Hour) // the loop's time is since its start
		start, at := time.Now(), time.Duration(0)
		m := &memory{sink: sink{room: 0}}
		m.sink.conn = &m.conn
		m.owner.onClose = func(loop.Reason) { at = time.Since(start) }
		m.conn.Init(l, roomy, &m.owner, -1, &m.sink, 0, false)
		m.conn.Post([]byte("never taken"))
		m.conn.End(loop.Expired)
		synctest.Wait()
		m.conn.Add()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if !onTime([]time.Duration{at}, []time.Duration{5 * time.Second}) {
			t.Errorf("closed after %v, want 5s", at)
		}
	})
}

// each counts the connections that Each finds.
func each(e *loop.Engine) (n int) {
	e.Each(func(*loop.Conn) { n++ }) // of one loop
	return n
}

// TestPipesAreNotSockets counts connections of all kinds.
func TestPipesAreNotSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(2)
		own := []*memory{open(e.Pick(), roomy, 0, nil), open(e.Pick(), roomy, 0, nil)}
		courier := openCourier(e.Pick(), roomy, func([]byte) error { return nil })
		pipe := &memory{}
		pipe.conn.Init(e.Pick(), roomy, &pipe.owner, -1, loop.NewPipe(&pipe.conn), 0, false)
		pipe.conn.Add()
		want := func(sockets, all int) {
			t.Helper()
			synctest.Wait()
			if e.Sockets() != sockets || e.Len() != all {
				t.Errorf("%d sockets of %d connections, want %d of %d", e.Sockets(), e.Len(), sockets, all)
			}
		}
		want(3, 4)
		own[0].conn.Close(loop.Ended)
		own[0].conn.Close(loop.Ended)
		want(2, 3)
		pipe.conn.End(loop.Ended)
		want(2, 2)
		courier.conn.End(loop.Ended)
		own[1].conn.Close(loop.Ended)
		want(0, 0)
	})
}

// TestOwnerIsToldBeforeTheSocketIsClosed is for what the owner frees: a client that
// sees the end and comes back finds it free.
func TestOwnerIsToldBeforeTheSocketIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(loop.New(1).Pick(), roomy, 0, func(m *memory) {
			m.owner.onClose = func(loop.Reason) {
				if len(m.sink.clean) > 0 {
					t.Error("the socket was closed first")
				}
			}
		})
		m.conn.Close(loop.Ended)
		synctest.Wait()
		if len(m.owner.closed) != 1 || len(m.sink.clean) != 1 {
			t.Errorf("owner told %d times, socket closed %d times, want once each", len(m.owner.closed), len(m.sink.clean))
		}
	})
}
