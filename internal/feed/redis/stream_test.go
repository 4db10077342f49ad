package redis_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func aStream(f *feed.Spec) { f.Stream, f.Group, f.Declare, f.Data = "events", "g", true, "{field.n}" }

// pending is how many entries were given to consumers and not acknowledged.
func (s *server) pending() int {
	s.t.Helper()
	parts, err := s.do("XPENDING", "events", "g").ToArray()
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := parts[0].AsInt64()
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

func (s *server) awaitPending(want int) {
	s.t.Helper()
	feedtest.Await(s.t, "pending entries", func() error {
		n := s.pending()
		return feedtest.Not(n == want, "%d are pending, want %d", n, want)
	})
}

func TestStreamIsReadInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.add("events", 0, 300)
	r := s.feed(bed, aStream)
	bed.AwaitData("in", feedtest.Numbers(0, 300))
	s.add("events", 300, 600)
	bed.AwaitData("in", feedtest.Numbers(0, 600))
	s.awaitPending(0)
	if s := r.Stats(); s.Published != 600 || s.Duplicates+s.Failures != 0 || s.Lag < 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestStreamEntryIsAnObject(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.do("XADD", "events", "5-1", "z", "1", "a", "\"\xff<", "topic", "x")
	s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Topic, f.Data = "{json.topic}/{key}/{id}", ""
	})
	bed.AwaitData("x/events/5-1", []string{`{"z":"1","a":"\"\ufffd<","topic":"x"}`})
}

func TestStreamFromTheEnd(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.add("events", 0, 5)
	s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Start = "end"
	}).AwaitState(feed.Running)
	s.add("events", 5, 6)
	bed.AwaitData("in", []string{"5"})
}

func TestStreamGroupIsNotCreatedUnlessTold(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) { f.Stream, f.Group = "events", "g" })
	awaitStats(t, r, "the state", func(s feed.Stats) bool { return s.State == feed.Failing && strings.Contains(s.Error, "NOGROUP") })
	if n := s.number("EXISTS", "events"); n != 0 {
		t.Error("the stream was created")
	}
	s.do("XGROUP", "CREATE", "events", "g", "0", "MKSTREAM")
	r.AwaitState(feed.Running)
}

func TestStreamOverCutConnections(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, s.Addr())
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.From = relayed(relay)
	})
	cut := 0
	for i := range 12 {
		s.add("events", i*100, (i+1)*100)
		if i%4 == 3 {
			r.AwaitState(feed.Running)
			cut += min(relay.Cut(), 1)
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 1200))
	s.awaitPending(0)
	if s := r.Stats(); cut < 3 || s.Failures < 3 || s.Published != 1200 {
		t.Errorf("%d cut, Stats() = %+v", cut, s)
	}
}

// TestStreamCutBeforeTheAcknowledgement has every entry delivered twice.
func TestStreamCutBeforeTheAcknowledgement(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	relay := feedtest.NewRelay(t, s.Addr())
	bed.Log.Full.Store(true)
	s.add("events", 0, 100)
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.From = relayed(relay)
	})
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	awaitStats(t, r, "duplicates", func(s feed.Stats) bool { return s.Duplicates == 100 && s.Published == 100 })
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	s.awaitPending(0)
}

func TestStreamOverAKilledServer(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.add("events", 0, 1000)
	r := s.feed(bed, aStream)
	some(t, bed, 1)
	s.restart()
	s.add("events", 1000, 1200)
	bed.AwaitData("in", feedtest.Numbers(0, 1200))
	s.awaitPending(0)
	if s := r.Stats(); s.Failures == 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestStreamTakesOver finds entries of a consumer that has been silent for long, of one
// that has not, and one that was deleted.
func TestStreamTakesOver(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.do("XGROUP", "CREATE", "events", "g", "0", "MKSTREAM")
	for _, id := range []string{"1-1", "1-2", "1-3", "1-4"} {
		s.do("XADD", "events", id, "n", id)
	}
	s.do("XREADGROUP", "GROUP", "g", "other", "COUNT", "2", "STREAMS", "events", ">")
	s.do("XREADGROUP", "GROUP", "g", "weir", "COUNT", "1", "STREAMS", "events", ">")
	s.do("XCLAIM", "events", "g", "other", "0", "1-1", "IDLE", "70000")
	s.do("XDEL", "events", "1-3")
	s.feed(bed, aStream)
	bed.AwaitData("in", []string{"1-1", "1-4"})
	s.awaitPending(1) // 1-2, which the other one may be at work on
}

func TestStreamWaitsWhileTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	s.add("events", 0, 100)
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Prefetch = 10
	})
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	s.awaitPending(10)
	r.Stop()
	s.awaitPending(10)
	bed.Log.Full.Store(false)
	r = s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Prefetch = 3 // so the ten come in four batches
	})
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	s.awaitPending(0)
	r.Stop()
	if s := r.Stats(); s.Duplicates != 0 {
		t.Errorf("Stats() = %+v", s)
	}
}
