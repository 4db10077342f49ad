package kafka_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

// TestTwoShareTheirPartitions has a second feed join while messages flow, and leave.
func TestTwoShareTheirPartitions(t *testing.T) {
	t.Parallel()
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(2)
	apart := func(s *feed.Spec) { s.Topic = "in/{property.partition}" }
	first := start(t, bed, apart)
	send := func(from, to int) {
		c.send(numbersOf(0, from, to)...)
		c.send(numbersOf(1, from, to)...)
	}
	send(0, 500)
	second := start(t, bed, apart)
	received := func(r *feedtest.Running) func(s feed.Stats) bool {
		before := r.Stats().Received
		return func(s feed.Stats) bool { return s.Received > before }
	}
	n := 500
	for ok := received(second); !ok(second.Stats()); n += 10 {
		send(n, n+10)
	}
	bed.AwaitData("in/0", feedtest.Numbers(0, n))
	bed.AwaitData("in/1", feedtest.Numbers(0, n))
	ok := received(first)
	send(n, n+10)
	awaitStats(t, first, "its share", ok)
	bed.AwaitData("in/0", feedtest.Numbers(0, n+10))
	bed.AwaitData("in/1", feedtest.Numbers(0, n+10))
	second.Stop()
	send(n+10, n+20)
	bed.AwaitData("in/0", feedtest.Numbers(0, n+20))
	bed.AwaitData("in/1", feedtest.Numbers(0, n+20))
	if a, b := first.Stats(), second.Stats(); a.Duplicates+b.Duplicates > 0 || a.Failures+b.Failures > 0 {
		t.Errorf("Stats() = %+v and %+v", a, b)
	}
}

// TestGroupGoesOnWhileOneLogRefuses has a member that cannot deliver what it has let the
// others have their share.
func TestGroupGoesOnWhileOneLogRefuses(t *testing.T) {
	t.Parallel()
	c, full, bed := connect(t, shared), feedtest.New(t), feedtest.New(t)
	c.create(2)
	full.Log.Full.Store(true)
	var running runs
	stuck := startLogging(t, full, slog.New(&running), nil)
	c.send(numbersOf(0, 0, 100)...)
	c.send(numbersOf(1, 100, 200)...)
	stuck.AwaitState(feed.Failing)
	r := start(t, bed, nil)
	feedtest.Await(t, "the share of the other", func() error { return feedtest.Not(len(bed.Data("in")) == 100, "%d", len(bed.Data("in"))) })
	if n := running.n.Load(); r.Stats().State != feed.Running || stuck.Stats().State != feed.Failing || len(full.Data("in")) != 0 || n > 1 {
		t.Errorf("Stats() = %+v and, which said %d times that it was running, %+v", r.Stats(), n, stuck.Stats())
	}
	full.Log.Full.Store(false)
	want := feedtest.Numbers(0, 100)
	if bed.Data("in")[0] == "0" {
		want = feedtest.Numbers(100, 200)
	}
	full.AwaitData("in", want)
	stuck.AwaitState(feed.Running)
	if n := len(bed.Data("in")); n != 100 {
		t.Errorf("the other has %d messages", n)
	}
}

// runs counts how often a feed has come to be running.
type runs struct{ n atomic.Int64 }

func (r *runs) Enabled(context.Context, slog.Level) bool { return true }
func (r *runs) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *runs) WithGroup(string) slog.Handler            { return r }
func (r *runs) Handle(_ context.Context, line slog.Record) error {
	if line.Message == "feed running" {
		r.n.Add(1)
	}
	return nil
}

// TestPartitionsAreNotHandedOverWhileTheyAreDelivered holds the log up for longer than
// the group needs to hear of another member.
func TestPartitionsAreNotHandedOverWhileTheyAreDelivered(t *testing.T) {
	t.Parallel() // it mostly waits
	c, held, bed := connect(t, shared), feedtest.New(t), feedtest.New(t)
	c.create(2)
	c.send(numbersOf(0, 0, 100)...)
	c.send(numbersOf(1, 100, 200)...)
	held.Log.Hold = make(chan struct{})
	first := start(t, held, nil)
	awaitStats(t, first, "messages", func(s feed.Stats) bool { return s.Received > 0 })
	second := start(t, bed, nil)
	for late := time.Now().Add(4 * time.Second); time.Now().Before(late) && !t.Failed(); time.Sleep(5 * time.Millisecond) {
		if s := second.Stats(); s.Received > 0 {
			t.Errorf("the other has what the first delivers: %+v", s)
		}
	}
	close(held.Log.Hold)
	feedtest.Await(t, "all messages", func() error {
		n := len(bed.Data("in")) + len(held.Data("in"))
		return feedtest.Not(n == 200, "%d", n)
	})
	second.AwaitState(feed.Running)
	if a, b := first.Stats(), second.Stats(); a.Published+b.Published != 200 || a.Failures+b.Failures != 0 {
		t.Errorf("Stats() = %+v and %+v", a, b)
	}
}

// TestPartitionAddedLaterIsReadFromItsBegin also for a group that has started at the end.
func TestPartitionAddedLaterIsReadFromItsBegin(t *testing.T) {
	c, bed := connect(t, shared), feedtest.New(t)
	c.create(1)
	c.send(numbers(0, 10)...)
	end := func(s *feed.Spec) { s.Start = "end" }
	r := start(t, bed, end)
	c.awaitCommitted(10)
	r.Stop()
	c.grow(2)
	c = connect(t, shared) // which sees it
	c.send(numbersOf(1, 10, 20)...)
	start(t, bed, end)
	bed.AwaitData("in", feedtest.Numbers(10, 20))
}
