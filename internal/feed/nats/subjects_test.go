package nats_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

func TestSubjectsBecomeTopics(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) {
		f.Subscribe, f.Topic, f.Type = []string{"orders.*.created", "users.>"}, "in/{key|dots}", "{header.Type?}"
		f.Data = "{body}{header.X?}{property.reply?}"
	})
	r.AwaitState(feed.Running)
	s.publish("users.7", "0")
	for _, m := range []*nats.Msg{
		{Subject: "orders.eu.created", Data: []byte("1"), Header: nats.Header{"Type": {"created"}, "X": {"a", "b"}}},
		{Subject: "orders.eu.deleted"},
		{Subject: "users.7.mail", Reply: "there", Data: []byte("2")},
	} {
		if err := s.conn.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	bed.AwaitData("in/**", []string{"0", "1a, b", "2there"})
	if e := bed.Entries("in/orders/eu/created"); len(e) != 1 || e[0].Type != "created" || e[0].IdempotencyKey != "" {
		t.Errorf("entries are %+v", e)
	}
}

func TestSubjectsArriveInOrder(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, nil)
	r.AwaitState(feed.Running)
	s.publish("in", feedtest.Numbers(0, 5000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 5000))
	if s := r.Stats(); s.Published != 5000 || s.Failures != 0 || s.Lag != -1 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestSubjectsOfAGroupAreShared(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	var feeds []*feedtest.Running
	for _, name := range []string{"a", "b"} {
		r := s.feed(bed, func(f *feed.Spec) { f.Name, f.Group = name, "g" })
		r.AwaitState(feed.Running)
		feeds = append(feeds, r)
	}
	s.publish("in", feedtest.Numbers(0, 1000)...)
	some(t, bed, 1000)
	a, b := feeds[0].Stats().Published, feeds[1].Stats().Published
	if a == 0 || b == 0 || a+b != 1000 {
		t.Errorf("%d and %d messages, want 1000 in all and both some", a, b)
	}
}

// TestSubjectsKnowTheSendersID has two servers that read the same, as if they shared a
// log.
func TestSubjectsKnowTheSendersID(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	one, two := s.feed(bed, nil), s.feed(bed, nil)
	one.AwaitState(feed.Running)
	two.AwaitState(feed.Running)
	for _, n := range feedtest.Numbers(0, 100) {
		if err := s.conn.PublishMsg(&nats.Msg{Subject: "in", Data: []byte(n), Header: nats.Header{"Nats-Msg-Id": {"m" + n}}}); err != nil {
			t.Fatal(err)
		}
	}
	feedtest.Await(t, "all of both", func() error {
		a, b := one.Stats(), two.Stats()
		return feedtest.Not(a.Published+b.Published == 100 && a.Duplicates+b.Duplicates == 100, "%+v %+v", a, b)
	})
	bed.AwaitData("in", feedtest.Numbers(0, 100))
}

// TestSubjectsWaitWhileTheLogRefuses publishes more than the feed has room for.
func TestSubjectsWaitWhileTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	r := s.feed(bed, func(f *feed.Spec) { f.Prefetch = 10 })
	r.AwaitState(feed.Running)
	s.publish("in", feedtest.Numbers(0, 9500)...)
	refusals(t, bed, 3)
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 9500)) // the server and the sockets have held the rest
	if s := r.Stats(); s.Failures != 1 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestSubjectsStopThoughTheLogRefuses(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	r := s.feed(bed, func(f *feed.Spec) { f.Prefetch = 1 })
	r.AwaitState(feed.Running)
	s.publish("in", feedtest.Numbers(0, 9500)...)
	refusals(t, bed, 1)
	r.Stop()
}

// TestSubjectsStopDeliversWhatWasSent stops while the server has messages for the feed
// that it has not read.
func TestSubjectsStopDeliversWhatWasSent(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Hold = make(chan struct{})
	r := s.feed(bed, func(f *feed.Spec) { f.Prefetch = 1 })
	r.AwaitState(feed.Running)
	s.publish("in", feedtest.Numbers(0, 9500)...)
	awaitStats(t, r, "the first", func(s feed.Stats) bool { return s.Received > 0 })
	time.AfterFunc(100*time.Millisecond, func() { close(bed.Log.Hold) }) // after Stop, most likely
	r.Stop()
	bed.AwaitData("in", feedtest.Numbers(0, 9500))
}

func TestSubjectsAreSubscribedToAgain(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	bed.Log.Full.Store(true)
	relay := feedtest.NewRelay(t, s.Addr())
	r := s.feed(bed, func(f *feed.Spec) { over(relay, f) })
	r.AwaitState(feed.Running)
	s.publish("in", "0")
	refusals(t, bed, 1)
	s.publish("in", "1")
	feedtest.Await(t, "a cut", func() error { return feedtest.Not(relay.Cut() == 1, "no connection") })
	bed.Log.Full.Store(false)
	awaitStats(t, r, "the loss", func(s feed.Stats) bool { return s.Failures > 1 })
	r.AwaitState(feed.Running)
	s.publish("in", "2")
	feedtest.Await(t, "the last", func() error {
		d := bed.Data("in")
		return feedtest.Not(len(d) >= 2 && d[0] == "0" && d[len(d)-1] == "2", "%q", d) // 1 may have been on its way
	})
}

func TestSubjectsOverAKilledServer(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, nil)
	r.AwaitState(feed.Running)
	s.publish("in", "0")
	bed.AwaitData("in", []string{"0"})
	s.Kill()
	awaitError(t, r, "connection refused")
	s.Restart()
	r.AwaitState(feed.Running)
	s.publish("in", "1")
	bed.AwaitData("in", []string{"0", "1"})
}

func TestSubjectsPoison(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	s.feed(bed, func(f *feed.Spec) { f.Data = "{json}" }).AwaitState(feed.Running)
	s.publish("in", "1", "{", "3")
	bed.AwaitData("in", []string{"1", "3"})
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"key":"in"`) {
		t.Errorf("dead letters are %q", d)
	}
}

func TestSubjectsThatMayNotBeRead(t *testing.T) {
	s, bed := newServer(t), feedtest.New(t)
	r := s.feed(bed, func(f *feed.Spec) { f.From = s.as("narrow:hush") })
	awaitError(t, r, "subscribe", `Permissions Violation for Subscription to "in"`)
}
