package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/feed"
)

const (
	wait          = 500 * time.Millisecond // that a poll waits for records
	lookEvery     = 5 * time.Second
	lookAgain     = time.Second // while there is trouble
	lookTimeout   = 5 * time.Second
	answerTimeout = 10 * time.Second
	leaveTimeout  = 3 * time.Second // to leave the group at the end
)

// A consumption is one membership in the group. The client calls its callbacks between
// polls only: see kgo.BlockRebalanceOnPoll.
type consumption struct {
	in     *feed.Intake
	source *Source
	client *kgo.Client

	joined  atomic.Bool // it is a member of the group
	apart   error       // why it was not, when last told
	trouble error       // what look has found
	looked  time.Time   // when look was called
	unsaved error       // why the last commit has failed; nil: it has not
	refused bool        // the log has refused what was delivered last
	unread  map[partition]int64
	giveUp  atomic.Pointer[context.CancelCauseFunc] // ends what is being delivered
}

// A partition is one of a topic.
type partition struct {
	topic  string
	number int32
}

var errRebalance = errors.New("the group shares its partitions out anew")

// callbacks are the options by which the client tells of the group.
func (c *consumption) callbacks() []kgo.Opt {
	options := []kgo.Opt{
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { c.joined.Store(true) }),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, gone map[string][]int32) {
			ctx, cancel := context.WithTimeout(ctx, answerTimeout)
			defer cancel()
			_ = client.CommitMarkedOffsets(ctx) // what it leaves out is delivered again
			c.forget(gone)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
			c.joined.Store(false)
			c.forget(gone)
		}),
		kgo.OnPartitionsCallbackBlocked(func(context.Context, *kgo.Client) {
			if cancel := c.giveUp.Load(); cancel != nil {
				(*cancel)(errRebalance)
			}
		}),
	}
	if c.source.spec.Start == "end" {
		options = append(options, kgo.ConsumeStartOffset(kgo.NewOffset().AtEnd()), kgo.AdjustFetchOffsetsFn(c.startAtEnd))
	}
	return options
}

// run delivers until something cannot be read, or ctx ends.
func (c *consumption) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if since := time.Since(c.looked); since >= lookEvery || c.trouble != nil && since >= lookAgain {
			_ = c.look() // which report tells
			if c.unsaved != nil {
				c.commit()
			}
		}
		c.report()
		if err := c.turn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// report tells how things are.
func (c *consumption) report() {
	err := cmp.Or(c.trouble, c.unsaved)
	if err == nil && !c.joined.Load() {
		if err = c.apart; err == nil {
			return // it has not been tried yet
		}
	}
	if err != nil {
		c.in.Failing(err)
	} else if !c.refused {
		c.in.Running()
	}
}

// look asks a broker whether the topics can be read.
func (c *consumption) look() error {
	c.looked = time.Now()
	ctx, cancel := context.WithTimeout(c.in.Grace(), lookTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range c.source.spec.Subscribe {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, c.client)
	if err != nil {
		if c.source.sasl != nil && errors.Is(err, io.EOF) { // some brokers just hang up
			err = fmt.Errorf("%w: is the password wrong?", err)
		}
		c.trouble = fmt.Errorf("connect to %s: %w", c.source.spec.String(), err)
		return c.trouble
	}
	c.trouble = nil
	for _, topic := range resp.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil && topic.Topic != nil {
			c.trouble = fmt.Errorf("topic %q: %w", *topic.Topic, err)
		}
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); errors.Is(err, kerr.LeaderNotAvailable) {
				c.trouble = fmt.Errorf("topic %q, partition %d: %w", *topic.Topic, p.Partition, err)
			}
		}
	}
	return c.trouble
}

// missing reports whether a topic is not there (yet); the others can be read.
func missing(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }

// turn delivers what has arrived. While the group wants to share its partitions out anew
// it waits for the end of a turn.
func (c *consumption) turn(ctx context.Context) error {
	delivering, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.giveUp.Store(&cancel)
	polling, stop := context.WithTimeout(ctx, wait)
	defer stop()
	fetches := c.client.PollRecords(polling, min(cmp.Or(c.source.spec.Prefetch, defaultPrefetch), feed.MaxBatch))
	defer c.client.AllowRebalance()
	records := fetches.Records()
	if err := c.deliver(delivering, records); err != nil {
		if ctx.Err() == nil && errors.Is(context.Cause(delivering), errRebalance) {
			c.refused = true
			c.rewind(records)
			return nil
		}
		return err
	}
	c.refused = false
	c.lag(fetches)
	return c.faults(delivering, fetches)
}

// deliver delivers records and commits their offsets.
func (c *consumption) deliver(ctx context.Context, records []*kgo.Record) error {
	if len(records) == 0 {
		return nil
	}
	messages := make([]feed.Message, 0, len(records))
	for _, r := range records {
		if !r.Attrs.IsControl() { // it is the end of a transaction
			messages = append(messages, message(r))
		}
	}
	if len(messages) > 0 {
		if err := c.in.Deliver(ctx, messages, nil); err != nil {
			return err
		}
	}
	c.client.MarkCommitRecords(records...)
	c.commit()
	return nil
}

// commit commits what has been delivered. If it fails the client tries again, and a
// later commit includes this one.
func (c *consumption) commit() {
	ctx, cancel := context.WithTimeout(c.in.Grace(), answerTimeout)
	defer cancel()
	if c.unsaved = c.client.CommitMarkedOffsets(ctx); c.unsaved != nil {
		c.unsaved = fmt.Errorf("commit offsets: %w", c.unsaved)
	}
}

// rewind has records that were polled be polled again.
func (c *consumption) rewind(records []*kgo.Record) {
	first := make(map[string]map[int32]kgo.EpochOffset)
	for _, r := range records {
		if first[r.Topic] == nil {
			first[r.Topic] = make(map[int32]kgo.EpochOffset)
		}
		if _, known := first[r.Topic][r.Partition]; !known {
			first[r.Topic][r.Partition] = kgo.EpochOffset{Epoch: r.LeaderEpoch, Offset: r.Offset}
		}
	}
	c.client.SetOffsets(first)
}

// faults returns why something cannot be read, if that is for long.
func (c *consumption) faults(ctx context.Context, fetches kgo.Fetches) error {
	for _, f := range fetches.Errors() {
		if apart, ok := errors.AsType[*kgo.ErrGroupSession](f.Err); ok {
			c.apart = fmt.Errorf("group %q: %w", cmp.Or(c.source.spec.Group, "weir"), apart.Err)
		} else if large, ok := errors.AsType[*kgo.ErrDecompressTooLarge](f.Err); ok {
			if err := c.skip(ctx, large); err != nil {
				return err
			}
		} else if lost, ok := errors.AsType[*kgo.ErrDataLoss](f.Err); ok {
			c.in.Debug("records were lost at the source", "topic", lost.Topic, "partition", lost.Partition, "from", lost.ResetTo, "to", lost.ConsumedTo)
		} else if !errors.Is(f.Err, context.DeadlineExceeded) && !errors.Is(f.Err, context.Canceled) { // which say that nothing has arrived
			return fmt.Errorf("topic %q, partition %d: %w", f.Topic, f.Partition, f.Err)
		}
	}
	return nil
}

// skip makes a dead letter of a batch of records that is too large to decompress.
func (c *consumption) skip(ctx context.Context, large *kgo.ErrDecompressTooLarge) error {
	r := &kgo.Record{Topic: large.Topic, Partition: large.Partition, Offset: large.Offset}
	m := message(r)
	m.Fault = fmt.Errorf("records %d to %d are one batch, which has more than %d bytes when it is decompressed", large.Offset, large.NextOffset-1, batchMost)
	if err := c.in.Deliver(ctx, []feed.Message{m}, nil); err != nil {
		return err
	}
	c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{large.Topic: {large.Partition: {Epoch: large.Epoch, Offset: large.NextOffset}}})
	return nil
}

// lag tells how many records wait, as far as the brokers have said.
func (c *consumption) lag(fetches kgo.Fetches) {
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if n := len(p.Records); n > 0 {
			c.unread[partition{p.Topic, p.Partition}] = max(0, p.HighWatermark-p.Records[n-1].Offset-1)
		}
	})
	c.tellLag()
}

func (c *consumption) tellLag() {
	sum := int64(0)
	for _, n := range c.unread {
		sum += n
	}
	c.in.Lag(sum)
}

// forget leaves partitions of others out of the lag.
func (c *consumption) forget(gone map[string][]int32) {
	for topic, numbers := range gone {
		for _, n := range numbers {
			delete(c.unread, partition{topic, n})
		}
	}
	c.tellLag()
}

// message is a record. Its body is a copy, because a record keeps all of its batch in
// memory.
func message(r *kgo.Record) feed.Message {
	at := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	m := feed.Message{
		Body: append([]byte(nil), r.Value...),
		ID:   at + "/" + strconv.FormatInt(r.Timestamp.UnixMilli(), 10),
		Key:  string(r.Key),
		Properties: map[string]string{
			"topic": r.Topic, "partition": strconv.Itoa(int(r.Partition)), "offset": strconv.FormatInt(r.Offset, 10),
			"timestamp": r.Timestamp.UTC().Format(time.RFC3339Nano),
		},
	}
	if len(r.Headers) > 0 {
		m.Headers = make(map[string]string, len(r.Headers))
	}
	for _, h := range r.Headers {
		m.Headers[h.Key] = string(h.Value)
	}
	return m
}
