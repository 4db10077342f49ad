package native_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/stream"
)

// TestMain fails if a goroutine of the package, a stream or a connection is left.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// patience bounds every wait on a socket.
const patience = 30 * time.Second

// Limits of the servers under test.
const (
	maxBytes  = 1000
	maxTopics = 3
)

// A server serves a hub on loopback.
type server struct {
	hub    *hub.Hub
	engine *stream.Engine
	native *native.Handler
	http   *httptest.Server
}

// serve starts a server with small limits.
func serve(t *testing.T, o hub.Options) *server {
	t.Helper()
	s := &server{engine: stream.NewEngine(2)}
	o.MaxBytes, o.MaxTopics, o.Stream.Engine = maxBytes, maxTopics, s.engine
	var err error
	if s.hub, err = hub.New(o); err != nil {
		t.Fatal(err)
	}
	s.native = native.New(s.hub, native.Options{MaxBytes: maxBytes})
	s.http = httptest.NewServer(s.native)
	t.Cleanup(func() {
		s.native.Drain()
		s.native.EndPolls()
		s.hub.Close()
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// publish puts messages into the hub directly.
func (s *server) publish(t *testing.T, ms ...hub.Message) (ids []string) {
	t.Helper()
	ids, err := s.hub.PublishAll(context.Background(), ms...)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// text is a message of one topic.
func text(topic, data string) hub.Message {
	return hub.Message{Topics: []string{topic}, Data: []byte(data)}
}

// A request is written to the socket as it stands: no client mends it. [server.open]
// adds the length of its body, unless the header frames it.
type request struct {
	method, target string
	header         []string // lines "Name: value"
	body           string
}

// dial opens a connection.
func (s *server) dial(t *testing.T) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// head returns the bytes of a request before its body.
func (r request) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: weir.test\r\n", r.method, r.target)
	for _, line := range r.header {
		b.WriteString(line + "\r\n")
	}
	return b.String() + "\r\n"
}

// chunked returns r with a body of unstated size.
func (r request) chunked(body string) request {
	r.header = append(r.header, "Transfer-Encoding: chunked")
	r.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	return r
}

// open sends a request and returns the answer, whose body may go on.
func (s *server) open(t *testing.T, r request) *http.Response {
	t.Helper()
	if r.body != "" && !slices.ContainsFunc(r.header, framing) {
		r.header = append([]string{fmt.Sprintf("Content-Length: %d", len(r.body))}, r.header...)
	}
	nc := s.dial(t)
	if _, err := io.WriteString(nc, r.head()+r.body); err != nil {
		t.Fatal(err)
	}
	return readResponse(t, nc, r.method)
}

func framing(line string) bool {
	return strings.HasPrefix(line, "Content-Length:") || strings.HasPrefix(line, "Transfer-Encoding:")
}

func readResponse(t *testing.T, nc net.Conn, method string) *http.Response {
	t.Helper()
	resp, err := readFrom(bufio.NewReader(nc), method)
	if err != nil {
		t.Fatalf("read response: %v", err)
	}
	return resp
}

func readFrom(in *bufio.Reader, method string) (*http.Response, error) {
	return http.ReadResponse(in, &http.Request{Method: method})
}

// An answer is a whole response.
type answer struct {
	status int
	header http.Header
	body   string
	close  bool // the connection is not used again
	problem
}

// A problem is what a client reads of an error.
type problem struct {
	Type, Title, Code, Detail string
	Status, Limit, Line       int
	Published                 *int
	Duplicates                int
	LastID                    string `json:"last_id"`
}

// ask sends a request and reads the whole answer.
func (s *server) ask(t *testing.T, r request) answer {
	t.Helper()
	return whole(t, s.open(t, r))
}

func whole(t *testing.T, resp *http.Response) answer {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read body: %v (so far %.200q)", err, body)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(body), close: resp.Close}
	if resp.Header.Get("Content-Type") == "application/problem+json" && len(body) > 0 {
		if err := json.Unmarshal(body, &a.problem); err != nil {
			t.Fatalf("problem %q: %v", body, err)
		}
	}
	return a
}

// post publishes lines as JSON lines.
func (s *server) post(t *testing.T, lines string) answer {
	t.Helper()
	return s.ask(t, request{"POST", "/v1/events", []string{"Content-Type: application/x-ndjson"}, lines})
}

// kept returns what the log keeps of topics.
func (s *server) kept(t *testing.T, topics ...string) (all []*eventlog.Entry) {
	t.Helper()
	sel, err := eventlog.Select(topics...)
	if err != nil {
		t.Fatal(err)
	}
	log := s.hub.Log()
	for after, head := uint64(0), log.Head(); after < head; {
		page, err := log.Read(context.Background(), sel, after, head, eventlog.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		all, after = append(all, page.Entries...), page.Next
	}
	return all
}

// data returns the data of what the log keeps of topics.
func (s *server) data(t *testing.T, topics ...string) (all []string) {
	t.Helper()
	for _, e := range s.kept(t, topics...) {
		all = append(all, string(e.Data))
	}
	return all
}

// readLine reads one line of a stream.
func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("read line: %v (so far %q)", err, line)
	}
	return line
}

var (
	epochs = regexp.MustCompile(`\b[a-z2-7]{8}-(\d+)`)
	times  = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	dates  = regexp.MustCompile(`Date: .{29}\r`)
	retrys = regexp.MustCompile(`retry: [12]\d{3}\n`)
)

// normal replaces what differs from run to run with something of equal length.
func normal(b []byte) string {
	b = epochs.ReplaceAll(b, []byte("epochxyz-$1"))
	b = times.ReplaceAll(b, []byte("2006-01-02T15:04:05.000Z"))
	b = dates.ReplaceAll(b, []byte("Date: Mon, 02 Jan 2006 15:04:05 GMT\r"))
	b = retrys.ReplaceAll(b, []byte("retry: 2000\n"))
	return string(b)
}

// readNormal reads as many bytes as want has, and normalises them.
func readNormal(t *testing.T, r io.Reader, want string) string {
	t.Helper()
	b := make([]byte, len(want))
	n, err := io.ReadFull(r, b)
	if err != nil {
		t.Fatalf("read %d bytes: %v; got\n%s\nwant\n%s", len(want), err, normal(b[:n]), want)
	}
	return normal(b)
}

// eventually waits for what real sockets make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// lines returns n JSON lines of one topic, numbered from 0.
func lines(n int) string {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "{\"topic\":\"a\",\"data\":\"%d\"}\n", i)
	}
	return b.String()
}
