package redis_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/rueidis"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/feed/redis"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
	"github.com/weirstream/weir/internal/redisserver"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const password = "hush"

// A server is one that keeps what it has acknowledged.
type server struct {
	*redisserver.Server
	t      *testing.T
	dir    string // has cert.pem, and the socket
	tls    int    // port
	client rueidis.Client
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), tls: proctest.FreePort()}
	if err := certtest.SelfSigned("127.0.0.1").Write(s.dir); err != nil {
		t.Fatal(err)
	}
	s.Server = redisserver.Start(t, redisserver.Options{Args: []string{
		"--requirepass", password, "--unixsocket", filepath.Join(s.dir, "socket"), "--tls-port", fmt.Sprint(s.tls), "--tls-auth-clients", "no",
		"--tls-cert-file", filepath.Join(s.dir, "cert.pem"), "--tls-key-file", filepath.Join(s.dir, "key.pem"),
	}})
	s.connect()
	t.Cleanup(func() { s.client.Close() })
	return s
}

// connect waits until the server answers who has the password.
func (s *server) connect() {
	s.t.Helper()
	s.Await(s.t, feedtest.Patience, func() (err error) {
		if s.client, err = rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Addr()}, Password: password, DisableCache: true, DisableRetry: true}); err != nil {
			return err
		}
		if err = s.client.Do(context.Background(), s.client.B().Ping().Build()).Error(); err != nil { // as while it loads
			s.client.Close()
		}
		return err
	})
}

// restart kills the server and starts it again.
func (s *server) restart() {
	s.t.Helper()
	s.client.Close()
	s.Restart()
	s.connect()
}

// do sends one command.
func (s *server) do(args ...string) rueidis.RedisResult {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), feedtest.Patience)
	defer cancel()
	result := s.client.Do(ctx, s.client.B().Arbitrary(args...).Build())
	if err := result.Error(); err != nil && !rueidis.IsRedisNil(err) {
		s.t.Fatalf("%v: %v", args, err)
	}
	return result
}

func (s *server) number(args ...string) int {
	s.t.Helper()
	n, err := s.do(args...).AsInt64()
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}

// push adds numbers to the right end of a list.
func (s *server) push(key string, from, to int) {
	s.t.Helper()
	s.do(append([]string{"RPUSH", key}, feedtest.Numbers(from, to)...)...)
}

// add adds entries {n: NUMBER} to a stream.
func (s *server) add(key string, from, to int) {
	s.t.Helper()
	for _, n := range feedtest.Numbers(from, to) {
		s.do("XADD", key, "*", "n", n)
	}
}

// feed starts a feed to the topic in.
func (s *server) feed(bed *feedtest.Bed, change func(f *feed.Spec)) *feedtest.Running {
	s.t.Helper()
	f := feed.Spec{Name: "test", From: "redis://:" + password + "@" + s.Addr(), Topic: "in", DeadLetter: "dead"}
	change(&f)
	source, err := redis.New(f)
	if err != nil {
		s.t.Fatal(err)
	}
	return bed.Start(feed.Options{Spec: f, Source: source})
}

// relayed is the URL of a relay.
func relayed(r *feedtest.Relay) string { return "redis://:" + password + "@" + r.Addr() }

func awaitStats(t *testing.T, r *feedtest.Running, what string, ok func(s feed.Stats) bool) {
	t.Helper()
	feedtest.Await(t, what, func() error {
		s := r.Stats()
		return feedtest.Not(ok(s), "%+v", s)
	})
}

// some waits until a bed has messages.
func some(t *testing.T, bed *feedtest.Bed, n int) {
	t.Helper()
	feedtest.Await(t, "some messages", func() error { return feedtest.Not(len(bed.Data("in")) >= n, "%d", len(bed.Data("in"))) })
}
