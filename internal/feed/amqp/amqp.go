// Package amqp feeds the messages of a RabbitMQ queue.
//
// [New] makes the source, for AMQP 0-9-1. It acknowledges messages after they are in
// the log, so each arrives at least once; one whose sender has set message-id arrives
// exactly once. The server hands over no more than Prefetch messages that are not
// acknowledged, each as large as it may be there.
//
// It creates nothing on the server unless Declare is set: a durable queue, its bindings,
// and a durable topic exchange if there is none of that name. The exception is a queue
// of the feed's own, for an exchange without a queue, which exists for as long as the
// feed is connected: what is sent to the exchange meanwhile is not for it.
package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch = 256
	dialTimeout     = 10 * time.Second // for all of the handshake
	heartbeat       = 10 * time.Second
	lagEvery        = 5 * time.Second
	consumer        = "weir"
)

// A Source consumes from one queue.
type Source struct{ spec feed.Spec }

// New makes a source. s must have passed its Check.
func New(s feed.Spec) (*Source, error) {
	if _, err := amqp091.ParseURI(s.From); err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	return &Source{s}, nil
}

// Run consumes until the connection is lost, or ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	conn, raw, err := s.dial(ctx, in.Name())
	if err != nil {
		return err
	}
	defer context.AfterFunc(in.Grace(), func() { raw.Close() })()
	defer conn.Close() // it may be closed already
	queue, err := s.prepare(conn)
	if err != nil {
		return err
	}
	c := &consumption{in: in, conn: conn, queue: queue}
	if c.ch, err = conn.Channel(); err != nil {
		return err
	}
	if err = c.ch.Qos(cmp.Or(s.spec.Prefetch, defaultPrefetch), 0, false); err != nil {
		return err
	}
	c.closed = c.ch.NotifyClose(make(chan *amqp091.Error, 1))
	c.canceled = c.ch.NotifyCancel(make(chan string, 1))
	if c.arriving, err = c.ch.Consume(queue, consumer, false, false, false, false, nil); err != nil {
		return fmt.Errorf("consume from %q: %w", queue, err)
	}
	in.Running()
	return c.run(ctx)
}

// dial connects. It also returns what is below the connection.
func (s *Source) dial(ctx context.Context, name string) (*amqp091.Connection, net.Conn, error) {
	uri, err := s.uri()
	if err != nil {
		return nil, nil, err
	}
	var raw net.Conn
	config := amqp091.Config{Heartbeat: heartbeat, Properties: amqp091.NewConnectionProperties()}
	config.Properties.SetClientConnectionName("weir feed " + name)
	config.Dial = func(network, addr string) (net.Conn, error) {
		raw, err = (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, addr)
		if err == nil {
			err = raw.SetDeadline(time.Now().Add(dialTimeout)) // cleared after the handshake
		}
		return raw, err
	}
	if s.spec.CAFile != "" {
		if config.TLSClientConfig, err = s.spec.TLS(); err != nil {
			return nil, nil, err
		}
	}
	conn, err := amqp091.DialConfig(uri, config)
	if err != nil {
		if raw != nil {
			raw.Close()
		}
		return nil, nil, fmt.Errorf("connect to %s: %w", s.spec.String(), err)
	}
	return conn, raw, nil
}

// uri is From with the password of the file.
func (s *Source) uri() (string, error) {
	if s.spec.PasswordFile == "" {
		return s.spec.From, nil
	}
	password, err := s.spec.Password("")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(s.spec.From)
	if err != nil {
		return "", errors.New("from is not a URL")
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String(), nil
}

// prepare makes sure that the queue is there, and returns its name.
func (s *Source) prepare(conn *amqp091.Connection) (string, error) {
	if s.spec.Exchange != "" {
		if err := s.exchange(conn); err != nil {
			return "", err
		}
	}
	ch, err := conn.Channel()
	if err != nil {
		return "", err
	}
	defer ch.Close() // it is closed by the server after an error
	var queue amqp091.Queue
	switch {
	case s.spec.Queue == "":
		queue, err = ch.QueueDeclare("", false, true, true, false, nil)
	case s.spec.Declare:
		queue, err = declare(conn, s.spec.Queue)
	default:
		queue, err = ch.QueueDeclarePassive(s.spec.Queue, true, false, false, false, nil)
	}
	if err != nil {
		return "", fmt.Errorf("queue %q: %w", s.spec.Queue, err)
	}
	if s.spec.Exchange == "" {
		return queue.Name, nil
	}
	bindings := s.spec.Bindings
	if len(bindings) == 0 {
		bindings = []string{"#"}
	}
	for _, key := range bindings {
		if err := ch.QueueBind(queue.Name, key, s.spec.Exchange, false, nil); err != nil {
			return "", fmt.Errorf("bind queue %q to exchange %q with %q: %w", queue.Name, s.spec.Exchange, key, err)
		}
	}
	return queue.Name, nil
}

// exchange makes sure that the exchange is there.
func (s *Source) exchange(conn *amqp091.Connection) error {
	name := s.spec.Exchange
	err := try(conn, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(name, "topic", true, false, false, false, nil)
	})
	if notFound(err) && s.spec.Declare {
		err = try(conn, func(ch *amqp091.Channel) error {
			return ch.ExchangeDeclare(name, "topic", true, false, false, false, nil)
		})
	}
	if err != nil {
		return fmt.Errorf("exchange %q: %w", name, err)
	}
	return nil
}

// declare creates a durable queue unless there is one, whatever its arguments.
func declare(conn *amqp091.Connection, name string) (queue amqp091.Queue, err error) {
	err = try(conn, func(ch *amqp091.Channel) (err error) {
		queue, err = ch.QueueDeclarePassive(name, true, false, false, false, nil)
		return err
	})
	if notFound(err) {
		err = try(conn, func(ch *amqp091.Channel) (err error) {
			queue, err = ch.QueueDeclare(name, true, false, false, false, nil)
			return err
		})
	}
	return queue, err
}

// try does something on a channel of its own, because the server closes the channel of
// what fails.
func try(conn *amqp091.Connection, do func(ch *amqp091.Channel) error) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	defer ch.Close()
	return do(ch)
}

func notFound(err error) bool {
	e, ok := errors.AsType[*amqp091.Error](err)
	return ok && e.Code == amqp091.NotFound
}
