package hub_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// stall publishes large messages, which begin with their position, to topic a
// until its one reader, which does not read, gets no more, and then 40 of them.
func (s *server) stall() {
	s.t.Helper()
	padding := " " + strings.Repeat("x", 32<<10)
	for more := 0; more < 40; {
		delivered := s.hub.Stats().Delivered
		s.publish(fmt.Sprint(s.hub.Log().Head()+1, padding), "a")
		if s.hub.Log().Head() > 1000 {
			s.t.Fatal("the reader's socket takes more than 30 MiB")
		}
		if more > 0 || !s.deliversMore(delivered) {
			more++
		}
	}
}

// deliversMore reports false if nothing is delivered for a tenth of a second: the
// kernel's buffers are full.
func (s *server) deliversMore(than int64) bool {
	for since := time.Now(); s.hub.Stats().Delivered == than; runtime.Gosched() {
		if time.Since(since) > 100*time.Millisecond {
			return false
		}
	}
	return true
}

// readOn reads the messages of topic a until something else comes, or the end,
// and checks that they follow each other. It returns the last position, and what
// else came.
func (r *reader) readOn(last int) (int, string, string, []byte) {
	r.t.Helper()
	for {
		e, err := r.events.Next()
		if err == io.EOF {
			return last, "", "EOF", nil
		}
		if err != nil {
			r.t.Fatalf("after %d: %v", last, err)
		}
		var n int
		if _, err := fmt.Sscan(string(e.Data), &n); err != nil || e.Type != "" || n != last+1 {
			return last, e.Type, e.ID, e.Data
		}
		last = n
	}
}

// TestStalledReaderIsToldWhatItMissed has it catch up after more was published than
// is kept: what it got, what it is told to have missed and what follows make up
// the log.
func TestStalledReaderIsToldWhatItMissed(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		const kept = 10
		s := serve(t, kind, hub.Options{History: keep(kept)}, nil)
		r := s.get("?topic=a")
		r.want(s.id(0) + ": ")
		s.stall()
		head := int(s.hub.Log().Head())
		s.publish("end", "a")

		last, typ, id, data := r.readOn(0)
		var gap hub.Gap
		if err := json.Unmarshal(data, &gap); typ != hub.GapEvent || err != nil {
			t.Fatalf("after %d came %q %.100q, want a notice", last, typ, data)
		}
		want := hub.Gap{Reason: "slow", Requested: s.id(last), Oldest: s.id(head + 1 - kept + 1), Newest: s.id(head + 1), Policy: "diff"}
		if gap != want || id != s.id(head+1-kept) {
			t.Errorf("after %d of %d the notice is %+v with ID %s, want %+v with ID %s", last, head, gap, id, want, s.id(head+1-kept))
		}
		last, _, id, data = r.readOn(head + 1 - kept)
		if last != head || id != s.id(head+1) || string(data) != "end" {
			t.Errorf("after the notice came messages up to %d, then %.100q with ID %s; want up to %d, then the end", last, data, id, head)
		}
		if n := s.hub.Gaps()["slow"]; n != 1 {
			t.Errorf("%d such notices are counted, want 1", n)
		}
	})
}

func TestStalledReaderGetsTheLatestIfItWantsThat(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{History: keep(300)}, func(h *hub.Hub) http.Handler {
			return h.HandlerFor(hub.Subscription{Topics: []string{"a", "b"}, Slow: hub.Latest})
		})
		r := s.get("")
		r.want(s.id(0) + ": ")
		s.stall()
		for i := range 200 {
			for _, key := range []string{"x", "", "y"} {
				publish(t, s.hub, hub.Message{Topics: []string{"b", "a"}, Key: key, Data: fmt.Appendf(nil, "%s%d", key, i)})
			}
		}
		head := int(s.hub.Log().Head())
		s.publish("end", "a")
		e := r.next()
		for at := 0; strings.HasSuffix(string(e.Data), "x"); e = r.next() { // it may have been behind more than once
			var n int
			if _, err := fmt.Sscan(string(e.Data), &n); err != nil || n <= at {
				t.Fatalf("after %d came %.100q", at, e.Data)
			}
			at = n
		}
		if e.Type != "" || e.ID != s.id(head-2) || string(e.Data) != "x199" {
			t.Errorf("after what the sockets held came %q %q %.100q, want the newest of key x", e.Type, e.ID, e.Data)
		}
		r.want(s.id(head-1)+": 199", s.id(head)+": y199", s.id(head+1)+": end")
	})
}

// TestStalledReaderIsClosedIfItWantsThat also comes back with the last ID.
func TestStalledReaderIsClosedIfItWantsThat(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{History: keep(10), Slow: hub.Cut}, nil)
		r := s.get("?topic=a")
		r.want(s.id(0) + ": ")
		s.stall()
		last, typ, id, data := r.readOn(0)
		if id != "EOF" {
			t.Fatalf("after %d came %q %q %.100q, want the end of the stream", last, typ, id, data)
		}
		eventually(t, "the reader is gone", func() bool { return s.hub.Stats().Readers == 0 })
		again := s.get("?topic=a", from(s.id(last)))
		var gap hub.Gap
		e := again.next()
		if err := json.Unmarshal(e.Data, &gap); err != nil || gap.Reason != "expired" || gap.Requested != s.id(last) {
			t.Errorf("it is told %+v, %v; want a notice for what follows %d", gap, err, last)
		}
		var first int
		e = again.next()
		if _, err := fmt.Sscan(string(e.Data), &first); err != nil || first != int(s.hub.Log().Head())-9 {
			t.Errorf("it goes on with %.20q, want the oldest kept", e.Data)
		}
	})
}

// TestStuckReaderChangesNothingForOthers has one of three readers stop reading.
func TestStuckReaderChangesNothingForOthers(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		const messages = 300
		s := serve(t, kind, hub.Options{}, nil)
		stuck := s.get("?topic=a")
		stuck.want(s.id(0) + ": ")
		done := make(chan int, 2)
		for range 2 {
			quick := s.get("?topic=a")
			quick.want(s.id(0) + ": ")
			go func() {
				last, _, _, _ := quick.readOn(0)
				done <- last
			}()
		}
		eventually(t, "all are there", func() bool { return s.hub.Stats().Readers == 3 })
		for i := range messages {
			s.publish(fmt.Sprint(i+1, strings.Repeat("x", 20_000)), "a")
		}
		s.publish("end", "a")
		for range 2 {
			if last := <-done; last != messages {
				t.Errorf("a quick reader got messages up to %d, want %d", last, messages)
			}
		}
		if last, _, _, data := stuck.readOn(0); last != messages || string(data) != "end" {
			t.Errorf("the stuck reader, once it reads, gets messages up to %d, then %.100q; want %d, then the end", last, data, messages)
		}
	})
}

// TestTopicsThatKeepNothing reach connected readers only.
func TestTopicsThatKeepNothing(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{History: hub.History{
			Rules: []hub.Rule{{Pattern: "live/**", Retention: hub.Retention{MaxEntries: -1}}},
		}}, nil)
		both := s.get("?topic=live/*&topic=kept")
		both.want(s.id(0) + ": ")
		live := s.get("?topic=live/a")
		live.want(s.id(0) + ": ")
		eventually(t, "both are live", func() bool { return s.hub.Stats().Readers == 2 && s.hub.Stats().Behind == 0 })
		s.publish("1", "live/a")
		s.publish("2", "kept")
		s.publish("3", "live/b", "kept")
		s.publish("4", "live/a")
		both.want(s.id(1)+": 1", s.id(2)+": 2", s.id(3)+": 3", s.id(4)+": 4")
		live.want(s.id(1)+": 1", s.id(4)+": 4")

		for _, c := range []struct {
			query, id string
			want      string
		}{
			{"?topic=live/*", s.id(4), "id: " + s.id(4) + "\n\n"},
			{"?topic=live/a", s.id(1), gapEvent(s.id(4), hub.Gap{Reason: "expired", Requested: s.id(1), Policy: "diff"})},
			{"?topic=live/a&since=start", "", "id: " + s.id(0) + "\n\n"},
			{"?topic=kept&topic=live/b", s.id(1), "id: " + s.id(1) + "\n\nid: " + s.id(2) + "\ndata: 2\n\nid: " + s.id(3) + "\ndata: 3\n\n"},
			{"?topic=live/b&since=start", "", "id: " + s.id(0) + "\n\n"},
		} {
			header := []string{from(c.id)}
			if c.id == "" {
				header = nil
			}
			r := s.get(c.query, header...)
			r.raw(c.want)
			eventually(t, "all are live", func() bool { return s.hub.Stats().Behind == 0 && s.hub.Stats().Readers == 3 })
			r.drop()
			eventually(t, "it is gone", func() bool { return s.hub.Stats().Readers == 2 })
		}
	})
}
