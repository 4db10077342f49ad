package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/sharedlog"
)

const (
	readWait  = time.Second            // for the first record
	readBytes = 4 << 20                // of records returned at once, about
	pullCount = 512                    // records that the server may send before it is asked again: 20 ms of 25,000/s
	pullBytes = 4 << 20                // of these records, and the largest that there may be
	pullFor   = 30 * time.Second       // then it is asked again
	beat      = 250 * time.Millisecond // a server that has nothing to send says so
	keepFor   = 10 * time.Second       // how long the server keeps a consumer that is not used
)

var (
	errSkipped = errors.New("natslog: a record did not arrive")
	errSilent  = errors.New("natslog: the server does not answer")
)

// A tail gets the records of a stream as they come. It is a consumer, which the server
// has in its memory, and asks for more when it has got half of what it asked for: so
// there is always something on a long way. Whoever finds it broken makes another.
type tail struct {
	sub      *nats.Subscription
	turn     *turn  // which records may end
	subject  string // to ask for more
	inbox    string
	open     int       // records that may still come without asking
	after    uint64    // position of the newest record that came; before that where it begins
	received uint64    // records
	heard    time.Time // from the server
}

// Next implements [sharedlog.Engine].
func (e *Engine) Next(ctx context.Context, after uint64) ([]sharedlog.Record, error) {
	select {
	case e.reading <- struct{}{}:
		defer func() { <-e.reading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	list, err := e.read(ctx, after)
	if err != nil {
		e.unfollow()
	}
	if code(err) == jetstream.JSErrCodeStreamNotFound {
		return nil, nil // there are no records
	}
	for _, r := range list {
		e.room.add(r.Pos, len(r.Data))
	}
	return list, err
}

func (e *Engine) read(ctx context.Context, after uint64) (list []sharedlog.Record, err error) {
	if e.tail == nil || after < e.tail.after {
		if err := e.follow(ctx, after); err != nil {
			return nil, err
		}
	}
	t := e.tail
	ctx, done := e.line.watch(ctx, readWait)
	defer done()
	for bytes := 0; bytes < readBytes && (len(list) == 0 || t.waiting() > 0); {
		r, err := t.next(ctx, e.line.Conn)
		if errors.Is(err, context.DeadlineExceeded) {
			if time.Since(t.heard) < readWait {
				break
			}
			err = errSilent
		}
		if err != nil {
			return list, err
		}
		if r.Pos > after {
			list, bytes = append(list, r), bytes+len(r.Data)
		}
	}
	return list, nil
}

// unfollow lets go of the tail. The server will notice.
func (e *Engine) unfollow() {
	if e.tail != nil {
		_ = e.tail.sub.Unsubscribe() // the connection may be closed
		e.tail = nil
	}
}

// follow makes a tail that begins after a position.
func (e *Engine) follow(ctx context.Context, after uint64) error {
	e.unfollow()
	var a struct {
		problem
		Name string `json:"name"`
	}
	err := e.api(ctx, "CONSUMER.CREATE."+e.stream, consumerRequest{Stream: e.stream, Config: jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: after + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: keepFor,
	}}, &a)
	if err != nil {
		return err
	}
	t := &tail{turn: e.turn, subject: "$JS.API.CONSUMER.MSG.NEXT." + e.stream + "." + a.Name, inbox: nats.NewInbox(), after: after, heard: time.Now()}
	if t.sub, err = e.line.SubscribeSync(t.inbox); err != nil {
		return err
	}
	e.tail = t
	return t.sub.SetPendingLimits(-1, -1) // what was asked for is the limit
}

// waiting is how many messages of the server are there to be read.
func (t *tail) waiting() int {
	n, _, _ := t.sub.Pending()
	return n
}

// next waits for the next message of the server. If that is not a record, it returns one
// with position 0: records that came before must not wait for what comes after.
func (t *tail) next(ctx context.Context, conn *nats.Conn) (r sharedlog.Record, err error) {
	if t.open <= pullCount/2 {
		if err := t.ask(conn); err != nil {
			return r, err
		}
	}
	m, err := t.sub.NextMsgWithContext(ctx)
	if err != nil {
		return r, err
	}
	t.heard = time.Now()
	if status := m.Header.Get("Status"); status != "" {
		return r, t.told(status, m.Header)
	}
	return t.take(m)
}

// ask asks for as many records as make pullCount with those that may still come.
func (t *tail) ask(conn *nats.Conn) error {
	request, err := json.Marshal(map[string]any{
		"batch": pullCount - t.open, "max_bytes": pullBytes + conn.MaxPayload(), "expires": pullFor, "idle_heartbeat": beat,
	})
	if err != nil {
		return err
	}
	t.open = pullCount
	return conn.PublishRequest(t.subject, t.inbox, request)
}

// take turns a message into a record.
func (t *tail) take(m *nats.Msg) (r sharedlog.Record, err error) {
	meta, err := m.Metadata()
	if err != nil {
		return r, fmt.Errorf("natslog: %w", err)
	}
	if t.received++; meta.Sequence.Consumer != t.received {
		return r, fmt.Errorf("%w: number %d of the consumer instead of %d", errSkipped, meta.Sequence.Consumer, t.received)
	}
	t.open--
	t.after = meta.Sequence.Stream
	if node := m.Header.Get(turnHeader); node != "" {
		t.turn.end(node)
	}
	return sharedlog.Record{Pos: t.after, Data: m.Data}, nil
}

// told is for messages of the server that are not records. Those with a number of
// records that it has not sent say that a request is over: after some time, when its
// records had as many bytes as may be, or were as many as were asked for.
func (t *tail) told(status string, h nats.Header) error {
	if status == "100" { // nothing new
		return nil
	}
	if rest, err := strconv.Atoi(h.Get("Nats-Pending-Messages")); err == nil {
		t.open -= rest
		return nil
	}
	if status == "503" {
		return fmt.Errorf("%w: the consumer is gone", errSilent)
	}
	return fmt.Errorf("natslog: the consumer ended: %s %s", status, h.Get("Description"))
}
