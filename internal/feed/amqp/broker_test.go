package amqp_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
)

// killed is the queue of the test that kills the broker. RabbitMQ writes to the disk what
// queues there are some seconds later, so it is made at the start.
const killed = "killed"

// rabbit is used by all tests, one after the other.
var (
	rabbit  *feedtest.RabbitMQ
	durable time.Time // from which on the queue killed outlives a kill
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-amqp")
	if err == nil {
		defer os.RemoveAll(dir)
		rabbit, err = feedtest.OpenRabbitMQ(dir)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "amqp: RabbitMQ, which \"go run ./test\" in the repository's root installs: %v\n", err)
		return 1
	}
	defer rabbit.Close()
	if err := declareKilled(); err != nil {
		fmt.Fprintf(os.Stderr, "amqp: %v\n", err)
		return 1
	}
	code := m.Run()
	rabbit.Close()
	if left := leak.Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		return 1
	}
	return code
}

func declareKilled() error {
	durable = time.Now().Add(5 * time.Second)
	conn, err := amqp091.Dial(rabbit.URL())
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(killed, true, false, false, false, nil)
	}
	return err
}

// A producer is a connection of a test.
type producer struct {
	t        *testing.T
	conn     *amqp091.Connection
	ch       *amqp091.Channel
	returned <-chan amqp091.Return
}

func produce(t *testing.T) *producer {
	t.Helper()
	conn, err := amqp091.Dial(rabbit.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &producer{t, conn, ch, ch.NotifyReturn(make(chan amqp091.Return, 10_000))}
}

// queue makes an empty durable queue named after the test.
func (p *producer) queue() string {
	p.t.Helper()
	name := p.t.Name()
	_, err := p.ch.QueueDelete(name, false, false, false)
	if err == nil {
		_, err = p.ch.QueueDeclare(name, true, false, false, false, nil)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return name
}

// send publishes and waits until the broker has it on its disk.
func (p *producer) send(exchange, key string, messages ...amqp091.Publishing) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	defer cancel()
	var taken []*amqp091.DeferredConfirmation
	for _, m := range messages {
		m.DeliveryMode = amqp091.Persistent
		c, err := p.ch.PublishWithDeferredConfirmWithContext(ctx, exchange, key, true, false, m)
		if err != nil {
			p.t.Fatal(err)
		}
		taken = append(taken, c)
	}
	for _, c := range taken {
		if ok, err := c.WaitContext(ctx); !ok || err != nil {
			p.t.Fatalf("the broker has not taken it: %v", err)
		}
	}
	select {
	case m := <-p.returned:
		p.t.Fatalf("the broker has no queue for %q: %s", m.RoutingKey, m.ReplyText)
	default:
	}
}

// ready is how many messages of a queue nobody has been given.
func (p *producer) ready(queue string) int {
	p.t.Helper()
	q, err := p.ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return q.Messages
}

func (p *producer) awaitReady(queue string, want int) {
	p.t.Helper()
	feedtest.Await(p.t, "messages in "+queue, func() error {
		n := p.ready(queue)
		return feedtest.Not(n == want, "%d are ready, want %d", n, want)
	})
}

// numbered are messages with the numbers as body and as message-id.
func numbered(from, to int) []amqp091.Publishing {
	var list []amqp091.Publishing
	for _, text := range feedtest.Numbers(from, to) {
		list = append(list, amqp091.Publishing{Body: []byte(text), MessageId: "m" + text})
	}
	return list
}
