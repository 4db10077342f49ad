package chaos_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/proctest"
)

// A server is "weir serve --data DIR" at an address that it keeps over restarts.
type server struct {
	t    *testing.T
	dir  string
	addr string // host:port
	url  string
	args []string
	http *http.Client

	*proctest.Process                     // the newest; nil: there was none
	said              proctest.Transcript // the last of what its processes wrote to standard error
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
	s := &server{t: t, dir: dir, addr: proctest.FreeAddr(), args: args}
	s.said.Limit = 8 << 10
	s.url = "http://" + s.addr
	s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}, Timeout: patience}
	t.Cleanup(s.cleanup)
	return s
}

func (s *server) cleanup() {
	s.http.CloseIdleConnections()
	if s.Process != nil {
		s.Kill()
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
	args := append([]string{weirPath, "serve", "--json", "--listen", s.addr, "--data", s.dir}, s.args...)
	var err error
	if s.Process, err = (proctest.Launch{Args: args, Err: &s.said}).Spawn(); err != nil {
		s.t.Fatal(err)
	}
}

// start starts a process and waits until it listens.
func (s *server) start() {
	s.t.Helper()
	if s.launch(); !s.listens() {
		s.t.Fatalf("the server ended with code %d", s.exitCode())
	}
}

// listens waits until the process listens, or has ended.
func (s *server) listens() (yes bool) {
	s.t.Helper()
	await(s.t, "the server", func() error {
		ended := s.Alive()
		yes = len(s.Out.Lines()) > 0 // the listeners, which are bound by then
		if !yes && ended == nil {
			return errors.New("it neither listens nor ends")
		}
		return nil
	})
	return yes
}

// kill ends the process, which must be running, as a crash would, and waits until it is
// gone.
func (s *server) kill() {
	s.t.Helper()
	if err := s.Alive(); err != nil {
		s.t.Fatal(err)
	}
	s.Kill()
}

// stop asks the process to end.
func (s *server) stop() {
	s.t.Helper()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if code := s.exitCode(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// exitCode waits for the end of the process.
func (s *server) exitCode() int {
	s.t.Helper()
	code, err := s.ExitCode(patience)
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}
