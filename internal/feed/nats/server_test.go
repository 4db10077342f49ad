package nats_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	natsfeed "github.com/weirstream/weir/internal/feed/nats"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/natsserver"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// short makes tests short in which the server delivers again.
const short = 1500 * time.Millisecond

// users are who may do what; narrow may subscribe to nothing but answers.
const users = `authorization { users: [
	{user: weir, password: hush},
	{user: narrow, password: hush, permissions: {subscribe: "_INBOX.>"}},
] }`

// A server is a NATS server with a connection of the test.
type server struct {
	*natsserver.Server
	t    *testing.T
	conn *nats.Conn
	js   jetstream.JetStream

	ackWait time.Duration // of the feeds; 0: the usual one
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{Server: natsserver.Start(t, natsserver.Options{Config: users}), t: t}
	var err error
	if s.conn, err = nats.Connect(s.URL(), nats.UserInfo("weir", "hush"), nats.ReconnectWait(20*time.Millisecond), nats.MaxReconnects(-1)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.conn.Close)
	if s.js, err = jetstream.New(s.conn, jetstream.WithPublishAsyncMaxPending(1<<16)); err != nil {
		t.Fatal(err)
	}
	return s
}

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// publish sends texts to a subject, and waits until the server has them.
func (s *server) publish(subject string, texts ...string) {
	s.t.Helper()
	for _, text := range texts {
		if err := s.conn.Publish(subject, []byte(text)); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.conn.FlushTimeout(feedtest.Patience); err != nil {
		s.t.Fatal(err)
	}
}

// store sends texts to a subject, and waits until the stream has them on its disk.
func (s *server) store(subject string, texts ...string) {
	s.t.Helper()
	var stored []jetstream.PubAckFuture
	for _, text := range texts {
		ack, err := s.js.PublishAsync(subject, []byte(text))
		if err != nil {
			s.t.Fatal(err)
		}
		stored = append(stored, ack)
	}
	late := time.After(feedtest.Patience)
	for _, ack := range stored {
		select {
		case <-ack.Ok():
		case err := <-ack.Err():
			s.t.Fatal(err)
		case <-late:
			s.t.Fatalf("the server has not stored it within %v", feedtest.Patience)
		}
	}
}

// makeStream makes the stream EVENTS of the subjects below events.
func (s *server) makeStream() {
	s.t.Helper()
	if _, err := s.js.CreateStream(patience(s.t), jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events.>"}}); err != nil {
		s.t.Fatal(err)
	}
}

// consumer is the state of the feed's consumer.
func (s *server) consumer() *jetstream.ConsumerInfo {
	s.t.Helper()
	c, err := s.js.Consumer(patience(s.t), "EVENTS", "weir-test")
	if err != nil {
		s.t.Fatal(err)
	}
	return c.CachedInfo()
}

// awaitLeft waits until so many messages are not acknowledged, whether they were handed
// over or not.
func (s *server) awaitLeft(want int) {
	s.t.Helper()
	feedtest.Await(s.t, "the state of the consumer", func() error {
		info := s.consumer()
		left := info.NumAckPending + int(info.NumPending)
		return feedtest.Not(left == want, "%d are left, want %d: %d handed over, %d not", left, want, info.NumAckPending, info.NumPending)
	})
}

// feed starts a feed to the topic in: of the subject in, unless change says otherwise.
func (s *server) feed(bed *feedtest.Bed, change func(f *feed.Spec)) *feedtest.Running {
	s.t.Helper()
	f := feed.Spec{Name: "test", From: s.as("weir:hush"), Subscribe: []string{"in"}, Topic: "in", DeadLetter: "dead"}
	if change != nil {
		change(&f)
	}
	if err := f.Check(); err != nil {
		s.t.Fatal(err)
	}
	source, err := natsfeed.New(f)
	if err != nil {
		s.t.Fatal(err)
	}
	if s.ackWait > 0 {
		source.SetAckWait(s.ackWait)
	}
	return bed.Start(feed.Options{Spec: f, Source: source})
}

// as is the URL of a user.
func (s *server) as(user string) string { return "nats://" + user + "@" + s.Addr() }

// aStream makes a feed one of the stream EVENTS.
func aStream(f *feed.Spec) { f.Stream, f.Subscribe = "EVENTS", nil }

// over makes a feed one over a relay.
func over(r *feedtest.Relay, f *feed.Spec) { f.From = "nats://weir:hush@" + r.Addr() }

func awaitStats(t *testing.T, r *feedtest.Running, what string, ok func(s feed.Stats) bool) {
	t.Helper()
	feedtest.Await(t, what, func() error {
		s := r.Stats()
		return feedtest.Not(ok(s), "%+v", s)
	})
}

// awaitError waits until the feed fails for a reason that holds these texts.
func awaitError(t *testing.T, r *feedtest.Running, parts ...string) {
	t.Helper()
	awaitStats(t, r, fmt.Sprintf("an error with %q", parts), func(s feed.Stats) bool {
		for _, part := range parts {
			if !strings.Contains(s.Error, part) {
				return false
			}
		}
		return s.State == feed.Failing
	})
	if e := r.Stats().Error; strings.Contains(e, "hush") {
		t.Errorf("the password is shown: %s", e)
	}
}

// some waits until a bed has so many messages.
func some(t *testing.T, bed *feedtest.Bed, n int) {
	t.Helper()
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) >= n, "%d", len(bed.Data("in"))) })
}

func refusals(t *testing.T, bed *feedtest.Bed, n int64) {
	t.Helper()
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() >= n, "%d", bed.Log.Refused.Load()) })
}
