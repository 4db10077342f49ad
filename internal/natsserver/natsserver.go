// Package natsserver runs a real NATS server for tests.
//
// [Start] starts the one that tools/go.mod pins, [StartCluster] three of them. They build
// it at first, which takes a minute where the build cache is empty.
package natsserver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// patience is for a server that starts.
const patience = 30 * time.Second

// Options are what a server has besides its port and its directory.
type Options struct {
	Config string // lines that are added to its configuration file
	Bare   bool   // without JetStream
	Lazy   bool   // it does not wait for its disk
}

// A Server listens on one port of 127.0.0.1, whenever it runs. With JetStream, what it
// has acknowledged is on its disk, or on its way there: a kill costs nothing. Its methods are not for several goroutines at once.
type Server struct {
	*proctest.Service
	port int
}

// Start starts a server, which is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	s, dir := &Server{port: proctest.FreePort()}, t.TempDir()
	config := fmt.Sprintf("listen: \"127.0.0.1:%d\"\n", s.port)
	switch {
	case o.Bare:
	case o.Lazy:
		config += fmt.Sprintf("jetstream { store_dir: %q }\n", dir)
	default:
		config += fmt.Sprintf("jetstream { store_dir: %q, sync_interval: always }\n", dir)
	}
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(config+o.Config+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Service = proctest.Launch{Args: []string{program, "-c", file}}.Serve(t, patience, s.greeting)
	return s
}

// build returns the path of the program, which the build cache keeps.
var build = sync.OnceValues(func() (string, error) {
	root, err := proctest.Root()
	if err != nil {
		return "", err
	}
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

// Addr is where it listens.
func (s *Server) Addr() string { return fmt.Sprint("127.0.0.1:", s.port) }

// URL is the same as a URL.
func (s *Server) URL() string { return "nats://" + s.Addr() }

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
