package natslog_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/natslog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// fast is a server that does not wait for its disk, with more in its configuration.
func fast(more string) natsserver.Options {
	return natsserver.Options{Lazy: true, Config: "max_payload: 8MB\n" + more}
}

// A server is a nats-server that a test has started, or a way to it.
type server struct {
	*natsserver.Server
	t   testing.TB
	url string // with parameters
}

func startServer(t testing.TB) *server {
	t.Helper()
	s := natsserver.Start(t, fast(""))
	return &server{s, t, s.URL()}
}

// at is the same server under another URL.
func (s *server) at(t testing.TB, url string) *server { return &server{s.Server, t, url} }

// via starts a relay, and returns the way through it.
func (s *server) via() (*server, *feedtest.Relay) {
	s.t.Helper()
	r := feedtest.NewRelay(s.t, s.Addr())
	return &server{s.Server, s.t, "nats://" + r.Addr()}, r
}

// connect connects to the log with a name.
func (s *server) connect(name string, wait time.Duration) *natslog.Engine {
	s.t.Helper()
	e, err := natslog.Connect(s.t.Context(), natslog.Options{URL: s.url, Name: name, Wait: wait})
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// Connect is connect for package nodetest, on behalf of another test.
func (s *server) Connect(t testing.TB, name string, wait time.Duration) sharedlog.Engine {
	t.Helper()
	return s.at(t, s.url).connect(name, wait)
}

// open opens a log as a new node. It is closed with the test.
func (s *server) open(name string, o sharedlog.Options) *sharedlog.Log {
	s.t.Helper()
	return nodetest.Open(s.t, s, name, o)
}

// pair opens a log as two new nodes.
func (s *server) pair(name string, o sharedlog.Options) [2]*sharedlog.Log {
	s.t.Helper()
	return nodetest.Pair(s.t, s, name, o)
}

// manage does what an operator does.
func (s *server) manage(do func(ctx context.Context, js jetstream.JetStream) error) {
	s.t.Helper()
	nc, err := nats.Connect(s.URL())
	if err != nil {
		s.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err == nil {
		err = do(s.t.Context(), js)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// edit changes the configuration of the stream with a name.
func (s *server) edit(name string, change func(*jetstream.StreamConfig)) {
	s.t.Helper()
	s.manage(func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err != nil {
			return err
		}
		config := stream.CachedInfo().Config
		change(&config)
		_, err = js.UpdateStream(ctx, config)
		return err
	})
}

// records is how many messages the stream with a name has.
func (s *server) records(name string) (n uint64) {
	s.t.Helper()
	s.manage(func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, name)
		if err == nil {
			n = stream.CachedInfo().State.Msgs
		}
		return err
	})
	return n
}
