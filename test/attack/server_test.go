package attack_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A server is "weir serve" in a process of its own, on a port and on a unix socket.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	addr string // host:port
	sock string // path of the socket
	url  string
	http *http.Client  // for the tests' own questions
	said transcript    // what it has written to standard error
	done chan struct{} // closed when it has ended

	stopped bool // the test has it end
}

// serve starts a server and waits until it listens.
func serve(t *testing.T, args ...string) *server {
	t.Helper()
	return serveBy(t, []string{weirPath}, args...)
}

// serveBy starts it by another command, to which the arguments are added.
func serveBy(t *testing.T, command []string, args ...string) *server {
	t.Helper()
	// Not t.TempDir, which has the test's name in it: the path of a socket is short.
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, sock: filepath.Join(dir, "s"), done: make(chan struct{})}
	all := append(append(command[1:len(command):len(command)], "serve", "--json", "--listen", "127.0.0.1:0,unix:"+s.sock), args...)
	s.cmd = exec.Command(command[0], all...)
	s.cmd.Env, s.cmd.Stderr = environ(), &s.said
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cleanup)
	line, err := bufio.NewReader(out).ReadBytes('\n') // the listeners, which are bound by then
	go func() {
		_ = s.cmd.Wait() // its state tells how it went
		close(s.done)
	}()
	if err != nil {
		t.Fatalf("the server does not listen: %v", err)
	}
	s.listens(line)
	return s
}

// listens reads which port it is.
func (s *server) listens(line []byte) {
	s.t.Helper()
	var said struct{ Listeners []struct{ URL string } }
	if err := json.Unmarshal(line, &said); err != nil || len(said.Listeners) != 2 {
		s.t.Fatalf("the server says %q: %v", line, err)
	}
	s.url = said.Listeners[0].URL
	s.addr = strings.TrimPrefix(s.url, "http://")
	s.http = &http.Client{Transport: &http.Transport{}, Timeout: patience}
}

func (s *server) cleanup() {
	if s.http != nil {
		s.http.CloseIdleConnections()
	}
	select {
	case <-s.done:
		if s.stopped && s.cmd.ProcessState.Success() {
			return
		}
		s.t.Errorf("the server has ended: %v", s.cmd.ProcessState)
	default:
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
	}
	if text := s.said.String(); strings.Contains(text, "panic") || strings.Contains(text, "level=ERROR") || s.t.Failed() {
		s.t.Errorf("the server wrote to standard error\n%s", last(text))
	}
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

// last shortens a text to its end.
func last(s string) string {
	const most = 4000
	if len(s) > most {
		return "[…]" + s[len(s)-most:]
	}
	return s
}

// A transcript is what a program has printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (x *transcript) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// ask sends a request and returns the status and the body of the answer.
func (s *server) ask(method, target, contentType, body string) (int, string) {
	s.t.Helper()
	status, text, err := s.try(method, target, contentType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return status, text
}

func (s *server) try(method, target, contentType, body string) (int, string, error) {
	req, err := http.NewRequest(method, s.url+target, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if method == http.MethodGet {
		req.Header.Set("Accept", contentType)
	} else {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// publish publishes one message.
func (s *server) publish(topic, data string) {
	s.t.Helper()
	if status, body := s.ask("POST", topicPath(topic), "text/plain", data); status != http.StatusCreated {
		s.t.Fatalf("publish to %q: %d %s", topic, status, body)
	}
}

func topicPath(topic string) string {
	return "/v1/topics/" + strings.ReplaceAll(url.PathEscape(topic), "%2F", "/")
}

// kept returns the data of all messages of a topic.
func (s *server) kept(topic string) []string {
	s.t.Helper()
	status, body := s.ask("GET", topicPath(topic)+"?since=start&wait=0s", "application/x-ndjson", "")
	if status != http.StatusOK {
		s.t.Fatalf("read %q: %d %s", topic, status, body)
	}
	var all []string
	for line := range strings.Lines(body) {
		var m struct{ Data *string }
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			s.t.Fatalf("read %q: %q: %v", topic, line, err)
		}
		if m.Data != nil {
			all = append(all, *m.Data)
		}
	}
	return all
}

// metric returns one figure of /metrics, with its labels if it has any.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	v, err := s.tryMetric(name)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *server) tryMetric(name string) (v float64, err error) {
	_, text, err := s.try("GET", "/metrics", "*/*", "")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			_, err = fmt.Sscan(rest, &v)
			return v, err
		}
	}
	return 0, fmt.Errorf("/metrics has no %s", name)
}

// awaitMetric waits until a figure is what ok wants.
func (s *server) awaitMetric(name string, ok func(v float64) bool) {
	s.t.Helper()
	await(s.t, name, func() error {
		v, err := s.tryMetric(name)
		if err == nil && !ok(v) {
			err = fmt.Errorf("it is %v", v)
		}
		return err
	})
}

// alive fails the test unless the server answers soon.
func (s *server) alive() {
	s.t.Helper()
	start := time.Now()
	if status, body := s.ask("GET", "/healthz", "*/*", ""); status != 200 || time.Since(start) > 5*time.Second {
		s.t.Errorf("/healthz: %d %q after %v", status, body, time.Since(start))
	}
}
