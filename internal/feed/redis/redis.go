// Package redis feeds what Redis passes on: the messages of channels, the elements of a
// list, the entries of a stream.
//
// [New] makes the source; which of the three it is, the Spec says.
//
//   - Channels: at most once. Redis keeps nothing, so what is sent while the feed is not
//     connected, or while the log refuses and Prefetch messages wait, is lost.
//   - List: at least once. An element is moved to a second list, named after the first,
//     the feed and the Consumer, and removed from there when it is in the log. What is
//     found in that list at the start comes first. Elements have no name: those in it
//     when weir is killed may be published twice, unless Once names them.
//   - Stream: exactly once. Entries are read as a consumer of a group and acknowledged
//     after they are in the log; their IDs name them. Those of consumers that have been
//     silent for a minute are taken over.
//
// Redis itself may forget what it has acknowledged, unless it writes to the disk at once
// (appendfsync always), and does so when it fails over to a replica.
package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch = 256
	dialTimeout     = 5 * time.Second
	answerTimeout   = 10 * time.Second
	lagEvery        = 5 * time.Second
	wait            = 500 * time.Millisecond // that a command waits for something to arrive; a stop takes as long
	bufferSize      = 64 << 10               // of a connection, to read and to write
)

// A Source reads channels, a list or a stream.
type Source struct {
	spec     feed.Spec
	options  rueidis.ClientOption
	group    string
	consumer string
	batch    int

	unsettled []string // elements of a list in the log, of which it is not known whether they have been removed from the second list
}

// New makes a source. s must have passed its Check.
func New(s feed.Spec) (*Source, error) {
	o, err := rueidis.ParseURL(strings.TrimPrefix(s.From, "redis+"))
	if err != nil {
		return nil, fmt.Errorf("from: %s", strings.ReplaceAll(err.Error(), s.From, "…")) // it may hold a password
	}
	o.DisableCache, o.DisableRetry = true, true
	o.Dialer.Timeout, o.ConnWriteTimeout = cmp.Or(o.Dialer.Timeout, dialTimeout), cmp.Or(o.ConnWriteTimeout, answerTimeout)
	o.ReadBufferEachConn, o.WriteBufferEachConn, o.RingScaleEachConn = bufferSize, bufferSize, 8
	o.PipelineMultiplex, o.BlockingPoolSize = -1, 2
	o.ClientName = cmp.Or(o.ClientName, "weir-feed-"+s.Name)
	return &Source{spec: s, options: o, group: cmp.Or(s.Group, "weir"), consumer: s.Reader(),
		batch: min(cmp.Or(s.Prefetch, defaultPrefetch), feed.MaxBatch)}, nil
}

// Run reads until the connection is lost, or ctx ends.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	defer client.Close()
	switch s.spec.Kind() {
	case feed.RedisList:
		return s.list(ctx, in, client)
	case feed.RedisStream:
		return s.stream(ctx, in, client)
	}
	return s.channels(ctx, in, client)
}

func (s *Source) connect() (rueidis.Client, error) {
	o := s.options
	var err error
	if o.Password, err = s.spec.Password(o.Password); err != nil {
		return nil, err
	}
	if s.spec.CAFile != "" && o.TLSConfig != nil {
		trusted, err := s.spec.TLS()
		if err != nil {
			return nil, err
		}
		o.TLSConfig = o.TLSConfig.Clone() // which has what the URL says
		o.TLSConfig.RootCAs = trusted.RootCAs
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.spec.String(), err)
	}
	return client, nil
}

// do gives a command so long, and no longer.
func do(in *feed.Intake, client rueidis.Client, command rueidis.Completed) rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(in.Grace(), answerTimeout)
	defer cancel()
	return client.Do(ctx, command)
}

// doAll is do for several commands.
func doAll(in *feed.Intake, client rueidis.Client, commands rueidis.Commands) []rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(in.Grace(), answerTimeout)
	defer cancel()
	return client.DoMulti(ctx, commands...)
}

// nothing returns nil if err says that nothing has arrived.
func nothing(err error) error {
	if rueidis.IsRedisNil(err) {
		return nil
	}
	return err
}

// channels delivers the messages of channels and patterns.
func (s *Source) channels(ctx context.Context, in *feed.Intake, client rueidis.Client) error {
	conn, release := client.Dedicate()
	defer release()
	arriving, over := make(chan rueidis.PubSubMessage, cmp.Or(s.spec.Prefetch, defaultPrefetch)), make(chan struct{})
	defer close(over)
	lost := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) {
		select {
		case arriving <- m: // while there is no room, nothing is read from the connection
		case <-over:
		}
	}})
	if err := s.subscribe(ctx, conn); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	in.Running()
	for {
		select {
		case m := <-arriving:
			if err := deliverMessages(ctx, in, feed.Gather(m, arriving, size)); err != nil {
				return err
			}
		case err := <-lost:
			return errors.Join(rest(ctx, in, arriving), err)
		case <-ctx.Done():
			return rest(in.Grace(), in, arriving)
		}
	}
}

func (s *Source) subscribe(ctx context.Context, conn rueidis.DedicatedClient) error {
	var errs []error
	if len(s.spec.Channels) > 0 {
		errs = append(errs, conn.Do(ctx, conn.B().Subscribe().Channel(s.spec.Channels...).Build()).Error())
	}
	if len(s.spec.Patterns) > 0 {
		errs = append(errs, conn.Do(ctx, conn.B().Psubscribe().Pattern(s.spec.Patterns...).Build()).Error())
	}
	return errors.Join(errs...)
}

// rest delivers what has arrived.
func rest(ctx context.Context, in *feed.Intake, arriving <-chan rueidis.PubSubMessage) error {
	for {
		select {
		case m := <-arriving:
			if err := deliverMessages(ctx, in, feed.Gather(m, arriving, size)); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func size(m rueidis.PubSubMessage) int { return len(m.Message) }

func deliverMessages(ctx context.Context, in *feed.Intake, batch []rueidis.PubSubMessage) error {
	messages := make([]feed.Message, len(batch))
	for i, m := range batch {
		messages[i] = feed.Message{Body: []byte(m.Message), Key: m.Channel}
		if m.Pattern != "" {
			messages[i].Properties = map[string]string{"pattern": m.Pattern}
		}
	}
	return in.Deliver(ctx, messages, nil)
}
