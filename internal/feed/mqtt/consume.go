package mqtt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/weirstream/weir/internal/feed"
)

// A consumption is what goes on between two failures.
type consumption struct {
	*Source
	in         *feed.Intake
	conn       net.Conn
	client     *paho.Client
	lost       context.CancelCauseFunc
	arriving   chan *paho.Publish
	over       chan struct{} // closed when nothing more is taken
	subscribed chan struct{} // closed when the server has taken the filters; nil when that is known
	subscriber sync.WaitGroup
}

// consume makes a consumption, whose client is not connected yet. The end of the
// connection is told to lost.
func (s *Source) consume(in *feed.Intake, conn net.Conn, lost context.CancelCauseFunc) *consumption {
	c := &consumption{
		Source: s, in: in, conn: conn, lost: lost,
		arriving: make(chan *paho.Publish, s.prefetch()), over: make(chan struct{}), subscribed: make(chan struct{}),
	}
	c.client = paho.NewClient(paho.ClientConfig{
		Conn: conn, Session: session{s.state}, PacketTimeout: answerTimeout,
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){c.take},
		OnServerDisconnect: func(d *paho.Disconnect) { lost(s.farewell(d)) },
		OnClientError:      func(err error) { lost(s.end(err)) },
	})
	return c
}

// farewell is why the server has ended the connection, as it says.
func (s *Source) farewell(d *paho.Disconnect) error {
	err := refusal((&packets.Disconnect{ReasonCode: d.ReasonCode}).Reason(), d.ReasonCode, d.Properties.ReasonString)
	if d.ReasonCode == packets.DisconnectSessionTakenOver {
		return fmt.Errorf("%w: another client has the name %q; give each server a consumer of its own", err, s.spec.Reader())
	}
	return fmt.Errorf("the server has ended the connection: %w", err)
}

// end is why the connection has ended without a farewell. There are servers, such as
// mosquitto 2.0.11, that do not say when another client takes the session over.
func (s *Source) end(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("the server has closed the connection without a reason; if it does so again and again, another client may have the name %q: give each server a consumer of its own", s.spec.Reader())
}

// A session does not acknowledge a message as soon as take has returned: deliver does,
// when it is in the log.
type session struct{ *state.State }

func (session) Ack(*packets.Publish) error { return nil }

// take hands a message over. For those with QoS 1 and 2 there is always room. With QoS 0
// it may wait, and nothing is read from the connection meanwhile.
func (c *consumption) take(p paho.PublishReceived) (bool, error) {
	select {
	case c.arriving <- p.Packet:
	case <-c.over:
	}
	return true, nil
}

// run delivers until the connection is lost, which ends open, or ctx ends.
func (c *consumption) run(ctx, open context.Context, resumed bool) error {
	outdated, filters := c.filters(c.in.Position())
	if !resumed {
		outdated = nil
	}
	c.subscriber.Go(func() { c.subscribe(open, outdated) }) // not in between: messages may come before the answer
	defer c.close()
	return c.loop(ctx, open, filters)
}

// loop delivers. filters is what it stores when they are subscribed to; nil: nothing.
func (c *consumption) loop(ctx, open context.Context, filters []byte) (err error) {
	until := open
	if c.qos == 0 {
		until = ctx // what the server does not send again waits here until the log takes it
	}
	for err == nil && open.Err() == nil {
		select {
		case <-open.Done():
		case <-c.subscribed:
			c.subscribed = nil
			c.in.Running()
			if filters != nil {
				err = c.in.Deliver(until, nil, filters)
			}
		case p := <-c.arriving:
			err = c.deliver(until, feed.Gather(p, c.arriving, size))
		}
	}
	if err != nil {
		return err
	}
	return context.Cause(open)
}

// deliver delivers a batch and acknowledges it.
func (c *consumption) deliver(ctx context.Context, batch []*paho.Publish) error {
	messages := make([]feed.Message, len(batch))
	for i, p := range batch {
		messages[i] = message(p)
	}
	if err := c.in.Deliver(ctx, messages, nil); err != nil {
		return err
	}
	for _, p := range batch {
		if p.QoS > 0 {
			// An error means that the connection is lost, which the client finds out.
			_ = c.state.Ack(&packets.Publish{PacketID: p.PacketID, QoS: p.QoS})
		}
	}
	return nil
}

// close ends the connection. The server closes it, when it has read all that was
// acknowledged: to close it with unread messages in it would take back what was written.
func (c *consumption) close() {
	c.lost(nil)
	close(c.over)
	goodbye := &paho.Disconnect{}
	if _, err := goodbye.Packet().WriteTo(c.conn); err == nil { // else it is lost already
		select {
		case <-c.client.Done():
		case <-time.After(closeTimeout):
		}
	}
	_ = c.client.Disconnect(goodbye) // it is closed, or late
	c.subscriber.Wait()
}
