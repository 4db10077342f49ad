package loop_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/loop"
)

// barring are the reasons after which a client may have nothing more.
var barring = []loop.Reason{loop.Expired, loop.Revoked}

// TestBarredClientsGetNothingMoreOfTheirSource ends streams whose source has more. What
// was queued goes out.
func TestBarredClientsGetNothingMoreOfTheirSource(t *testing.T) {
	for _, reason := range append([]loop.Reason{loop.MaxAge}, barring...) {
		synctest.Test(t, func(t *testing.T) {
			l := loop.New(1).Pick()
			m := open(l, &loop.Config{Limit: 1000, Tail: []byte("|tail")}, 0, func(m *memory) { m.sink.room = 2 })
			s := &script{frames: []string{"|s1", "|s2"}}
			on(l, func() { m.conn.SetSource(s) })
			synctest.Wait() // the socket is full amid the first frame of the source
			m.conn.Post([]byte("posted"))
			m.conn.End(reason)
			synctest.Wait()
			m.sink.give(-1)
			synctest.Wait()
			want := "|s1posted|tail"
			if reason == loop.MaxAge {
				want = "|s1posted|s2|tail"
			}
			if got := string(m.sink.got); got != want {
				t.Errorf("%v: sent %q, want %q", reason, got, want)
			}
			if s.closed != 1 || !slices.Equal(m.owner.closed, []loop.Reason{reason}) || !slices.Equal(m.sink.clean, []bool{true}) {
				t.Errorf("%v: source closed %d times, owner %v, socket with clean %v; want once each, true", reason, s.closed, m.owner.closed, m.sink.clean)
			}
		})
	}
}

// TestEndingStreamIsBarred takes the source from a stream that ends for another reason.
func TestEndingStreamIsBarred(t *testing.T) {
	for _, reason := range barring {
		synctest.Test(t, func(t *testing.T) {
			l := loop.New(1).Pick()
			m := open(l, &loop.Config{Limit: 1000, Tail: []byte("|tail")}, 0, func(m *memory) { m.sink.room = 2 })
			s := &script{frames: []string{"|s1", "|s2"}}
			on(l, func() { m.conn.SetSource(s) })
			synctest.Wait()
			m.conn.End(loop.MaxAge)
			m.conn.End(loop.Ended) // changes nothing
			synctest.Wait()
			m.conn.End(reason)
			m.conn.End(reason)
			synctest.Wait()
			m.sink.give(-1)
			synctest.Wait()
			if got, want := string(m.sink.got), "|s1|tail"; got != want {
				t.Errorf("%v: sent %q, want %q", reason, got, want)
			}
			if s.closed != 1 || !slices.Equal(m.owner.closed, []loop.Reason{loop.MaxAge}) {
				t.Errorf("%v: source closed %d times, owner %v; want once, for its first reason", reason, s.closed, m.owner.closed)
			}
			m.conn.End(reason) // is too late
			synctest.Wait()
		})
	}
}

// TestWhatEachEndsIsEndedWhenItReturns has the loops busy with other things first.
func TestWhatEachEndsIsEndedWhenItReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := loop.New(2)
		var ms []*memory
		for range 6 {
			ms = append(ms, open(e.Pick(), roomy, 0, func(m *memory) { m.sink.room = 0 }))
		}
		busy := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(busy) })
		e.Each(func(c *loop.Conn) {
			c.Loop().Do(func() { <-busy })
			c.End(loop.Revoked)
		})
		for i, m := range ms {
			if got := m.owner.left(); !slices.Equal(got, []loop.Reason{loop.Revoked}) {
				t.Errorf("connection %d ends for %v when Each has returned, want access revoked", i, got)
			}
			m.conn.Close(loop.Ended)
		}
	})
}
