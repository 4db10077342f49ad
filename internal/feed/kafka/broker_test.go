package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/kafka"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

// program is testdata/broker.
var program string

// shared is used by the tests that neither kill their broker nor want it to be special.
var shared *feedtest.Kafka

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "weir-kafka")
	if err == nil {
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "broker.exe") // the ending matters on Windows only
		err = feedtest.BuildKafka(program)
	}
	if err == nil {
		shared, err = feedtest.OpenKafka(program, dir, proctest.FreePort())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "kafka: %v\n", err)
		return 1
	}
	code := m.Run()
	shared.Kill()
	if left := leak.Left(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		return 1
	}
	return code
}

// newBroker starts a broker of a test's own.
func newBroker(t *testing.T, args ...string) *feedtest.Kafka {
	t.Helper()
	return feedtest.LaunchKafka(t, program, proctest.FreePort(), args...)
}

// newRelayed starts one to which clients connect by a relay.
func newRelayed(t *testing.T) (*feedtest.Kafka, *feedtest.Relay) {
	t.Helper()
	port := proctest.FreePort()
	relay := feedtest.NewRelay(t, fmt.Sprint("127.0.0.1:", port))
	return feedtest.LaunchKafka(t, program, port, "-advertise", relay.Addr()), relay
}

// start feeds from the topic of the test's name to the topic in.
func start(t *testing.T, bed *feedtest.Bed, change func(s *feed.Spec)) *feedtest.Running {
	t.Helper()
	return startLogging(t, bed, nil, change)
}

func startLogging(t *testing.T, bed *feedtest.Bed, log *slog.Logger, change func(s *feed.Spec)) *feedtest.Running {
	t.Helper()
	s := feed.Spec{Name: "test", From: "kafka://" + shared.Addr(), Subscribe: []string{t.Name()}, Group: t.Name(), Topic: "in", DeadLetter: "dead"}
	if change != nil {
		change(&s)
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	source, err := kafka.New(s)
	if err != nil {
		t.Fatal(err)
	}
	return bed.Start(feed.Options{Spec: s, Source: source, Log: log})
}

// A client produces, and asks what there is.
type client struct {
	t *testing.T
	*kgo.Client
}

func connect(t *testing.T, b *feedtest.Kafka, options ...kgo.Opt) client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(t.Name()),
		kgo.ProducerBatchMaxBytes(90 << 20), kgo.BrokerMaxReadBytes(200 << 20), kgo.AlwaysRetryEOF(),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return client{t, c}
}

func (c client) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	c.t.Cleanup(cancel)
	return ctx
}

// create makes the topic of the test's name.
func (c client) create(partitions int) {
	c.t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = c.t.Name(), int32(partitions), 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(c.context(), c.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// grow gives it more partitions.
func (c client) grow(partitions int) {
	c.t.Helper()
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = c.t.Name(), int32(partitions)
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(c.context(), c.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// remove deletes it.
func (c client) remove() {
	c.t.Helper()
	name, req := c.t.Name(), kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req.TopicNames, req.Topics = []string{name}, append(req.Topics, topic)
	resp, err := req.RequestWith(c.context(), c.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// send produces and waits until the broker has it on its disk.
func (c client) send(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.ProduceSync(c.context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// numbers are records for partition 0.
func numbers(from, to int) []*kgo.Record { return numbersOf(0, from, to) }

func numbersOf(partition int32, from, to int) []*kgo.Record {
	var list []*kgo.Record
	for _, text := range feedtest.Numbers(from, to) {
		list = append(list, &kgo.Record{Partition: partition, Value: []byte(text)})
	}
	return list
}

// committed is what the test's group has committed of partition 0; -1: nothing.
func (c client) committed() (int, error) {
	c.t.Helper()
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.Topic, topic.Partitions = c.t.Name(), []int32{0}
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group, group.Topics = c.t.Name(), []kmsg.OffsetFetchRequestGroupTopic{topic}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Groups = append(req.Groups, group)
	resp, err := req.RequestWith(c.context(), c.Client)
	switch {
	case err != nil:
		return 0, err
	case errors.Is(kerr.ErrorForCode(resp.ErrorCode), kerr.GroupIDNotFound):
		return -1, nil
	case len(resp.Groups) != 1 || len(resp.Groups[0].Topics) != 1:
		return 0, fmt.Errorf("answer is %+v", resp)
	}
	return int(resp.Groups[0].Topics[0].Partitions[0].Offset), nil
}

func (c client) awaitCommitted(want int) {
	c.t.Helper()
	feedtest.Await(c.t, "committed offset", func() error {
		n, err := c.committed()
		return feedtest.Not(n == want && err == nil, "it is %d, want %d; %v", n, want, err)
	})
}

func awaitStats(t *testing.T, r *feedtest.Running, what string, ok func(s feed.Stats) bool) {
	t.Helper()
	feedtest.Await(t, what, func() error {
		s := r.Stats()
		return feedtest.Not(ok(s), "%+v", s)
	})
}

// some waits until a bed has more than n messages.
func some(t *testing.T, bed *feedtest.Bed, n int) {
	t.Helper()
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) > n, "%d", len(bed.Data("in"))) })
}
