package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/weirstream/weir/internal/feed"
)

// A consumption is what goes on between two failures.
type consumption struct {
	in       *feed.Intake
	conn     *amqp091.Connection
	ch       *amqp091.Channel
	queue    string
	arriving <-chan amqp091.Delivery
	closed   <-chan *amqp091.Error // the channel has been closed, or the connection
	canceled <-chan string         // the queue is gone
}

// run delivers until the channel is closed, or ctx ends.
func (c *consumption) run(ctx context.Context) error {
	open, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	go func() { lost(c.reason()) }() // ends with the channel
	tick := time.NewTicker(lagEvery)
	defer tick.Stop()
	c.lag()
	for {
		select {
		case <-open.Done():
			return c.end(ctx, open)
		case <-tick.C:
			c.lag()
		case d, more := <-c.arriving:
			if !more {
				<-open.Done()
				return c.end(ctx, open)
			}
			if err := c.deliver(open, feed.Gather(d, c.arriving, func(d amqp091.Delivery) int { return len(d.Body) })); err != nil {
				return err
			}
		}
	}
}

// reason waits until the channel is closed, and says why.
func (c *consumption) reason() error {
	select {
	case <-c.canceled:
		return fmt.Errorf("the server has ended the subscription: queue %q may have been deleted", c.queue)
	case err := <-c.closed:
		if err != nil {
			return err
		}
		return errors.New("the channel was closed")
	}
}

// end returns why open has ended; nil if that is ctx. Run then closes the connection in
// order, so that the server has seen what was acknowledged.
func (c *consumption) end(ctx, open context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(open)
}

// deliver delivers a batch and acknowledges it.
func (c *consumption) deliver(ctx context.Context, batch []amqp091.Delivery) error {
	messages := make([]feed.Message, len(batch))
	for i := range batch {
		messages[i] = message(&batch[i])
	}
	if err := c.in.Deliver(ctx, messages, nil); err != nil {
		return err
	}
	err := c.ch.Ack(batch[len(batch)-1].DeliveryTag, true)
	if err == nil {
		return nil
	}
	select { // the reason says more
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(time.Second):
		return err
	}
}

// lag asks how many messages wait.
func (c *consumption) lag() {
	_ = try(c.conn, func(ch *amqp091.Channel) error { // it is only a figure
		queue, err := ch.QueueDeclarePassive(c.queue, true, false, false, false, nil)
		if err == nil {
			c.in.Lag(int64(queue.Messages))
		}
		return err
	})
}

func message(d *amqp091.Delivery) feed.Message {
	return feed.Message{Body: d.Body, ID: d.MessageId, Key: d.RoutingKey, Headers: headers(d.Headers), Properties: properties(d)}
}

// headers are those that can be written as a text.
func headers(table amqp091.Table) map[string]string {
	if len(table) == 0 {
		return nil
	}
	m := make(map[string]string, len(table))
	for name, value := range table {
		switch v := value.(type) {
		case string:
			m[name] = v
		case []byte:
			m[name] = string(v)
		case bool, int, int8, uint8, int16, uint16, int32, uint32, int64, uint64:
			m[name] = fmt.Sprint(v)
		case float32:
			m[name] = strconv.FormatFloat(float64(v), 'f', -1, 32)
		case float64:
			m[name] = strconv.FormatFloat(v, 'f', -1, 64)
		case time.Time:
			m[name] = v.UTC().Format(time.RFC3339)
		}
	}
	return m
}

// properties are those that are set, by the names of the standard.
func properties(d *amqp091.Delivery) map[string]string {
	m := make(map[string]string, 4)
	for _, p := range [...]struct{ name, value string }{
		{"content-type", d.ContentType}, {"content-encoding", d.ContentEncoding}, {"correlation-id", d.CorrelationId},
		{"reply-to", d.ReplyTo}, {"message-id", d.MessageId}, {"type", d.Type}, {"user-id", d.UserId}, {"app-id", d.AppId},
		{"exchange", d.Exchange},
	} {
		if p.value != "" {
			m[p.name] = p.value
		}
	}
	if !d.Timestamp.IsZero() {
		m["timestamp"] = d.Timestamp.UTC().Format(time.RFC3339)
	}
	return m
}
