package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

// rounds is how often a server is killed at least.
const rounds = 50

// lives calls live for each life of the server, at least so many times and for about
// that long. When live returns, the server is killed.
func lives(s *server, book *ledger, atLeast int, d time.Duration, live func(round int)) (n int) {
	for start := time.Now(); n < atLeast || time.Since(start) < d; n++ {
		if n%7 == 6 { // killed while it starts
			s.launch()
			pause(rand.N(40 * time.Millisecond))
		} else {
			s.start()
			live(n)
		}
		s.kill()
		book.nextLife()
		book.check(s.t)
	}
	return n
}

// A heard message is one event that a reader got.
type heard struct{ id, data string }

// killConfig keeps everything but of one topic, from which something is deleted with
// nearly every message.
const killConfig = `
history:
  topics:
    - {topic: load/short, max-messages: 30}
`

func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	s := newServer(t, withConfig(t, killConfig)...)
	book := newLedger()
	forgetful := &forgetter{server: s}
	fns := append(killLoad(s, book), forgetful.run)
	for _, query := range []string{"topic=load/a&topic=load/c", "topic=load/short", "topic=load/*"} {
		fns = append(fns, newFollower(s.url, query, func(e sse.Event) {
			if e.Type != gapEvent { // the short topic has gaps
				book.saw(e.ID, string(e.Data))
			}
		}).run)
	}
	faithful := newFaithful(s, "topic=load/a&topic=load/b&topic=load/c")
	stop, stopFaithful := background(t, fns...), background(t, faithful.run)
	start := time.Now()
	n := lives(s, book, rounds, lasting(0, 0.4), func(int) {
		forgetful.check(t)
		pause(rand.N(150 * time.Millisecond))
	})
	took := time.Since(start)
	s.start()
	stop()
	forgetful.check(t)
	s.publish("load/a", "end")
	faithful.await(t)
	stopFaithful()
	checkLog(t, book, faithful.got)
	checkShort(t, s, book)
	all := newFaithful(s, "topic=load/a&topic=load/b&topic=load/c")
	all.catchUp(t, all.ended)
	if !slices.Equal(faithful.got, all.got) {
		t.Errorf("the reader that resumed got %d events, the log has %d; %s", len(faithful.got), len(all.got), difference(faithful.got, all.got))
	}
	t.Logf("%d kills in %v: %d messages acknowledged, %d kept; %d publishes without answer, %d replayed; a reader came back %d times; %d deletions",
		n, took.Round(time.Millisecond), len(book.acked), len(all.got), book.gone, book.replayed, faithful.visits-1, forgetful.deletions)
}

// withConfig returns the arguments of a server that keeps everything but for the
// rules of a configuration.
func withConfig(t *testing.T, text string) []string {
	return append(slices.Clip(everything), "--config", writeFile(t, "weir.yaml", text))
}

// killLoad returns publishers of all kinds.
func killLoad(s *server, book *ledger) (fns []func(context.Context)) {
	for _, p := range []publisher{
		{name: "single1", topic: "load/a", batch: 1, careful: true},
		{name: "single2", topic: "load/b", batch: 1, careful: true},
		{name: "single3", topic: "load/b", batch: 1, careful: true, every: 5 * time.Millisecond},
		{name: "batch1", topic: "load/a", batch: 20, careful: true, every: 10 * time.Millisecond},
		{name: "batch2", topic: "load/c", batch: 300, careful: true, every: 50 * time.Millisecond}, // stored in pieces
		{name: "careless", topic: "load/c", batch: 1},
		{name: "short1", topic: "load/short", batch: 1, careful: true},
		{name: "short2", topic: "load/short", batch: 1},
	} {
		p.server, p.ledger = s, book
		fns = append(fns, p.run)
	}
	return fns
}

// A faithful reader comes back after every kill, and wants all up to the message that
// says "end".
type faithful struct {
	*follower
	got []heard
	end chan struct{} // closed when that has come
}

func newFaithful(s *server, query string) *faithful {
	f := &faithful{end: make(chan struct{})}
	f.follower = newFollower(s.url, query, func(e sse.Event) {
		if e.Data == nil {
			return
		}
		f.got = append(f.got, heard{e.ID, string(e.Data)})
		if string(e.Data) == "end" {
			close(f.end)
		}
	})
	return f
}

func (f *faithful) ended() bool {
	select {
	case <-f.end:
		return true
	default:
		return false
	}
}

func (f *faithful) await(t *testing.T) {
	t.Helper()
	select {
	case <-f.end:
	case <-time.After(patience):
		t.Fatalf("the reader that resumes has not got everything within %v", patience)
	}
}

// checkLog compares the log with what publishers and readers were told.
func checkLog(t *testing.T, book *ledger, all []heard) {
	t.Helper()
	last := make(map[string]int) // by publisher: its last number
	for i, m := range all {
		book.saw(m.id, m.data)
		if i > 0 && place(m.id) <= place(all[i-1].id) {
			t.Fatalf("%q has %s, after %s", m.data, m.id, all[i-1].id)
		}
		name, number := sender(m.data)
		if number <= last[name] && number > 0 || number > last[name]+1 && name != "careless" {
			t.Fatalf("%q comes after number %d", m.data, last[name])
		}
		last[name] = number
	}
	book.check(t)
	there := make(map[string]bool)
	for _, m := range all {
		there[m.data] = true
	}
	gone := func(data string) bool { return !there[data] && !strings.HasPrefix(data, "short") }
	for _, r := range book.receipts(0) {
		if gone(r.data) {
			t.Fatalf("%q was acknowledged in life %d and is not there", r.data, r.life)
		}
	}
	for id, data := range book.message { // also what readers saw and no publisher knows to be stored
		if gone(data) {
			t.Fatalf("somebody was told that %q has %s, and it is not there", data, id)
		}
	}
	if len(book.acked) < 10*rounds {
		t.Errorf("%d messages were acknowledged: that is too few to show anything", len(book.acked))
	}
}

// checkShort checks that of the topic that keeps little the newest is there.
func checkShort(t *testing.T, s *server, book *ledger) {
	t.Helper()
	id := s.publish("load/short", "short end")
	got := make(map[string]bool)
	oldest := uint64(0)
	f := newFollower(s.url, "topic=load/short", func(e sse.Event) {
		book.saw(e.ID, string(e.Data))
		if got[string(e.Data)] = true; e.Data != nil && oldest == 0 {
			oldest = place(e.ID)
		}
	})
	f.catchUp(t, func() bool { return f.last == id })
	book.check(t)
	for id, data := range book.message {
		if strings.HasPrefix(data, "short") && place(id) >= oldest && !got[data] {
			t.Errorf("%q has %s and is not there, although older messages are", data, id)
		}
	}
	if n := len(got) - 1; n != 30 { // and where the stream begins
		t.Errorf("%d messages are kept, want 30", n)
	}
}

// difference describes where two sequences part.
func difference(a, b []heard) string {
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			return fmt.Sprintf("from number %d on they differ: %v and %v", i, a[min(i, len(a)):min(i+3, len(a))], b[min(i, len(b)):min(i+3, len(b))])
		}
	}
	return "they are equal"
}
