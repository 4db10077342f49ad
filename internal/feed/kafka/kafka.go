// Package kafka feeds the records of topics of Kafka.
//
// [New] makes the source. It reads as a member of a consumer group, which shares the
// partitions out among its members, and commits the offsets of records after they are in
// the log. What is delivered again has the same name, of topic, partition, offset and
// timestamp, so each record arrives exactly once. The timestamp tells records apart that
// have been at one offset, of a topic that was deleted and made anew, or of a partition
// whose leader has lost its newest records.
//
// Order is that of each partition. Records of transactions arrive when those are
// committed. It creates no topics.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weirstream/weir/internal/feed"
)

const (
	defaultPrefetch = 256
	dialTimeout     = 5 * time.Second
	session         = 10 * time.Second // after which the group gives the partitions of a member that is gone to others
	firstRetry      = 100 * time.Millisecond
	lastRetry       = 2 * time.Second
	fetchWait       = time.Second // that a broker waits for records to arrive
	refresh         = time.Minute // after which partitions that were added are seen

	// What a broker may send at once, in bytes. One batch of records may be larger than
	// the first two.
	fetchPartition = 1 << 20
	fetchBroker    = 4 << 20
	fetchMost      = 64 << 20
	batchMost      = 64 << 20 // of a batch, decompressed
)

// A Source consumes topics.
type Source struct {
	spec     feed.Spec
	brokers  []string
	tls      bool
	user     string
	password string // of From
	sasl     func(s *Source) sasl.Mechanism
}

// mechanisms are the values of sasl in From.
var mechanisms = map[string]func(s *Source) sasl.Mechanism{
	"plain": func(s *Source) sasl.Mechanism {
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.spec.Password(s.password)
			return plain.Auth{User: s.user, Pass: password}, err
		})
	},
	"scram-sha-256": func(s *Source) sasl.Mechanism { return scram.Sha256(s.scram) },
	"scram-sha-512": func(s *Source) sasl.Mechanism { return scram.Sha512(s.scram) },
}

func (s *Source) scram(context.Context) (scram.Auth, error) {
	password, err := s.spec.Password(s.password)
	return scram.Auth{User: s.user, Pass: password}, err
}

// New makes a source. spec must have passed its Check.
func New(spec feed.Spec) (*Source, error) {
	u, err := url.Parse(spec.From)
	if err != nil {
		return nil, errors.New("from is not a URL")
	}
	s := &Source{spec: spec, brokers: strings.Split(u.Host, ","), tls: u.Scheme == "kafka+tls", user: u.User.Username()}
	s.password, _ = u.User.Password()
	for i, b := range s.brokers {
		if b == "" {
			return nil, fmt.Errorf("from: broker %d of %q has no name: want kafka://HOST:PORT,HOST:PORT", i+1, u.Host)
		}
	}
	if strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("from has the path %q: topics are named with subscribe", u.Path)
	}
	return s, s.mechanism(u.Query())
}

// mechanism finds out how to log in.
func (s *Source) mechanism(query url.Values) error {
	name := cmp.Or(query.Get("sasl"), "plain")
	for key := range query {
		if key != "sasl" {
			return fmt.Errorf("from has the parameter %q, want sasl", key)
		}
	}
	switch {
	case mechanisms[name] == nil:
		return fmt.Errorf("from has sasl=%s, want plain, scram-sha-256 or scram-sha-512", name)
	case s.user == "" && (query.Has("sasl") || s.spec.PasswordFile != ""):
		return errors.New("from has no user, which sasl and password-file need: kafka://USER@HOST")
	case s.user != "" && s.password == "" && s.spec.PasswordFile == "":
		return errors.New("from has a user without a password: add password-file")
	case s.user != "":
		s.sasl = mechanisms[name]
	}
	return nil
}

// dial connects to a broker.
func (s *Source) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout}
	if !s.tls {
		return d.DialContext(ctx, network, addr)
	}
	config, err := s.spec.TLS()
	if err != nil {
		return nil, err
	}
	return (&tls.Dialer{NetDialer: d, Config: config}).DialContext(ctx, network, addr)
}

// retryAfter is how long the client waits after n attempts.
func retryAfter(n int) time.Duration {
	return min(firstRetry<<min(n, 10), lastRetry) + rand.N(firstRetry)
}

// options are those of the client, which lives until ctx ends.
func (s *Source) options(ctx context.Context) []kgo.Opt {
	options := []kgo.Opt{
		kgo.WithContext(ctx), kgo.SeedBrokers(s.brokers...), kgo.Dialer(s.dial), kgo.ClientID("weir-feed-" + s.spec.Name),
		kgo.DisableClientMetrics(), kgo.MetadataMaxAge(refresh), kgo.RetryBackoffFn(retryAfter),
		kgo.ConsumeTopics(s.spec.Subscribe...), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(fetchWait), kgo.FetchMaxPartitionBytes(fetchPartition), kgo.FetchMaxBytes(fetchBroker),
		kgo.BrokerMaxReadBytes(fetchMost), kgo.MaxDecompressBatchBytes(batchMost),
		kgo.ConsumerGroup(cmp.Or(s.spec.Group, "weir")), kgo.SessionTimeout(session), kgo.HeartbeatInterval(session / 5),
		kgo.AutoCommitMarks(), kgo.BlockRebalanceOnPoll(),
	}
	if s.sasl != nil {
		options = append(options, kgo.SASL(s.sasl(s)))
	}
	return options
}

// Run consumes until a topic cannot be read, or ctx ends. While no broker can be reached,
// or a topic is not there, it goes on trying.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	alive, end := context.WithCancel(in.Grace())
	defer end()
	c := &consumption{in: in, source: s, unread: make(map[partition]int64)}
	var err error
	if c.client, err = kgo.NewClient(append(s.options(alive), c.callbacks()...)...); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	defer c.client.CloseAllowingRebalance() // which leaves the group
	defer func() { time.AfterFunc(leaveTimeout, end) }()
	if err = c.look(); err != nil && !missing(err) {
		return err
	}
	return c.run(ctx)
}
