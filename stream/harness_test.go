package stream_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/stream"
)

// engines runs a test on all kinds of sockets.
func engines(t *testing.T, test func(t *testing.T, s *server)) {
	for _, kind := range []string{"taken over", "tls", "pipe", "http2"} {
		t.Run(kind, func(t *testing.T) {
			before := runtime.NumGoroutine()
			s := &server{kind: kind, engine: stream.NewEngine(2)}
			t.Cleanup(func() {
				s.close()
				noneLeft(t, s.engine, before)
			})
			test(t, s)
		})
	}
}

// A server serves one handler on loopback.
type server struct {
	kind   string
	engine *stream.Engine
	http   *httptest.Server
}

// options are o for this server's kind and engine.
func (s *server) options(o stream.Options) stream.Options {
	o.Engine = s.engine
	if s.kind == "pipe" {
		o = stream.PipesOnly(o)
	}
	return o
}

// serve starts serving h.
func (s *server) serve(h http.Handler) {
	s.http = httptest.NewUnstartedServer(h)
	s.http.EnableHTTP2 = s.kind == "http2"
	if s.kind == "http2" || s.kind == "tls" {
		s.http.StartTLS()
	} else {
		s.http.Start()
	}
}

func (s *server) close() {
	if s.http != nil {
		s.engine.End(0)
		s.http.CloseClientConnections()
		s.http.Close()
	}
}

// get sends a request for an event stream.
func (s *server) get(t *testing.T, header ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "GET", s.http.URL, nil)
	req.Header.Set("Accept", "text/event-stream")
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := s.http.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// noneLeft fails unless streams and goroutines come back to what they were.
func noneLeft(t *testing.T, e *stream.Engine, goroutines int) {
	t.Helper()
	eventually(t, "streams are gone", func() bool { return e.Len() == 0 })
	eventually(t, fmt.Sprintf("goroutines are back to %d", goroutines), func() bool {
		return runtime.NumGoroutine() <= goroutines
	})
}

// eventually waits for a condition that real sockets make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			buf := make([]byte, 1<<16)
			t.Fatalf("not within 10 s: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
		time.Sleep(time.Millisecond)
	}
}

// line reads one line of a response.
func line(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read line: %v (so far %q)", err, s)
	}
	return strings.TrimSuffix(s, "\n")
}

// skipTo reads lines until one equals want.
func skipTo(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	for line(t, r) != want {
	}
}

// memory serves h in memory, for tests with virtual time, and returns a client.
// Both end with the test's bubble.
func memory(t *testing.T, h http.Handler) (*http.Client, *http.Server) {
	ln := testnet.Listen()
	srv := &http.Server{Handler: h}
	go srv.Serve(ln)
	tr := &http.Transport{DialContext: ln.Dial, DisableKeepAlives: true}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		srv.Close()
	})
	return &http.Client{Transport: tr}, srv
}

// rawRequest sends one request over a plain connection and returns it.
func rawRequest(t *testing.T, url, request string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if _, err := io.WriteString(nc, request); err != nil {
		t.Fatal(err)
	}
	return nc
}
