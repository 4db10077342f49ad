// Package natsserver runs a real NATS server for tests.
//
// [Start] starts the one that tools/go.mod pins. It builds it at first, which takes a
// minute where the build cache is empty.
package natsserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is for a server that starts.
const patience = 30 * time.Second

// Options are what a server has besides its port and its directory.
type Options struct {
	Config string // lines that are added to its configuration file
	Bare   bool   // without JetStream
}

// A Server listens on one port of 127.0.0.1, whenever it runs. With JetStream, what it
// has acknowledged is on its disk. Its methods are not for several goroutines at once.
type Server struct {
	t       testing.TB
	program string
	dir     string
	port    int
	cmd     *exec.Cmd
	ended   chan struct{} // closed when the process has ended
}

// Start starts a server, which is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, program: program, dir: t.TempDir(), port: FreePort()}
	config := fmt.Sprintf("listen: \"127.0.0.1:%d\"\n", s.port)
	if !o.Bare {
		config += fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always }\n", s.dir)
	}
	if err := os.WriteFile(s.path("config"), []byte(config+o.Config+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.Kill(); t.Failed() {
			t.Logf("the NATS server at %s printed\n%s", s.Addr(), s.Said())
		}
	})
	s.run()
	return s
}

// build returns the path of the program, which the build cache keeps.
var build = sync.OnceValues(func() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	cmd := exec.Command("go", "tool", "-modfile="+filepath.Join(root, "tools", "go.mod"), "-n", "nats-server")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	var problems bytes.Buffer
	cmd.Stderr = &problems
	path, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("build the NATS server of the tests: %w\n%s", err, &problems)
	}
	return strings.TrimSpace(string(path)), nil
})

// FreePort returns a port of 127.0.0.1 that nobody listens on. It is not one that the
// system gives to clients: one that connects again and again to a server that is down
// could get it.
func FreePort() int {
	for {
		port := 20_000 + rand.N(12_000)
		if ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			ln.Close()
			return port
		}
	}
}

// Addr is where it listens.
func (s *Server) Addr() string { return fmt.Sprint("127.0.0.1:", s.port) }

// URL is the same as a URL.
func (s *Server) URL() string { return "nats://" + s.Addr() }

// Said is what it has printed since Start.
func (s *Server) Said() string {
	text, _ := os.ReadFile(s.path("log")) // there is none before the first start
	return string(text)
}

// Kill ends the server without warning. It does nothing if it has ended.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.ended
		s.cmd = nil
	}
}

// Restart kills the server, and starts it again with what it has on its disk.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.run()
}

// Pause stops the process until Resume: its connections stay open and are silent.
func (s *Server) Pause() { s.t.Helper(); s.signal("STOP") }

// Resume lets it go on.
func (s *Server) Resume() { s.t.Helper(); s.signal("CONT") }

// signal uses a program: not every system that this is compiled for has the signals.
func (s *Server) signal(name string) {
	s.t.Helper()
	if out, err := exec.Command("kill", "-"+name, strconv.Itoa(s.cmd.Process.Pid)).CombinedOutput(); err != nil {
		s.t.Fatalf("kill -%s: %v, %s", name, err, out)
	}
}

func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// run starts the process, and waits until it answers.
func (s *Server) run() {
	s.t.Helper()
	out, err := os.OpenFile(s.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd, ended := exec.Command(s.program, "-c", s.path("config")), make(chan struct{})
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.cmd, s.ended = cmd, ended
	go func() {
		defer close(ended)
		_ = cmd.Wait() // that it has ended is all that matters
	}()
	for late := time.After(patience); ; {
		err := s.greeting()
		if err == nil {
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("the NATS server has ended: %v", cmd.ProcessState)
		case <-late:
			s.t.Fatalf("the NATS server does not answer at %s within %v: %v", s.Addr(), patience, err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

var errGreeting = errors.New("it does not say INFO")

// greeting is an error until the server says who it is, which it does first.
func (s *Server) greeting() error {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second)) // it is open
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "INFO ") {
		err = errGreeting
	}
	return err
}
