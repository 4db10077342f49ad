package redislog_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/sharedlog"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// A server is a redis-server that a test has started.
type server struct {
	t    testing.TB
	dir  string
	addr string
	args []string
	cmd  *exec.Cmd

	config string // file; "" for none
}

// startServer starts a redis-server on a free port, with a directory of its own. It
// ends with the test.
func startServer(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), addr: freeAddress(t), args: args}
	s.start()
	t.Cleanup(s.kill)
	return s
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start starts it, and waits until it has read its files.
func (s *server) start() {
	s.t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--daemonize", "no"}, s.args...)
	if s.config != "" {
		args = append([]string{s.config}, args...)
	} else {
		args = append(args, "--save", "")
	}
	s.cmd = exec.Command("redis-server", args...)
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	within(s.t, 10*time.Second, "redis-server answers", func() bool { return s.do("PING") == "PONG" })
}

// kill ends it at once.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// stop and resume stop the process for a while.
func (s *server) stop()   { s.signal("STOP") }
func (s *server) resume() { s.signal("CONT") }

// signal uses a program, because not every system that this is compiled for has the signals.
func (s *server) signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-"+name, strconv.Itoa(s.cmd.Process.Pid)).CombinedOutput(); err != nil {
		s.t.Fatalf("kill -%s: %v, %s", name, err, out)
	}
}

// info returns a section of what the server says of itself.
func (s *server) info(section string) string {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	fmt.Fprintf(conn, "INFO %s\r\n", section)
	r := bufio.NewReader(conn)
	line, _ := r.ReadString('\n')
	var n int
	if _, err := fmt.Sscanf(line, "$%d", &n); err != nil {
		return ""
	}
	b := make([]byte, n)
	_, _ = io.ReadFull(r, b)
	return string(b)
}

// do sends a command on a connection of its own, and returns the first line of the
// answer without its first character; "" if there is none.
func (s *server) do(words ...string) string {
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || len(line) < 3 {
		return ""
	}
	return strings.TrimSpace(line[1:])
}

// connect connects to the log with a name.
func (s *server) connect(name string, wait time.Duration) *redislog.Engine {
	s.t.Helper()
	e, err := redislog.Connect(s.t.Context(), redislog.Options{URL: "redis://" + s.addr, Name: name, Wait: wait})
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
