package nats_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func TestStreamIsReadInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	s.store("events.a", feedtest.Numbers(0, 1000)...)
	r := s.feed(bed, aStream)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	s.store("events.a", feedtest.Numbers(1000, 2000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	s.awaitLeft(0)
	r.Stop()
	if s := r.Stats(); s.Published != 2000 || s.Received != 2000 || s.Failures != 0 || s.Lag < 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestStreamMessagesHaveNames(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Topic, f.Type, f.Data = "in/{key|dots}", "{header.Type?}", "{property.stream}/{property.sequence} {header.X?} {body}"
	})
	s.store("events.a.b", "1")
	m := &nats.Msg{Subject: "events.a", Data: []byte("2"), Header: nats.Header{"Nats-Msg-Id": {"m2"}, "Type": {"t"}, "X": {"x"}}}
	if _, err := s.js.PublishMsg(patience(t), m); err != nil {
		t.Fatal(err)
	}
	bed.AwaitData("in/**", []string{"EVENTS/1  1", "EVENTS/2 x 2"})
	entries := bed.Entries("in/events/**")
	if key := entries[0].IdempotencyKey; !strings.HasPrefix(key, "feed/test/EVENTS/1/") {
		t.Errorf("the first is known by %q", key)
	}
	if e := entries[1]; e.IdempotencyKey != "feed/test/m2" || e.Type != "t" {
		t.Errorf("the second is known by %q, type %q", e.IdempotencyKey, e.Type)
	}
}

// TestStreamThatIsNewIsNotTheOld has messages at the same places.
func TestStreamThatIsNewIsNotTheOld(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	r := s.feed(bed, aStream)
	s.store("events.a", "old")
	bed.AwaitData("in", []string{"old"})
	if err := s.js.DeleteStream(patience(t), "EVENTS"); err != nil {
		t.Fatal(err)
	}
	awaitError(t, r, `stream "EVENTS"`)
	s.makeStream()
	s.store("events.a", "new")
	bed.AwaitData("in", []string{"old", "new"})
}

// TestStreamOverCutConnections loses messages and acknowledgements on their way. What
// comes again comes before what is new.
func TestStreamOverCutConnections(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.ackWait = short
	s.makeStream()
	s.store("events.a", feedtest.Numbers(0, 4000)...)
	relay := feedtest.NewRelay(t, s.Addr())
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		over(relay, f)
	})
	cut := 0
	for range 3 {
		r.AwaitState(feed.Running)
		some(t, bed, len(bed.Data("in"))+500)
		cut += min(relay.Cut(), 1)
	}
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	s.awaitLeft(0)
	if s := r.Stats(); cut < 3 || s.Failures < 3 || s.Published != 4000 {
		t.Errorf("%d cut, Stats() = %+v", cut, s)
	}
}

// TestStreamCutBeforeTheAcknowledgement has every message delivered twice.
func TestStreamCutBeforeTheAcknowledgement(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.ackWait = short
	s.makeStream()
	relay := feedtest.NewRelay(t, s.Addr())
	bed.Log.Full.Store(true)
	s.store("events.a", feedtest.Numbers(0, 100)...)
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		over(relay, f)
	})
	refusals(t, bed, 1)
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	awaitStats(t, r, "duplicates", func(s feed.Stats) bool { return s.Duplicates > 0 && s.Published == 100 })
	s.awaitLeft(0)
	bed.AwaitData("in", feedtest.Numbers(0, 100))
}

func TestStreamOverAKilledServer(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.ackWait = short
	s.makeStream()
	s.store("events.a", feedtest.Numbers(0, 2000)...)
	r := s.feed(bed, aStream)
	some(t, bed, 1)
	s.Restart()
	s.store("events.a", feedtest.Numbers(2000, 2500)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2500))
	s.awaitLeft(0)
	if s := r.Stats(); s.Failures == 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestStreamWaitsWhileTheLogRefuses takes longer than the server waits for those that
// say nothing.
func TestStreamWaitsWhileTheLogRefuses(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.ackWait = short
	s.makeStream()
	bed.Log.Full.Store(true)
	s.store("events.a", feedtest.Numbers(0, 1000)...)
	few := func(f *feed.Spec) {
		aStream(f)
		f.Prefetch = 10
	}
	begin, r := time.Now(), s.feed(bed, few)
	feedtest.Await(t, "time", func() error { return feedtest.Not(time.Since(begin) > 2*short, "not yet") })
	if info := s.consumer(); info.NumAckPending != 10 || info.NumPending != 990 || info.NumRedelivered != 0 || info.AckFloor.Stream != 0 {
		t.Errorf("the consumer is %+v", info)
	}
	r.Stop()
	s.awaitLeft(1000)
	bed.Log.Full.Store(false)
	r = s.feed(bed, few)
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	s.awaitLeft(0)
	if s := r.Stats(); s.Duplicates != 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

// TestStreamStopGivesBack has a server that waits for longer than the test.
func TestStreamStopGivesBack(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.ackWait = 2 * feedtest.Patience
	s.makeStream()
	s.store("events.a", feedtest.Numbers(0, 100)...)
	bed.Log.Full.Store(true)
	r := s.feed(bed, aStream)
	refusals(t, bed, 1)
	r.Stop()
	s.awaitLeft(100)
	bed.Log.Full.Store(false)
	s.feed(bed, aStream)
	bed.AwaitData("in", feedtest.Numbers(0, 100))
}

// TestStreamStopAcknowledgesWhatIsStored stops while messages flow: what is in the log
// does not come again, and the rest does.
func TestStreamStopAcknowledgesWhatIsStored(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	s.store("events.a", feedtest.Numbers(0, 4000)...)
	for range 4 {
		before := len(bed.Data("in"))
		r := s.feed(bed, func(f *feed.Spec) {
			aStream(f)
			f.Prefetch = 50
		})
		some(t, bed, before+1)
		r.Stop()
		s.awaitLeft(4000 - len(bed.Data("in")))
		if s := r.Stats(); s.Duplicates != 0 {
			t.Errorf("Stats() = %+v", s)
		}
	}
	s.feed(bed, aStream)
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
}

func TestStreamIsSharedByServers(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	one, two := s.feed(bed, aStream), s.feed(bed, aStream)
	one.AwaitState(feed.Running)
	two.AwaitState(feed.Running)
	s.store("events.a", feedtest.Numbers(0, 2000)...)
	s.awaitLeft(0)
	if a, b := one.Stats().Published, two.Stats().Published; a == 0 || b == 0 || a+b != 2000 || len(bed.Data("in")) != 2000 {
		t.Errorf("%d and %d messages, want 2000 in all and both some", a, b)
	}
}

func TestStreamIsNotMadeUnlessTold(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, aStream)
	awaitError(t, r, `stream "EVENTS"`, "not found", "declare: true")
	s.feed(feedtest.New(t), func(f *feed.Spec) {
		f.Name, f.Stream, f.Subscribe, f.Declare = "maker", "EVENTS", []string{"events.>"}, true
	}).AwaitState(feed.Running)
	r.AwaitState(feed.Running)
	s.store("events.a", "1")
	bed.AwaitData("in", []string{"1"})
	feedtest.Await(t, "an empty stream", func() error {
		stream, err := s.js.Stream(patience(t), "EVENTS")
		if err != nil {
			return err
		}
		return feedtest.Not(stream.CachedInfo().State.Msgs == 0, "it has %d messages", stream.CachedInfo().State.Msgs)
	})
}

// TestStreamConsumerFollowsTheSpec starts at the end, and changes the filters.
func TestStreamConsumerFollowsTheSpec(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	s.store("events.a", "missed")
	for i, c := range []struct{ filters, sent, want []string }{
		{[]string{"events.a"}, []string{"b", "a"}, []string{"a"}},
		{[]string{"events.a", "events.b"}, []string{"b", "c", "a"}, []string{"b", "a"}},
		{[]string{"events.b"}, []string{"a", "b"}, []string{"b"}},
		{nil, []string{"a", "b"}, []string{"a", "b"}},
	} {
		r := s.feed(bed, func(f *feed.Spec) {
			f.Stream, f.Subscribe, f.Start, f.Topic, f.Prefetch = "EVENTS", c.filters, "end", fmt.Sprint("in/", i), 10+i
		})
		r.AwaitState(feed.Running)
		for _, name := range c.sent {
			s.store("events."+name, name)
		}
		bed.AwaitData(fmt.Sprint("in/", i), c.want)
		r.Stop()
		if have := s.consumer().Config; have.MaxAckPending != 10+i || c.filters == nil && have.FilterSubject != ">" {
			t.Errorf("the consumer is %+v", have) // without a filter messages may come late
		}
	}
}

func TestStreamConsumerOfAnotherKind(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	if _, err := s.js.CreateConsumer(patience(t), "EVENTS", jetstream.ConsumerConfig{Durable: "all", AckPolicy: jetstream.AckAllPolicy}); err != nil {
		t.Fatal(err)
	}
	r := s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Consumer = "all"
	})
	awaitError(t, r, `consumer "all" of stream "EVENTS"`, "does not want each message acknowledged")
}

func TestStreamConsumerIsDeleted(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	r := s.feed(bed, aStream)
	s.store("events.a", "1")
	bed.AwaitData("in", []string{"1"})
	if err := s.js.DeleteConsumer(patience(t), "EVENTS", "weir-test"); err != nil {
		t.Fatal(err)
	}
	awaitError(t, r, `stream "EVENTS"`, "deleted")
	s.store("events.a", "2")
	bed.AwaitData("in", []string{"1", "2"}) // by a new one, from the begin
}

func TestStreamPoison(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	s.feed(bed, func(f *feed.Spec) {
		aStream(f)
		f.Data = "{json}"
	})
	s.store("events.a", "1", "{", "3")
	bed.AwaitData("in", []string{"1", "3"})
	s.awaitLeft(0)
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"key":"events.a"`) {
		t.Errorf("dead letters are %q", d)
	}
}

func TestStreamOfASilentServer(t *testing.T) {
	t.Parallel()
	s, bed := newServer(t), feedtest.New(t)
	s.makeStream()
	r := s.feed(bed, aStream)
	s.store("events.a", "1")
	bed.AwaitData("in", []string{"1"})
	s.Pause()
	awaitError(t, r, `stream "EVENTS"`, "no heartbeat")
	s.Resume()
	s.store("events.a", "2")
	bed.AwaitData("in", []string{"1", "2"})
}
