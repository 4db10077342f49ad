package redislog_test

import (
	"os"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A server is one that a test has started, or a way to it.
type server struct {
	*redisserver.Server
	t   testing.TB
	url string
}

// startServer starts a server that keeps nothing on its disk.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	return startWith(t, redisserver.Options{Bare: true, Args: args})
}

// startDurable starts one that has on its disk what it has acknowledged.
func startDurable(t testing.TB) *server {
	t.Helper()
	return startWith(t, redisserver.Options{})
}

func startWith(t testing.TB, o redisserver.Options) *server {
	t.Helper()
	s := redisserver.Start(t, o)
	return &server{s, t, s.URL()}
}

// at is the same server for another test.
func (s *server) at(t testing.TB) *server { return &server{s.Server, t, s.url} }

// via starts a relay, and returns the way through it.
func (s *server) via() (*server, *feedtest.Relay) {
	s.t.Helper()
	r := feedtest.NewRelay(s.t, s.Addr())
	return &server{s.Server, s.t, "redis://" + r.Addr()}, r
}

// connect connects to the log with a name.
func (s *server) connect(name string, wait time.Duration) *redislog.Engine {
	s.t.Helper()
	e, err := redislog.Connect(s.t.Context(), redislog.Options{URL: s.url, Name: name, Wait: wait})
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

// Connect is connect for package nodetest, on behalf of another test.
func (s *server) Connect(t testing.TB, name string, wait time.Duration) sharedlog.Engine {
	t.Helper()
	return s.at(t).connect(name, wait)
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
