package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// TestMain fails if a stream, a loop or anything else of this module is left running.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// kinds are the ways in which a stream is carried: over a descriptor of the loop,
// and by the handler's goroutine.
var kinds = []string{"taken over", "pipe", "http2"}

// engines runs a test for each kind.
func engines(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// A server serves a hub on loopback.
type server struct {
	t      testing.TB
	hub    *hub.Hub
	engine *stream.Engine
	http   *httptest.Server
}

// serve starts a hub and a server of the given kind. handle makes the handler; nil
// is hub.Handler. The first bytes of a stream have no reconnection time. Sockets
// have small buffers, so that they are soon full. When the test ends nothing may
// be left.
func serve(t testing.TB, kind string, o hub.Options, handle func(*hub.Hub) http.Handler) *server {
	t.Helper()
	s := &server{t: t, engine: stream.NewEngine(2)}
	o.Stream.Engine = s.engine
	if o.Stream.Retry == 0 {
		o.Stream.Retry = -1
	}
	var err error
	if s.hub, err = hub.New(o); err != nil {
		t.Fatal(err)
	}
	handler := s.hub.Handler()
	if handle != nil {
		handler = handle(s.hub)
	}
	if kind == "pipe" {
		handler = withoutHijack(handler)
	}
	s.http = httptest.NewUnstartedServer(handler)
	switch kind {
	case "http2": // the client reads on for a stream that nobody reads, up to 4 MiB
		s.http.EnableHTTP2 = true
		s.http.StartTLS()
	case "tls":
		s.http.StartTLS()
	default:
		s.http.Listener = smallBuffers{s.http.Listener, socketBuffer}
		s.http.Start()
		s.http.Client().Transport.(*http.Transport).DialContext = dialSmall
	}
	t.Cleanup(s.close)
	return s
}

// with returns s for a subtest.
func (s *server) with(t testing.TB) *server {
	sub := *s
	sub.t = t
	return &sub
}

func (s *server) close() {
	s.hub.Close()
	s.http.CloseClientConnections()
	s.http.Close()
	s.http.Client().CloseIdleConnections()
	eventually(s.t, "all streams are gone", func() bool { return s.engine.Len() == 0 && s.hub.Stats().Readers == 0 })
}

// withoutHijack hides that a connection can be taken over.
func withoutHijack(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plainWriter{w}, r) })
}

type plainWriter struct{ w http.ResponseWriter }

func (p plainWriter) Header() http.Header         { return p.w.Header() }
func (p plainWriter) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p plainWriter) WriteHeader(code int)        { p.w.WriteHeader(code) }
func (p plainWriter) FlushError() error           { return http.NewResponseController(p.w).Flush() }
func (p plainWriter) SetWriteDeadline(at time.Time) error {
	return http.NewResponseController(p.w).SetWriteDeadline(at)
}
func (p plainWriter) SetReadDeadline(at time.Time) error {
	return http.NewResponseController(p.w).SetReadDeadline(at)
}

// socketBuffer is small, but large enough for some packets on loopback: else the
// kernel would wait for timers.
const socketBuffer = 256 << 10

type smallBuffers struct {
	net.Listener
	bytes int
}

func (l smallBuffers) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(l.bytes)
	}
	return nc, err
}

func dialSmall(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(socketBuffer)
	}
	return nc, err
}

// eventually waits for a condition that other goroutines or the kernel make true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("not within 10 s: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// publish publishes data to topics and returns the message's ID.
func (s *server) publish(data string, topics ...string) string {
	s.t.Helper()
	return publish(s.t, s.hub, hub.Message{Topics: topics, Data: []byte(data)})
}

func publish(t testing.TB, h *hub.Hub, m hub.Message) string {
	t.Helper()
	id, err := h.Publish(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// id returns the ID of a position.
func (s *server) id(seq int) string { return fmt.Sprintf("%s-%d", s.hub.Log().Epoch(), seq) }

// A reader is one response being read.
type reader struct {
	t      testing.TB
	resp   *http.Response
	cancel context.CancelFunc
	events *sse.Reader
}

// get opens a stream. It waits no longer than 20 s for anything.
func (s *server) get(query string, header ...string) *reader {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", s.http.URL+"/"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	r := &reader{t: s.t, resp: resp, cancel: cancel, events: sse.NewReader(resp.Body)}
	s.t.Cleanup(r.drop)
	return r
}

// from is the header of a reader that comes back.
func from(id string) string { return "Last-Event-ID: " + id }

// drop goes away.
func (r *reader) drop() {
	r.cancel()
	r.resp.Body.Close()
}

// next returns the next event.
func (r *reader) next() sse.Event {
	r.t.Helper()
	e, err := r.events.Next()
	if err != nil {
		r.t.Fatalf("read event: %v", err)
	}
	return e
}

// want reads events and compares them with "id: data", or "type id: data" for
// those with a type.
func (r *reader) want(want ...string) {
	r.t.Helper()
	for i, w := range want {
		e := r.next()
		got := strings.TrimPrefix(fmt.Sprintf("%s %s: %s", e.Type, e.ID, e.Data), " ")
		if got != w {
			r.t.Fatalf("event %d is %q, want %q", i, got, w)
		}
	}
}

// raw reads exactly the bytes that are wanted.
func (r *reader) raw(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r.resp.Body, got); err != nil || string(got) != want {
		r.t.Fatalf("read %q, %v\nwant %q", got[:n], err, want)
	}
}

// gapEvent is a gap notice as it is on the wire.
func gapEvent(id string, g hub.Gap) string {
	data, _ := json.Marshal(g)
	return fmt.Sprintf("event: weir.gap\nid: %s\ndata: %s\n\n", id, data)
}

// memory serves h in memory, for tests with virtual time, and returns a client.
func memory(t *testing.T, h http.Handler) *http.Client {
	ln := testnet.Listen()
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	tr := &http.Transport{DialContext: ln.Dial, DisableKeepAlives: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
	})
	return &http.Client{Transport: tr}
}

// keep is a history of n messages for each topic.
func keep(n int) hub.History {
	return hub.History{Default: hub.Retention{MaxEntries: n}}
}

// concat joins frames.
func concat(frames ...string) string {
	var b bytes.Buffer
	for _, f := range frames {
		b.WriteString(f)
	}
	return b.String()
}
