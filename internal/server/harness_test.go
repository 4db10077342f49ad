package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/server"
)

// TestMain fails if a goroutine of a server, a stream or a connection is left.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// patience bounds every wait on a socket.
const patience = 20 * time.Second

// defaults are the settings without any given, but for a free port and no page.
func defaults(t *testing.T) *config.Settings {
	t.Helper()
	loaded, err := config.Load(config.Input{})
	if err != nil {
		t.Fatal(err)
	}
	s := loaded.Settings
	s.Listen = []config.Listener{{Name: "main", Network: "tcp", Address: "127.0.0.1:0", Handler: "all"}}
	s.Page = false
	s.Drain.Window = 200 * time.Millisecond
	return s
}

// A running server, and the client that speaks to it.
type running struct {
	*server.Server
	url    string // of the first listener
	log    *log
	client *http.Client
	cancel context.CancelFunc
	done   chan error // what Run returned
}

// A log is what the server logs.
type log struct {
	mu    sync.Mutex
	buf   bytes.Buffer  // guarded by mu
	delay time.Duration // guarded by mu; that a line about a stream takes
}

// slow makes the log slow.
func (l *log) slow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delay > 0 && bytes.Contains(p, []byte(" msg=stream ")) {
		time.Sleep(l.delay)
	}
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// start runs a server. At the end of the test it is stopped, unless the test has
// done so, and nothing of it may be left.
func start(t *testing.T, s *config.Settings) *running {
	t.Helper()
	return startWith(t, s, func(*server.Server) {})
}

// startWith is start, with something to do before the server has started.
func startWith(t *testing.T, s *config.Settings, before func(*server.Server)) *running {
	t.Helper()
	r := &running{log: new(log), done: make(chan error, 1)}
	logger := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Server, err = server.New(s, logger); err != nil {
		t.Fatal(err)
	}
	before(r.Server)
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	r.url = r.Listeners()[0].URL
	r.client = &http.Client{Transport: &http.Transport{DisableCompression: true}}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- r.Run(ctx) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop stops the server and waits for the end of Run.
func (r *running) stop(t *testing.T) {
	t.Helper()
	r.client.CloseIdleConnections()
	r.cancel()
	if err := r.wait(t); err != nil {
		t.Errorf("Run returned %v", err)
	}
	r.client.CloseIdleConnections()
}

// wait waits for the end of Run and returns what it returned.
func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.done:
		r.done <- err // for the next call
		return err
	case <-time.After(2 * patience):
		buf := make([]byte, 1<<20)
		t.Fatalf("Run does not return; log:\n%s\n%s", r.log, buf[:runtime.Stack(buf, true)])
		return nil
	}
}

// do sends a request and returns the answer with its whole body.
func (r *running) do(t *testing.T, method, path, body string, header ...string) (resp *http.Response, text string) {
	t.Helper()
	req, err := http.NewRequest(method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err = r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", method, path, err)
	}
	return resp, string(b)
}

// publish publishes one message and returns its ID.
func (r *running) publish(t *testing.T, topic, data string) string {
	t.Helper()
	resp, body := r.do(t, "POST", "/v1/topics/"+topic, data)
	var created struct{ ID string }
	if err := json.Unmarshal([]byte(body), &created); err != nil || resp.StatusCode != 201 {
		t.Fatalf("publish to %s: %s %s", topic, resp.Status, body)
	}
	return created.ID
}

// A reader reads a stream on a connection of its own.
type reader struct {
	net.Conn
	in   *bufio.Reader // the connection
	resp *http.Response
	body *bufio.Reader // of resp
}

// connect opens a connection to the first listener.
func (r *running) connect(t *testing.T) *reader {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(2 * patience))
	return &reader{Conn: nc, in: bufio.NewReader(nc)}
}

// send sends a request and reads the head of the answer.
func (c *reader) send(t *testing.T, method, target, body string, header ...string) *http.Response {
	t.Helper()
	if body != "" {
		header = append(header, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	header = append(header, "", body)
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: weir.test\r\n%s", method, target, strings.Join(header, "\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	c.resp, c.body = resp, bufio.NewReader(resp.Body)
	return resp
}

// follow opens a stream.
func (r *running) follow(t *testing.T, target, accept string) *reader {
	t.Helper()
	c := r.connect(t)
	if resp := c.send(t, "GET", target, "", "Accept: "+accept); resp.StatusCode != 200 {
		t.Fatalf("GET %s: %s", target, resp.Status)
	}
	return c
}

// line reads one line of a stream.
func (c *reader) line(t *testing.T) string {
	t.Helper()
	line, err := c.body.ReadString('\n')
	if err != nil {
		t.Fatalf("read line: %v (so far %q)", err, line)
	}
	return strings.TrimSuffix(line, "\n")
}

// eventually waits for what real sockets make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
