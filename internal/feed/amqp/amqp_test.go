package amqp_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/amqp"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

// start feeds from a queue to the topic in/KEY.
func start(t *testing.T, bed *feedtest.Bed, change func(s *feed.Spec)) *feedtest.Running {
	t.Helper()
	s := feed.Spec{Name: "test", From: rabbit.URL(), Queue: t.Name(), Topic: "in", DeadLetter: "dead"}
	if change != nil {
		change(&s)
	}
	source, err := amqp.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return bed.Start(feed.Options{Spec: s, Source: source})
}

func TestMessagesArriveOnceAndInOrder(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	p.send("", queue, numbered(0, 1000)...)
	r := start(t, bed, nil)
	p.send("", queue, numbered(1000, 2000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 2000))
	r.Stop()
	p.awaitReady(queue, 0)
	if s := r.Stats(); s.Published != 2000 || s.Received != 2000 || s.Failures != 0 || s.Lag < 0 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestTemplatesSeeHeadersAndProperties(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	start(t, bed, func(s *feed.Spec) {
		s.Topic, s.Type = "{header.x-shop}/{property.app-id}/{json.order.id}", "{property.type}"
		s.Key, s.ID, s.Data = "{key}", "e-{id}", "{header.n} {header.x} {header.t} {header.yes} {header.list?} {body}"
	})
	p.send("", queue, amqp091.Publishing{
		Body: []byte(`{"order":{"id":7}}`), MessageId: "m1", AppId: "php", Type: "created",
		Headers: amqp091.Table{"x-shop": "eu", "n": int32(-5), "x": 0.25, "t": time.Unix(0, 0), "yes": true, "list": []any{"a"}},
	})
	bed.AwaitData("eu/php/7", []string{`-5 0.25 1970-01-01T00:00:00Z true  {"order":{"id":7}}`})
	if e := bed.Entries("eu/**")[0]; e.Type != "created" || e.Key != queue || e.ID != "e-m1" || e.IdempotencyKey != "feed/test/m1" {
		t.Errorf("type %q, key %q, ID %q, idempotency key %q", e.Type, e.Key, e.ID, e.IdempotencyKey)
	}
}

// TestConnectionCutWhileFlowing loses acknowledgements, so that messages come again.
func TestConnectionCutWhileFlowing(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	relay := feedtest.NewRelay(t, rabbit.Addr())
	r := start(t, bed, func(s *feed.Spec) { s.From = "amqp://guest:guest@" + relay.Addr() + "/" })
	cut := 0
	for i := range 20 {
		p.send("", queue, numbered(i*200, (i+1)*200)...)
		if i%4 == 3 {
			r.AwaitState(feed.Running)
			cut += relay.Cut()
		}
	}
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	r.Stop()
	p.awaitReady(queue, 0)
	if s := r.Stats(); cut < 3 || s.Failures < 3 || s.Published != 4000 {
		t.Errorf("%d connections cut, Stats() = %+v", cut, s)
	}
}

// TestConnectionCutBeforeTheAcknowledgement has every message delivered twice.
func TestConnectionCutBeforeTheAcknowledgement(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	relay := feedtest.NewRelay(t, rabbit.Addr())
	bed.Log.Full.Store(true)
	p.send("", queue, numbered(0, 100)...)
	r := start(t, bed, func(s *feed.Spec) { s.From = "amqp://guest:guest@" + relay.Addr() + "/" })
	feedtest.Await(t, "a refusal", func() error { return feedtest.Not(bed.Log.Refused.Load() > 0, "none") })
	bed.Log.Stored = func() { relay.Cut() }
	bed.Log.Full.Store(false)
	bed.AwaitData("in", feedtest.Numbers(0, 100))
	p.awaitReady(queue, 0)
	feedtest.Await(t, "duplicates", func() error {
		s := r.Stats()
		return feedtest.Not(s.Duplicates > 0 && s.Published == 100, "%+v", s)
	})
}

func TestBrokerKilledWhileFlowing(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	time.Sleep(time.Until(durable))
	r := start(t, bed, func(s *feed.Spec) { s.Queue = killed })
	p.send("", killed, numbered(0, 3000)...)
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) > 0, "none") })
	rabbit.Kill()
	r.AwaitState(feed.Failing)
	if err := rabbit.Start(); err != nil {
		t.Fatal(err)
	}
	p = produce(t)
	p.send("", killed, numbered(3000, 4000)...)
	bed.AwaitData("in", feedtest.Numbers(0, 4000))
	r.Stop()
	p.awaitReady(killed, 0)
}

func TestNothingIsAcknowledgedWhileTheLogRefuses(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	bed.Log.Full.Store(true)
	p.send("", queue, numbered(0, 1000)...)
	r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	r.AwaitState(feed.Failing)
	p.awaitReady(queue, 990)
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	p.awaitReady(queue, 990)
	r.Stop()
	p.awaitReady(queue, 1000)
	bed.Log.Full.Store(false)
	start(t, bed, func(s *feed.Spec) { s.Prefetch = 10 })
	bed.AwaitData("in", feedtest.Numbers(0, 1000))
	p.awaitReady(queue, 0)
}

// TestStopAcknowledgesWhatIsStored stops while messages flow: what is in the log has
// left the queue, and what is not has not.
func TestStopAcknowledgesWhatIsStored(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	p.send("", queue, numbered(0, 5000)...)
	for range 5 {
		before := len(bed.Data("in"))
		r := start(t, bed, func(s *feed.Spec) { s.Prefetch = 50 })
		feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) > before, "none") })
		r.Stop()
		if s := r.Stats(); s.Duplicates != 0 {
			t.Errorf("Stats() = %+v", s)
		}
		p.awaitReady(queue, 5000-len(bed.Data("in")))
	}
	start(t, bed, nil)
	bed.AwaitData("in", feedtest.Numbers(0, 5000))
}

func TestPoisonLeavesTheQueue(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	start(t, bed, func(s *feed.Spec) { s.Topic, s.Data = "in/{json.id}", "{json.id}" })
	p.send("", queue, amqp091.Publishing{Body: []byte(`{"id":1}`)}, amqp091.Publishing{Body: []byte("oh"), MessageId: "x"}, amqp091.Publishing{Body: []byte(`{"id":2}`)})
	bed.AwaitData("in/*", []string{"1", "2"})
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], `"id":"x"`) || !strings.Contains(d[0], "not JSON") {
		t.Errorf("dead letters are %q", d)
	}
	p.awaitReady(queue, 0)
}

func TestQueueIsNotCreatedUnlessTold(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	if _, err := p.ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	r := start(t, bed, nil)
	feedtest.Await(t, "the state", func() error {
		s := r.Stats()
		return feedtest.Not(s.State == feed.Failing && strings.Contains(s.Error, "no queue"), "%+v", s)
	})
	p.queue()
	r.AwaitState(feed.Running)
	if _, err := p.ch.QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	r.AwaitState(feed.Failing)
	start(t, bed, func(s *feed.Spec) { s.Declare, s.Name = true, "maker" }).AwaitState(feed.Running)
	r.AwaitState(feed.Running)
	p.send("", queue, numbered(0, 1)...)
	bed.AwaitData("in", []string{"0"})
}

func TestOwnQueueOfAnExchange(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	if err := p.ch.ExchangeDeclare("shop", "topic", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	r := start(t, bed, func(s *feed.Spec) {
		s.Queue, s.Exchange, s.Bindings, s.Topic = "", "shop", []string{"order.*", "user.#"}, "in/{key|dots}"
	})
	r.AwaitState(feed.Running)
	for _, key := range []string{"order.created", "user.a.b", "user"} {
		p.send("shop", key, amqp091.Publishing{Body: []byte(key)})
	}
	bed.AwaitData("in/**", []string{"order.created", "user.a.b", "user"})
	bed.AwaitData("in/order/*", []string{"order.created"})
}

func TestNamedQueueIsBound(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	exchange := fmt.Sprint("exchange", os.Getpid())
	bind := func(s *feed.Spec) { s.Exchange, s.Declare, s.Bindings = exchange, true, []string{"a"} }
	r := start(t, bed, bind)
	r.AwaitState(feed.Running)
	p.send(exchange, "a", numbered(0, 1)...)
	bed.AwaitData("in", feedtest.Numbers(0, 1))
	r.Stop()
	p.send(exchange, "a", numbered(1, 2)...) // which the queue keeps
	p.awaitReady(queue, 1)
	start(t, bed, bind)
	bed.AwaitData("in", feedtest.Numbers(0, 2))
}

func TestTLS(t *testing.T) {
	p, bed := produce(t), feedtest.New(t)
	queue := p.queue()
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("guest\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secure := func(s *feed.Spec) {
		s.From, s.PasswordFile = fmt.Sprintf("amqps://guest@127.0.0.1:%d/", rabbit.TLS), password
	}
	r := start(t, bed, secure)
	feedtest.Await(t, "the refusal of an unknown authority", func() error {
		s := r.Stats()
		return feedtest.Not(s.State == feed.Failing && strings.Contains(s.Error, "unknown authority"), "%+v", s)
	})
	r.Stop()
	p.send("", queue, numbered(0, 10)...)
	start(t, bed, func(s *feed.Spec) {
		secure(s)
		s.CAFile = filepath.Join(rabbit.Dir, "cert.pem")
	})
	bed.AwaitData("in", feedtest.Numbers(0, 10))
}

func TestWrongPasswordIsNotShown(t *testing.T) {
	r := start(t, feedtest.New(t), func(s *feed.Spec) { s.From = "amqp://guest:hush@" + rabbit.Addr() + "/" })
	r.AwaitState(feed.Failing)
	if s := r.Stats(); strings.Contains(s.Error, "hush") || !strings.Contains(s.Error, "username or password") {
		t.Errorf("error is %q", s.Error)
	}
}
