package natslog_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/natslog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
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
