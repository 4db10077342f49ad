package redislog_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/sharedlog"
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

// open opens a log as a new node. It is closed with the test.
func (s *server) open(name string, o sharedlog.Options) *sharedlog.Log {
	s.t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(testWriter{s.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	l, err := sharedlog.Open(s.t.Context(), s.connect(name, o.Wait), o)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { l.Close() })
	return l
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(b)))
	return len(b), nil
}

// within waits for something.
func within(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: not %s", d, what)
		}
	}
}

func message(topic, data string) *eventlog.Entry {
	return &eventlog.Entry{Message: eventlog.Message{Topics: []string{topic}, Data: []byte(data)}}
}

func add(t testing.TB, l eventlog.Log, es ...*eventlog.Entry) {
	t.Helper()
	if err := l.Append(context.Background(), es...); err != nil {
		t.Fatal(err)
	}
}

func sel(t testing.TB, patterns ...string) *eventlog.Selector {
	t.Helper()
	s, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read returns all kept entries after a position, and the highest position lost.
func read(t testing.TB, l eventlog.Log, after uint64, patterns ...string) (es []*eventlog.Entry, lost uint64) {
	t.Helper()
	for head := l.Head(); after < head; {
		p, err := l.Read(context.Background(), sel(t, patterns...), after, head, eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		es, lost, after = append(es, p.Entries...), max(lost, p.Lost), p.Next
	}
	return es, lost
}
