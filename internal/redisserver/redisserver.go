// Package redisserver runs a real Redis server for tests.
//
// [Start] starts one, [StartWatched] one with a replica that takes its place when it is
// gone. The program redis-server must be installed.
package redisserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// patience is for a server that starts.
const patience = 30 * time.Second

// Options are what a server has besides its port and its directory.
type Options struct {
	Args []string // further ones of the command line, which come last
	Bare bool     // it keeps nothing on its disk
}

// A Server listens on one port of 127.0.0.1, whenever it runs. Unless it is bare, what
// it has acknowledged is in its file: a kill costs nothing. It does not wait for the disk,
// which may take longer than a test wants to wait, and is of use only when a machine loses
// its power. Its methods are not for several goroutines at once.
type Server struct {
	*proctest.Service
	t    testing.TB
	port int
}

// Start starts a server, which is killed when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	args := []string{"--save", ""}
	if !o.Bare {
		args = append(args, "--appendonly", "yes", "--appendfsync", "no")
	}
	return launch(t, "", append(args, o.Args...))
}

// launch starts a program with a configuration file, or "".
func launch(t testing.TB, config string, args []string) *Server {
	t.Helper()
	s, dir := &Server{t: t, port: proctest.FreePort()}, t.TempDir()
	line := []string{proctest.Need(t, "redis-server")}
	if config != "" {
		file := filepath.Join(dir, "config")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		line = append(line, file)
	}
	line = append(line, "--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--dir", dir, "--daemonize", "no")
	s.Service = proctest.Launch{Args: append(line, args...)}.Serve(t, patience, s.answers)
	return s
}

// answers is an error until the server has read its files.
func (s *Server) answers() error {
	answer := s.Do("PING")
	if answer == "PONG" || strings.HasPrefix(answer, "NOAUTH") {
		return nil
	}
	return fmt.Errorf("it answers %q", answer)
}

// Addr is where it listens.
func (s *Server) Addr() string { return fmt.Sprint("127.0.0.1:", s.port) }

// URL is the same as a URL.
func (s *Server) URL() string { return "redis://" + s.Addr() }

// Do sends a command on a connection of its own, and returns what it answers in one line,
// without the sign of its kind: a text, an error, a number. It returns "" if the server
// cannot be reached.
func (s *Server) Do(words ...string) string {
	answer, _ := s.ask(words)
	return answer
}

// Info returns a section of what the server says of itself; "" if it cannot be reached.
func (s *Server) Info(section string) string {
	_, text := s.ask([]string{"INFO", section})
	return text
}

// ask sends a command. A text of several lines follows its length.
func (s *Server) ask(words []string) (line, text string) {
	conn, err := net.DialTimeout("tcp", s.Addr(), time.Second)
	if err != nil {
		return "", ""
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // it is open
	fmt.Fprintf(conn, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(w), w)
	}
	r := bufio.NewReader(conn)
	if line, _ = r.ReadString('\n'); len(line) < 3 {
		return "", ""
	}
	if n, err := strconv.Atoi(strings.TrimSpace(line[1:])); err == nil && line[0] == '$' && n > 0 {
		b := make([]byte, n)
		_, _ = io.ReadFull(r, b) // what there is
		text = string(b)
	}
	return strings.TrimSpace(line[1:]), text
}
