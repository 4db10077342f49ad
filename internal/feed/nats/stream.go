package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/feed"
)

const (
	ackWait   = 5 * time.Second
	ackSlack  = 500 * time.Millisecond // by which the server may be late with it
	farewell  = 2 * time.Second        // for a server to hear of the end
	expiry    = 10 * time.Second       // of a request for messages
	heartbeat = 3 * time.Second        // the server's while it has none
	lagEvery  = 5 * time.Second
)

// stream delivers the messages of a stream.
func (s *Source) stream(ctx, open context.Context, in *feed.Intake, conn *nats.Conn, fail context.CancelCauseFunc) error {
	consumer, err := s.consumer(open, conn)
	if err != nil {
		return err
	}
	in.Running()
	c := &consumption{
		in: in, conn: conn, consumer: consumer, before: *consumer.CachedInfo(), ackWait: s.ackWait,
		arriving: make(chan *delivery, s.prefetch), held: make(map[uint64]*delivery),
	}
	var keeping context.Context
	keeping, c.release = context.WithCancel(in.Grace())
	c.over = keeping.Done()
	defer c.release()
	c.consuming, err = consumer.Consume(c.take, jetstream.PullMaxMessages(s.prefetch), jetstream.PullExpiry(expiry), jetstream.PullHeartbeat(heartbeat),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			if !errors.Is(err, jetstream.ErrConnectionClosed) { // of which the connection says more
				fail(fmt.Errorf("stream %q: %w", s.spec.Stream, err))
			}
		}))
	if err != nil {
		return err
	}
	defer c.consuming.Stop()
	c.keeper.Go(func() { c.keep(keeping) })
	return c.run(ctx, open)
}

// consumer makes sure that the consumer is there, and is as the Spec says.
func (s *Source) consumer(ctx context.Context, conn *nats.Conn) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	js, err := jetstream.New(conn)
	if err == nil {
		err = s.declare(ctx, js)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", s.spec.Stream, err)
	}
	consumer, err := js.Consumer(ctx, s.spec.Stream, s.spec.Reader())
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound):
		c := jetstream.ConsumerConfig{Durable: s.spec.Reader(), AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: -1}
		if s.spec.Start == "end" {
			c.DeliverPolicy = jetstream.DeliverNewPolicy
		}
		s.configure(&c)
		consumer, err = js.CreateConsumer(ctx, s.spec.Stream, c)
	case err == nil:
		consumer, err = s.update(ctx, js, consumer)
	}
	if err != nil {
		return nil, fmt.Errorf("consumer %q of stream %q: %w", s.spec.Reader(), s.spec.Stream, err)
	}
	return consumer, nil
}

// declare makes the stream, if it is missing and the Spec says so.
func (s *Source) declare(ctx context.Context, js jetstream.JetStream) error {
	_, err := js.Stream(ctx, s.spec.Stream)
	switch {
	case !errors.Is(err, jetstream.ErrStreamNotFound):
		return err
	case !s.spec.Declare:
		return fmt.Errorf("%w: make it, or add declare: true", err)
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: s.spec.Stream, Subjects: s.spec.Subscribe, Retention: jetstream.InterestPolicy})
	return err
}

var errOther = errors.New("it does not want each message acknowledged: delete it, or name another one with consumer")

// update changes a consumer to what the Spec says, unless that is what it is.
func (s *Source) update(ctx context.Context, js jetstream.JetStream, consumer jetstream.Consumer) (jetstream.Consumer, error) {
	c := consumer.CachedInfo().Config
	if c.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, errOther
	}
	old := c
	s.configure(&c)
	same := c.AckWait == old.AckWait && c.MaxAckPending == old.MaxAckPending && slices.Equal(c.FilterSubjects, old.FilterSubjects)
	if same && cmp.Or(c.FilterSubject, all) == cmp.Or(old.FilterSubject, all) {
		return consumer, nil
	}
	return js.UpdateConsumer(ctx, s.spec.Stream, c)
}

// all is the filter that all subjects match. Servers (2.15.2 is one) deliver late after
// a filter has been taken away.
const all = ">"

// configure sets what may be changed later.
func (s *Source) configure(c *jetstream.ConsumerConfig) {
	c.AckWait, c.BackOff, c.MaxAckPending = s.ackWait, nil, s.prefetch
	c.FilterSubject, c.FilterSubjects = "", nil
	switch len(s.spec.Subscribe) {
	case 0:
		c.FilterSubject = all
	case 1:
		c.FilterSubject = s.spec.Subscribe[0]
	default: // which servers before 2.10 do not know
		c.FilterSubjects = s.spec.Subscribe
	}
}

// A delivery is a message that the server waits to be told about.
type delivery struct {
	jetstream.Msg
	meta *jetstream.MsgMetadata
	told time.Time // when the server last heard of it
}

// A consumption is what goes on between two failures.
type consumption struct {
	in        *feed.Intake
	conn      *nats.Conn
	consumer  jetstream.Consumer
	before    jetstream.ConsumerInfo // when this began
	ackWait   time.Duration
	arriving  chan *delivery
	consuming jetstream.ConsumeContext
	keeper    sync.WaitGroup
	release   context.CancelFunc
	over      <-chan struct{} // closed by release

	mu   sync.Mutex
	held map[uint64]*delivery // guarded by mu: by place in the stream; in the log or not, but not acknowledged
}

// take takes a message from the client.
func (c *consumption) take(m jetstream.Msg) {
	meta, err := m.Metadata()
	if err != nil {
		return // it is none of the stream
	}
	d := &delivery{m, meta, time.Now()}
	c.mu.Lock()
	c.held[meta.Sequence.Stream] = d
	c.mu.Unlock()
	select {
	case c.arriving <- d:
	case <-c.over:
	}
}

// run delivers until open ends.
func (c *consumption) run(ctx, open context.Context) error {
	defer c.giveBack()
	if err := c.resume(open); err != nil {
		return err
	}
	for {
		select {
		case d := <-c.arriving:
			batch := feed.Gather(d, c.arriving, func(d *delivery) int { return len(d.Data()) })
			if err := c.deliver(open, batch); err != nil {
				return err
			}
		case <-open.Done():
			return reason(ctx, open)
		}
	}
}

// reason is why open has ended; nil if that is ctx.
func reason(ctx, open context.Context) error {
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(open)
}

// resume delivers what earlier connections have left, in order. The server delivers it
// again in any order and after ackWait, and in between what is new.
func (c *consumption) resume(open context.Context) error {
	var list []*delivery
	late := time.After(c.ackWait + ackSlack) // others may be at work on it
	for left := c.before.NumAckPending; left > 0; {
		select {
		case d := <-c.arriving:
			list = append(list, d)
			if d.meta.Sequence.Stream <= c.before.Delivered.Stream {
				left--
			}
		case <-late:
			left = 0
		case <-open.Done():
			return nil // they come again
		}
	}
	slices.SortFunc(list, func(a, b *delivery) int { return cmp.Compare(a.meta.Sequence.Stream, b.meta.Sequence.Stream) })
	for batch := range slices.Chunk(list, feed.MaxBatch) {
		if err := c.deliver(open, batch); err != nil {
			return err
		}
	}
	return nil
}

// giveBack tells the server what is not in the log, so that it need not wait for that.
func (c *consumption) giveBack() {
	ctx, cancel := context.WithTimeout(c.in.Grace(), farewell)
	defer cancel()
	ended := c.consuming.Closed()
	c.consuming.Drain()
	c.release()
	c.keeper.Wait()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, place := range slices.Sorted(maps.Keys(c.held)) {
		_ = c.held[place].Nak() // it comes after ackWait otherwise
	}
	_ = c.conn.FlushWithContext(ctx) // same
}

// deliver delivers a batch, and acknowledges it.
func (c *consumption) deliver(ctx context.Context, batch []*delivery) error {
	messages := make([]feed.Message, len(batch))
	for i, d := range batch {
		messages[i] = d.message()
	}
	if err := c.in.Deliver(ctx, messages, nil); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range batch {
		if err := d.Ack(); err != nil {
			return fmt.Errorf("acknowledge: %w", err)
		}
		delete(c.held, d.meta.Sequence.Stream)
	}
	return nil
}

// message is named by its sender, or else by its place in the stream. The time tells the
// stream from an earlier one of that name.
func (d *delivery) message() feed.Message {
	place, stored := d.meta.Sequence.Stream, d.meta.Timestamp
	return feed.Message{
		Body: d.Data(), Key: d.Subject(), Headers: headers(d.Headers()),
		ID: cmp.Or(d.Headers().Get(jetstream.MsgIDHeader), fmt.Sprintf("%s/%d/%d", d.meta.Stream, place, stored.UnixMilli())),
		Properties: map[string]string{
			"stream": d.meta.Stream, "sequence": fmt.Sprint(place), "timestamp": stored.UTC().Format(time.RFC3339Nano),
		},
	}
}

// keep tells the server, until ctx ends, that messages are being worked on, and asks it
// how many wait.
func (c *consumption) keep(ctx context.Context) {
	tick := time.NewTicker(c.ackWait / 4)
	defer tick.Stop()
	c.lag(ctx)
	for asked := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c.touch()
		if time.Since(asked) >= lagEvery {
			c.lag(ctx)
			asked = time.Now()
		}
	}
}

func (c *consumption) touch() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.held {
		if time.Since(d.told) > c.ackWait/4 {
			_ = d.InProgress() // the connection says what is wrong
			d.told = time.Now()
		}
	}
}

func (c *consumption) lag(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if info, err := c.consumer.Info(ctx); err == nil { // it is only a figure
		c.in.Lag(int64(info.NumPending))
	}
}
