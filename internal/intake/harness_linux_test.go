package intake_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/loop"
)

// patience bounds every wait.
const patience = 20 * time.Second

// TestMain fails if a goroutine or a descriptor is left.
func TestMain(m *testing.M) {
	if nc, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // the runtime's own descriptors stay
		nc.Close()
	}
	before := descriptors()
	code := m.Run()
	if code == 0 && !becomes(func() bool { return goroutines() == "" && descriptors() <= before }) {
		fmt.Fprintf(os.Stderr, "descriptors: %d before, %d after; goroutines left:\n%s\n", before, descriptors(), goroutines())
		code = 1
	}
	os.Exit(code)
}

// descriptors returns how many the process has open.
func descriptors() int {
	names, _ := filepath.Glob("/proc/self/fd/*")
	return len(names)
}

// goroutines returns the stacks of the package's goroutines.
func goroutines() string {
	buf := make([]byte, 1<<20)
	var left []string
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "weir/internal/") && !strings.Contains(stack, "TestMain") {
			left = append(left, stack)
		}
	}
	return strings.Join(left, "\n\n")
}

// becomes waits for what real sockets make true.
func becomes(ok func() bool) bool {
	for deadline := time.Now().Add(patience); !ok(); runtime.Gosched() {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !becomes(ok) {
		t.Fatalf("not within %v: %s", patience, what)
	}
}

// An echo answers a POST with its path and body, except to /no, and keeps both.
type echo struct {
	mu   sync.Mutex
	seen []string
}

func (e *echo) NewBatch() intake.Batch { return &echoes{echo: e} }

// echoes are a batch of an echo.
type echoes struct {
	*echo
	texts []string
}

func (b *echoes) Add(r *intake.Request) bool {
	if string(r.Method) != "POST" || string(r.Path) == "/no" {
		return false
	}
	b.texts = append(b.texts, string(r.Path)+" "+string(r.Body))
	return true
}

func (b *echoes) Commit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, b.texts...)
	return nil
}

func (b *echoes) Answer(dst []byte, i int) []byte {
	return fmt.Appendf(dst, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(b.texts[i]), b.texts[i])
}

func (b *echoes) Reset() { b.texts = nil }

func (e *echo) requests() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.seen...)
}

// A handed connection was given back.
type handed struct {
	net.Conn
	unread []byte
}

// A harness is a server and what it gives back.
type harness struct {
	*intake.Server
	*echo
	given chan handed
}

func serve(t *testing.T, o intake.Options) *harness {
	t.Helper()
	h := &harness{echo: new(echo), given: make(chan handed, 100)}
	h.Server = intake.New(h.echo, o)
	t.Cleanup(func() {
		h.Close()
		for ; len(h.given) > 0; (<-h.given).Close() {
		}
	})
	return h
}

// pair returns the ends of a connection.
func pair(t *testing.T) (client *net.TCPConn, server net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	nc, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn), server
}

// adopt gives the server's end of a connection to h.
func (h *harness) adopt(t *testing.T, server net.Conn, unread string) {
	t.Helper()
	fd, err := loop.Detach(server, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.Adopt(intake.Conn{FD: fd, Unread: []byte(unread), GiveBack: func(fd int, unread []byte) {
		if nc, err := loop.Attach(fd); err == nil {
			h.given <- handed{nc, unread}
		}
	}})
}

// connect opens a connection that h has adopted.
func (h *harness) connect(t *testing.T) *net.TCPConn {
	t.Helper()
	client, server := pair(t)
	h.adopt(t, server, "")
	return client
}

// back returns the connection that is given back next.
func (h *harness) back(t *testing.T) handed {
	t.Helper()
	select {
	case g := <-h.given:
		_ = g.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { g.Close() })
		return g
	case <-time.After(patience):
		t.Fatalf("nothing is given back within %v", patience)
		return handed{}
	}
}

func post(path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func write(t *testing.T, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

// answer reads the body of the next answer.
func answer(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v (so far %q)", err, body)
	}
	return string(body)
}

// ended reads nothing but the end of the stream.
func ended(t *testing.T, r io.Reader) {
	t.Helper()
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("the connection ends with %q, %v; want a plain end", rest, err)
	}
}
