package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// A server is "weir serve" in a process of its own.
type server struct {
	*program
	addr string // host:port
	url  string
	args []string
	http *http.Client
}

// serve starts a server on a free port and waits until it listens.
func serve(t *testing.T, args ...string) *server { return serveAt(t, proctest.FreeAddr(), args...) }

func serveAt(t *testing.T, addr string, args ...string) *server {
	t.Helper()
	all := append([]string{weirPath, "serve", "--json", "--listen", addr}, args...)
	s := &server{program: start(t, all...), addr: addr, url: "http://" + addr, args: args}
	s.http = &http.Client{Transport: &http.Transport{}, Timeout: patience}
	t.Cleanup(s.http.CloseIdleConnections)
	s.awaitText(s.Out, "\n") // the listeners, which are bound by then
	return s
}

// restart kills the server and starts another one at the same address.
func (s *server) restart() *server {
	s.t.Helper()
	s.Kill()
	return serveAt(s.t, s.addr, s.args...)
}

// terminate asks the server to stop and waits until it has.
func (s *server) terminate() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if code := s.code(); code != 0 {
		s.t.Errorf("exit code %d after SIGTERM, want 0", code)
	}
}

// topicURL is the address of a topic.
func (s *server) topicURL(topic string) string { return s.url + topicPath(topic) }

func topicPath(topic string) string {
	segments := strings.Split(topic, "/")
	for i := range segments {
		segments[i] = url.PathEscape(segments[i])
	}
	return "/v1/topics/" + strings.Join(segments, "/")
}

// publish posts one message and returns its ID. query has the form "type=a&key=b".
func (s *server) publish(topic, data, query string) string {
	s.t.Helper()
	id, err := s.tryPublish(topic, data, query)
	if err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *server) tryPublish(topic, data, query string) (string, error) {
	resp, err := s.http.Post(s.topicURL(topic)+"?"+query, "text/plain", strings.NewReader(data))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	var answer struct{ ID string }
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err != nil || resp.StatusCode != http.StatusCreated || answer.ID == "" {
		return "", fmt.Errorf("publish to %q: status %d, %q, %v", topic, resp.StatusCode, body, err)
	}
	return answer.ID, nil
}

// publishNumbers publishes the numbers from..to in one request.
func (s *server) publishNumbers(topic string, from, to int) {
	s.t.Helper()
	var lines bytes.Buffer
	for i := from; i <= to; i++ {
		fmt.Fprintf(&lines, "{\"topic\":%q,\"data\":\"%d\"}\n", topic, i)
	}
	resp, err := s.http.Post(s.url+"/v1/events", "application/x-ndjson", &lines)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		s.t.Fatalf("publish %d to %d: status %d, %s", from, to, resp.StatusCode, body)
	}
}

// trickle publishes the numbers 1..n one by one, one each few milliseconds, as a
// program would that reports what it does.
func (s *server) trickle(topic string, n int, every time.Duration) {
	s.t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := 1; i <= n; i++ {
		<-tick.C
		s.publish(topic, fmt.Sprint(i), "")
	}
}

// checkCount fails the test unless got is 1..n in order, each once.
func checkCount(t *testing.T, who string, got []string, n int) {
	t.Helper()
	for i := range max(len(got), n) {
		want, have := fmt.Sprint(i+1), "nothing"
		if i < len(got) {
			have = got[i]
		}
		if i >= n || have != want {
			t.Fatalf("%s: message %d of %d is %q, want 1 to %d in order, each once", who, i+1, len(got), have, n)
		}
	}
}
