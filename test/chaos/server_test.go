package chaos_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/disklog"
)

// A server is "weir serve --data DIR" at an address that it keeps over restarts.
type server struct {
	t    *testing.T
	dir  string
	addr string // host:port
	url  string
	args []string
	http *http.Client

	cmd   *exec.Cmd
	ready chan bool     // gives true when the process listens, false if it ended before
	done  chan struct{} // closed when it has ended
	said  transcript    // the last of what its processes wrote to standard error
}

// everything keeps all messages.
var everything = []string{"--history.max-messages", "0", "--history.max-age", "0s", "--history.max-bytes", "0"}

// newServer prepares a server on an empty directory. Nothing runs yet.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	return newServerOn(t, t.TempDir(), args...)
}

func newServerOn(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, addr: freeAddr(t), args: args}
	s.url = "http://" + s.addr
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: patience}
	t.Cleanup(s.cleanup)
	return s
}

func (s *server) cleanup() {
	s.http.CloseIdleConnections()
	if s.cmd != nil {
		s.end()
	}
	if s.t.Failed() {
		s.t.Logf("the servers on %s wrote to standard error\n%s", s.dir, &s.said)
	}
}

// file is the path of the log's file.
func (s *server) file() string { return filepath.Join(s.dir, disklog.FileName) }

// launch starts a process and does not wait for anything.
func (s *server) launch() {
	s.t.Helper()
	args := append([]string{"serve", "--json", "--listen", s.addr, "--data", s.dir}, s.args...)
	s.cmd = exec.Command(weirPath, args...)
	s.cmd.Env, s.cmd.Stderr = environ(), &s.said
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	cmd, ready, done := s.cmd, make(chan bool, 1), make(chan struct{})
	s.ready, s.done = ready, done
	go func() {
		lines := bufio.NewReader(out)
		_, err := lines.ReadString('\n') // the listeners, which are bound by then
		ready <- err == nil
		_, _ = lines.WriteTo(&s.said)
		_ = cmd.Wait() // its state tells how it went
		close(done)
	}()
}

// start starts a process and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	if s.launch(); !s.listens() {
		s.t.Fatalf("the server ended with code %d", s.exitCode())
	}
}

// listens waits until the process listens, or has ended.
func (s *server) listens() bool {
	s.t.Helper()
	select {
	case yes := <-s.ready:
		return yes
	case <-time.After(patience):
		s.t.Fatalf("the server neither listens nor ends within %v", patience)
	}
	return false
}

// kill ends the process, which must be running, as a crash would, and waits until it is
// gone.
func (s *server) kill() {
	s.t.Helper()
	select {
	case <-s.done:
		s.t.Fatalf("the server has ended by itself, with code %d", s.exitCode())
	default:
		s.end()
	}
}

func (s *server) end() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// stop asks the process to end.
func (s *server) stop() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if code := s.exitCode(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// exitCode waits for the end of the process.
func (s *server) exitCode() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(patience):
		s.t.Fatalf("the server has not ended after %v", patience)
	}
	return s.cmd.ProcessState.ExitCode()
}

// environ is the test's environment without weir's settings.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEIR_") {
			env = append(env, e)
		}
	}
	return env
}

// Ports are handed out one after the other, above those of the tests of clients and
// below those that systems give to outgoing connections: a port that a server has
// left stays free for the one that takes its place.
var nextPort atomic.Int32

func init() { nextPort.Store(28000 + 10*rand.Int32N(300)) }

// freeAddr finds an address at which nobody answers.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return addr
		}
		nc.Close()
	}
	t.Fatal("1000 ports in a row are taken")
	return ""
}

// A transcript is the end of what has been written to it.
type transcript struct {
	mu   sync.Mutex
	text []byte // guarded by mu
}

// transcriptLimit is how many bytes a transcript keeps.
const transcriptLimit = 8 << 10

func (x *transcript) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.text = append(x.text, p...)
	if over := len(x.text) - transcriptLimit; over > 0 {
		x.text = append(x.text[:0], x.text[over:]...)
	}
	return len(p), nil
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return string(x.text)
}

func (x *transcript) clear() {
	x.mu.Lock()
	x.text = nil
	x.mu.Unlock()
}
