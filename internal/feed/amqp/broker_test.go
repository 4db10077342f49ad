package amqp_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
)

// program is not the one in /usr/sbin, which wants to be root or rabbitmq.
const program = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// A broker is RabbitMQ with directories, ports and a node name of its own.
type broker struct {
	dir        string
	port, tls  int
	env        []string
	node, epmd *feedtest.Process
	durable    time.Time // from which on the queue killed outlives a kill
}

// killed is the queue of the test that kills the broker. RabbitMQ writes to the disk what
// queues there are some seconds later, so it is made at the start.
const killed = "killed"

// rabbit is used by all tests, one after the other.
var rabbit broker

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-amqp")
	if err == nil {
		defer os.RemoveAll(dir)
		err = rabbit.open(dir)
	}
	if err != nil {
		rabbit.close()
		fmt.Fprintf(os.Stderr, "amqp: RabbitMQ, which \"go run ./test\" in the repository's root installs: %v\n", err)
		return 1
	}
	code := m.Run()
	rabbit.close()
	if left := leak.Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		return 1
	}
	return code
}

// open starts the broker, and the name server that it needs.
func (b *broker) open(dir string) error {
	b.dir, b.port, b.tls = dir, feedtest.FreePort(), feedtest.FreePort()
	if err := feedtest.WriteCertificate(dir); err != nil {
		return err
	}
	epmd := feedtest.FreePort()
	for name, text := range map[string]string{
		"plugins": "[].\n",
		"rabbitmq.conf": fmt.Sprintf("listeners.ssl.default = 127.0.0.1:%d\nssl_options.certfile = %s\nssl_options.keyfile = %s\n",
			b.tls, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	b.env = []string{
		"HOME=" + dir, "RUNNING_UNDER_SYSTEMD=true", // without the shell in between
		"RABBITMQ_NODENAME=" + fmt.Sprintf("weir%d@localhost", os.Getpid()), "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprint("RABBITMQ_NODE_PORT=", b.port), fmt.Sprint("RABBITMQ_DIST_PORT=", feedtest.FreePort()),
		fmt.Sprint("ERL_EPMD_PORT=", epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE=" + filepath.Join(dir, "log"), "RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none", // do not spin
	}
	var err error
	if b.epmd, err = feedtest.Spawn(nil, "epmd", "-address", "127.0.0.1", "-port", fmt.Sprint(epmd)); err != nil {
		return err
	}
	if err = b.start(); err != nil {
		return err
	}
	b.durable = time.Now().Add(5 * time.Second)
	conn, err := amqp091.Dial(b.url())
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

func (b *broker) start() (err error) {
	if b.node, err = feedtest.Spawn(b.env, program); err != nil {
		return err
	}
	for late := time.Now().Add(feedtest.Patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := amqp091.Dial(b.url())
		if err == nil {
			return conn.Close()
		}
		if err := b.node.Alive(); err != nil {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("%v\n%s", err, b.node.Said())
		}
	}
}

func (b *broker) close() {
	for _, p := range []*feedtest.Process{b.node, b.epmd} {
		if p != nil {
			p.Kill()
		}
	}
}

func (b *broker) addr() string { return fmt.Sprint("127.0.0.1:", b.port) }
func (b *broker) url() string  { return "amqp://guest:guest@" + b.addr() + "/" }

// A producer is a connection of a test.
type producer struct {
	t        *testing.T
	conn     *amqp091.Connection
	ch       *amqp091.Channel
	returned <-chan amqp091.Return
}

func produce(t *testing.T) *producer {
	t.Helper()
	conn, err := amqp091.Dial(rabbit.url())
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
