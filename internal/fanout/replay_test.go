package fanout_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
)

// A meter notes what a reader was charged.
type meter struct{ bytes, calls atomic.Int64 }

func (m *meter) add(n int64) {
	m.bytes.Add(n)
	m.calls.Add(1)
}

func (m *meter) want(t *testing.T, when string, bytes, calls int64) {
	t.Helper()
	synctest.Wait()
	if b, c := m.bytes.Load(), m.calls.Load(); b != bytes || c != calls {
		t.Errorf("%s: %d bytes were charged in %d calls, want %d in %d", when, b, c, bytes, calls)
	}
}

// onDisk is a log that cannot answer at once.
type onDisk struct{ eventlog.Log }

// TestReplayIsChargedByThePage follows a reader from its replay to live, behind, and back.
func TestReplayIsChargedByThePage(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBed(t, eventlog.Options{})
			if slow {
				b.on(func() {
					b.loop.RemoveTable(b.table)
					b.table = fanout.NewTable(b.loop, b.feed, onDisk{b.log}, b.enc)
					b.loop.AddTable(b.table)
				})
			}
			for i := range 200 {
				b.publish(fmt.Sprintf("%010d", i), "a")
				b.publish("not followed", "b")
			}
			var m meter
			f := b.follow(fanout.Join{Selector: selector("a"), Form: fanout.Text, Replayed: m.add})
			m.want(t, "replay of 200 messages", 200*(10+64), 4)
			for range 100 {
				b.publish("live", "a")
				synctest.Wait()
			}
			m.want(t, "live", 200*(10+64), 4)
			f.block()
			b.publish("cut off", "a")
			synctest.Wait()
			for range 10 {
				b.publish("while full", "a")
			}
			m.want(t, "behind, and not yet reading", 200*(10+64), 4)
			f.give(-1)
			m.want(t, "behind", 200*(10+64)+7+64+10*(10+64), 5)
			b.publish("live", "a")
			m.want(t, "live again", 200*(10+64)+7+64+10*(10+64), 5)
			b.check(f)
		})
	}
}

// TestNewestOnlyIsChargedForWhatIsSkipped reads a hundred messages to send the last.
func TestNewestOnlyIsChargedForWhatIsSkipped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		var m meter
		f := b.follow(fanout.Join{Selector: selector("a"), Form: fanout.Text, Slow: fanout.Latest, Replayed: m.add})
		b.stall(f.client, 100, "a")
		f.give(-1)
		m.want(t, "a hundred, of which one is sent", 6+64+10*(2+64)+90*(3+64), 1)
		if got := string(f.bytes()); got != "a99\n" {
			t.Errorf("sent %q", got)
		}
		f.conn.Close(loop.Ended)
	})
}

// TestReaderWithoutHistoryIsNotCharged joins at the end of the log.
func TestReaderWithoutHistoryIsNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed(t, eventlog.Options{})
		b.publish("old", "a")
		var m meter
		f := b.follow(fanout.Join{Selector: selector("a"), After: 1, Replayed: m.add})
		synctest.Wait()
		b.publish("live", "a")
		m.want(t, "live", 0, 0)
		b.check(f)
	})
}
