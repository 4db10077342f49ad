package disklog_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// In a bubble of package synctest it is the year 2000. So a file that was written
// outside of one meets a clock that has stepped back by decades when it is opened
// inside, and the other way round.

var clockOptions = disklog.Options{History: eventlog.Options{
	Default: eventlog.Retention{MaxEntries: 50, MaxAge: time.Hour}, KeyWindow: 10 * time.Minute,
}}

// keyed is a message with an idempotency key.
func keyed(topic, key string) *eventlog.Entry {
	e := message(topic, key)
	e.IdempotencyKey = key
	return e
}

// read returns all that is kept of a topic, and up to where it has lost messages.
func read(t testing.TB, l eventlog.Log, topic string) (es []*eventlog.Entry, lost uint64) {
	t.Helper()
	p, err := l.Read(t.Context(), sel(t, topic), 0, 1<<62, eventlog.Limit{Entries: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p.Entries, p.Lost
}

func TestClockThatHasSteppedBack(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, clockOptions)
	add(t, l, keyed("a", "1"), keyed("a", "2"))
	es, _ := read(t, l, "a")
	newest := es[1].Time
	l.Close()
	synctest.Test(t, func(t *testing.T) {
		if !time.Now().Before(newest.AddDate(-1, 0, 0)) {
			t.Fatalf("it is %v: the clock has not stepped back", time.Now())
		}
		l := open(t, dir, clockOptions)
		for i := range 60 {
			e, again := keyed("a", fmt.Sprint("new ", i)), keyed("a", "2")
			if add(t, l, e, again); e.Time.Before(newest) || e.Duplicate {
				t.Fatalf("message %d: time %v, duplicate %v; the newest before had %v", i, e.Time, e.Duplicate, newest)
			}
			if !again.Duplicate || again.Seq != 2 {
				t.Fatalf("key 2 is forgotten after %v: position %d", time.Duration(i)*time.Minute, again.Seq)
			}
			newest = e.Time
			time.Sleep(time.Minute)
		}
		if es, lost := read(t, l, "a"); len(es) != 50 || lost != 12 {
			t.Errorf("%d messages are kept, lost up to %d; want 50 and 12: as many as are to be kept, whatever their age", len(es), lost)
		}
		l.Close()
	})
	l = open(t, dir, clockOptions)
	es, _ = read(t, l, "a")
	for i, e := range es {
		if i > 0 && e.Time.Before(es[i-1].Time) {
			t.Errorf("position %d has time %v, the one before it %v", e.Seq, e.Time, es[i-1].Time)
		}
	}
	if len(es) != 50 || time.Until(es[49].Time) > 0 {
		t.Errorf("%d messages are kept when the clock is right again, the newest from %v", len(es), es[len(es)-1].Time)
	}
	again := keyed("a", "new 59")
	if add(t, l, again); !again.Duplicate {
		t.Errorf("a key is forgotten when the clock is right again")
	}
}

func TestClockThatHasJumpedAhead(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, dir, clockOptions)
		add(t, l, keyed("a", "1"), keyed("a", "2"))
		l.Close()
	})
	l := open(t, dir, clockOptions)
	if es, lost := read(t, l, "a"); len(es) != 0 || lost != 2 {
		t.Errorf("%d messages are kept after decades, lost up to %d; want 0 and 2", len(es), lost)
	}
	e := keyed("a", "2")
	if add(t, l, e); e.Duplicate || e.Seq != 3 || time.Since(e.Time) > time.Minute {
		t.Errorf("a key of decades ago: duplicate %v, position %d, time %v", e.Duplicate, e.Seq, e.Time)
	}
	if es, _ := read(t, l, "a"); len(es) != 1 {
		t.Errorf("%d messages are kept, want 1", len(es))
	}
}
