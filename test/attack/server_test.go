package attack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// A server is "weir serve" in a process of its own, on a port and on a unix socket.
type server struct {
	*proctest.Process
	t    *testing.T
	addr string // host:port
	sock string // path of the socket
	url  string
	http *http.Client // for the tests' own questions

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
	s := &server{t: t, sock: filepath.Join(dir, "s")}
	s.http = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	all := slices.Concat(command, []string{"serve", "--json", "--listen", "127.0.0.1:0,unix:" + s.sock}, args)
	if s.Process, err = (proctest.Launch{Args: all}).Spawn(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cleanup)
	s.listens()
	return s
}

// listens waits until it listens, and reads on which port.
func (s *server) listens() {
	s.t.Helper()
	var said struct{ Listeners []struct{ URL string } }
	s.Await(s.t, patience, func() error {
		if lines := s.Out.Lines(); len(lines) > 0 {
			return json.Unmarshal([]byte(lines[0]), &said)
		}
		return errors.New("it does not listen")
	})
	if len(said.Listeners) != 2 {
		s.t.Fatalf("the server says %q", s.Out)
	}
	s.url = said.Listeners[0].URL
	s.addr = strings.TrimPrefix(s.url, "http://")
}

func (s *server) cleanup() {
	s.http.CloseIdleConnections()
	ended := s.Alive()
	s.Kill()
	if code, _ := s.ExitCode(patience); ended != nil && (!s.stopped || code != 0) {
		s.t.Error(ended)
	}
	if text := s.Err.String(); strings.Contains(text, "panic") || strings.Contains(text, "level=ERROR") || s.t.Failed() {
		s.t.Errorf("the server wrote to standard error\n%s", proctest.Tail(text))
	}
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

func (s *server) tryMetric(name string) (float64, error) {
	return proctest.Metric(s.http, s.url, name)
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
