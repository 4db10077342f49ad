package durable_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/protocol/durable"
	"github.com/weirstream/weir/stream"
)

// TestMain fails if a goroutine of the package, a stream or a connection is left.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// patience bounds every wait on a socket.
const patience = 30 * time.Second

const (
	prefix   = "/v1/streams/"
	maxBytes = 100_000 // in one request
	friend   = "https://friend.example"
)

// A server serves the streams of a hub on loopback.
type server struct {
	t       *testing.T
	hub     *hub.Hub
	durable *durable.Handler
	http    *httptest.Server
}

// newHub makes a hub that keeps so much of each topic.
func newHub(t *testing.T, keep hub.Retention) *hub.Hub {
	t.Helper()
	h, err := hub.New(hub.Options{
		MaxBytes: maxBytes,
		History:  hub.History{Default: keep},
		Stream:   stream.Options{AllowOrigins: []string{friend}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func options() durable.Options {
	return durable.Options{Prefix: prefix, Reserved: "weir/", MaxBytes: maxBytes, Wait: patience}
}

// serve starts a server with a hub of its own.
func serve(t *testing.T) *server {
	t.Helper()
	return serveHub(t, newHub(t, hub.Retention{}), options())
}

// serveHub starts a server. A second one of the same hub is what a restart leaves.
func serveHub(t *testing.T, h *hub.Hub, o durable.Options) *server {
	t.Helper()
	s := &server{t: t, hub: h, durable: durable.New(h, o)}
	s.durable.Start()
	s.http = httptest.NewServer(s.durable)
	t.Cleanup(s.stop)
	return s
}

// stop ends the server, but not the hub.
func (s *server) stop() {
	s.durable.Drain()
	s.durable.EndReads()
	s.http.Close()
	s.durable.Close()
}

// restart ends the server and starts another one.
func (s *server) restart() *server {
	s.t.Helper()
	s.stop()
	return serveHub(s.t, s.hub, options())
}

// An answer is a response that has been read.
type answer struct {
	*http.Response
	body string
}

func (a answer) String() string { return fmt.Sprintf("%s %v %q", a.Status, a.Header, a.body) }

// code is that of a problem, or "".
func (a answer) code() string {
	var p struct{ Code, Detail, Title string }
	if a.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(a.body), &p) != nil || p.Detail == "" || p.Title == "" {
		return ""
	}
	return p.Code
}

func (a answer) next() string { return a.Header.Get("Stream-Next-Offset") }

// do sends a request to a stream, which is a path below the prefix and a query.
// Headers are written as in "Name: value".
func (s *server) do(method, target, body string, header ...string) answer {
	s.t.Helper()
	a, err := s.try(method, target, body, header...)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// try is do for other goroutines than that of the test.
func (s *server) try(method, target, body string, header ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, s.http.URL+prefix+target, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	setHeader(r, header)
	resp, err := s.http.Client().Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp, string(b)}, err
}

func setHeader(r *http.Request, lines []string) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
}

// Headers of content types.
const (
	text = "Content-Type: text/plain"
	jsn  = "Content-Type: application/json"
)

// want fails the test unless an answer has the status and, if it is an error, the
// code: "404 not_found".
func (s *server) want(a answer, want string) answer {
	s.t.Helper()
	got := fmt.Sprint(a.StatusCode)
	if a.StatusCode >= 400 && a.Request.Method != http.MethodHead {
		got += " " + a.code()
	}
	if got != want {
		s.t.Fatalf("%s %s: %v, want %s", a.Request.Method, a.Request.URL, a, want)
	}
	return a
}

// create creates a stream of text.
func (s *server) create(name string, header ...string) answer {
	s.t.Helper()
	return s.want(s.do("PUT", name, "", append([]string{text}, header...)...), "201")
}

// append appends text to a stream.
func (s *server) append(name, data string, header ...string) answer {
	s.t.Helper()
	return s.want(s.do("POST", name, data, append([]string{text}, header...)...), "204")
}

// read reads a stream and checks what there is.
func (s *server) read(target, want string) answer {
	s.t.Helper()
	a := s.want(s.do("GET", target, ""), "200")
	if a.body != want {
		s.t.Fatalf("GET %s: %q, want %q", target, a.body, want)
	}
	return a
}

// publish publishes a message to a topic, without the protocol.
func (s *server) publish(topic, data string) {
	s.t.Helper()
	if _, err := s.hub.Publish(context.Background(), hub.Message{Topics: []string{topic}, Data: []byte(data)}); err != nil {
		s.t.Fatal(err)
	}
}

// An event is one of a stream of events, without its comments.
type event struct{ kind, data string }

// events reads a stream of events.
type events struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	stop context.CancelFunc
	raw  bytes.Buffer // all that was read
}

// follow opens a stream of events.
func (s *server) follow(target string, header ...string) *events {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	s.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", s.http.URL+prefix+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	setHeader(r, header)
	resp, err := s.http.Client().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		s.t.Fatalf("GET %s: %s %v", target, resp.Status, resp.Header)
	}
	e := &events{t: s.t, resp: resp, stop: cancel}
	e.in = bufio.NewReader(io.TeeReader(resp.Body, &e.raw))
	return e
}

// next reads the next event, and io.EOF at the end.
func (e *events) next() (ev event, err error) {
	var data []string
	for {
		line, err := e.in.ReadString('\n')
		if err != nil {
			return ev, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			ev.data = strings.Join(data, "\n")
			return ev, nil
		}
		if kind, ok := strings.CutPrefix(line, "event: "); ok {
			ev.kind = kind
		} else if d, ok := strings.CutPrefix(line, "data:"); ok {
			data = append(data, strings.TrimPrefix(d, " "))
		} else if line != ":" {
			e.t.Fatalf("a line of the stream is %q", line)
		}
	}
}

// A control is what a control event says.
type control struct {
	StreamNextOffset, StreamCursor string
	UpToDate, StreamClosed         bool
}

// page reads the data, if there is some, and the control event that follows it.
func (e *events) page() (data []string, c control) {
	e.t.Helper()
	for {
		ev, err := e.next()
		if err != nil {
			e.t.Fatalf("read an event: %v; so far %q", err, e.raw.String())
		}
		if ev.kind == "data" {
			data = append(data, ev.data)
			continue
		}
		if err := json.Unmarshal([]byte(ev.data), &c); err != nil || ev.kind != "control" || c.StreamNextOffset == "" {
			e.t.Fatalf("event %+v: %v", ev, err)
		}
		return data, c
	}
}

// end checks that the stream has ended, without another event.
func (e *events) end() {
	e.t.Helper()
	if ev, err := e.next(); err != io.EOF {
		e.t.Fatalf("the stream goes on with %+v, %v", ev, err)
	}
}
