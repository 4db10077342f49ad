package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
)

// logged returns the lines of the access log: requests and streams.
func (r *running) logged() (lines []string) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, " msg=request ") || strings.Contains(line, " msg=stream ") {
			lines = append(lines, line)
		}
	}
	return lines
}

// accessLine is the whole form of a line.
var accessLine = regexp.MustCompile(`^time=\S+ level=INFO msg=(request|stream) method=(\S+) path=(\S+) status=(\d+) seconds=([0-9.e-]+) bytes=(\d+) remote=(\S+)(?: user=(\S+|"(?:[^"\\]|\\.)+"))?(?: id=(\d+))? end=(\S+|"[a-z ]+")\n$`)

// seen is a line without what differs from run to run.
func seen(t *testing.T, line string) string {
	t.Helper()
	m := accessLine.FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("the line has another form: %q", line)
	}
	if seconds, err := strconv.ParseFloat(m[5], 64); err != nil || seconds <= 0 || seconds > patience.Seconds() {
		t.Errorf("it took %v s: %q", seconds, line)
	}
	if !strings.HasPrefix(m[7], "127.0.0.1:") {
		t.Errorf("the remote address is not the client's: %q", line)
	}
	if (m[1] == "stream") != (m[9] != "") {
		t.Errorf("only streams have an ID: %q", line)
	}
	return fmt.Sprintf("%s %s %s %s %s %s", m[1], m[2], m[3], m[4], m[6], m[10])
}

// TestAccessLogHasALineForEachRequest makes one of each kind, one after the other.
func TestAccessLogHasALineForEachRequest(t *testing.T) {
	s := defaults(t)
	s.Log.Access = true
	r := start(t, s)
	created := int64(len(`{"id":"` + r.publish(t, "a", "hello") + `"}` + "\n"))
	r.do(t, "GET", "/healthz?token=secret", "")
	refused, _ := r.do(t, "POST", "/v1/topics/a//b", "x")
	r.do(t, "HEAD", "/v1/topics/a", "")
	reader := r.follow(t, "/v1/topics/a?last=1", "text/plain")
	reader.line(t)
	reader.Close()
	want := []string{
		fmt.Sprintf("request POST /v1/topics/a 201 %d answered", created),
		"request GET /healthz 200 3 answered",
		fmt.Sprintf("request POST /v1/topics/a//b 400 %d answered", refused.ContentLength),
		"request HEAD /v1/topics/a 200 0 answered",
		fmt.Sprintf(`stream GET /v1/topics/a 200 %v "client gone"`, chunked("hello\n")),
	}
	eventually(t, "the lines are there", func() bool { return len(r.logged()) >= len(want) })
	for i, line := range r.logged() {
		if i >= len(want) || seen(t, line) != want[i] {
			t.Errorf("line %d is %q, want %q", i, line, want[min(i, len(want)-1)])
		}
	}
}

// TestAccessLogHasStreamsThatTheServerEnds stops a server with open streams: their
// lines are there when Run returns, also if writing them takes a while.
func TestAccessLogHasStreamsThatTheServerEnds(t *testing.T) {
	const n = 20
	s := defaults(t)
	s.Log.Access = true
	r := start(t, s)
	for range n {
		r.follow(t, "/v1/topics/a", "text/event-stream")
	}
	eventually(t, "all are open", func() bool { return r.Streams() == n })
	r.log.slow(10 * time.Millisecond)
	r.stop(t)
	lines := r.logged()
	for _, line := range lines {
		if got := seen(t, line); !strings.HasPrefix(got, "stream GET /v1/topics/a 200 ") || !strings.HasSuffix(got, " shutdown") {
			t.Errorf("%q", line)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines when the server has stopped, want %d", len(lines), n)
	}
}

// TestAccessLogMissesNoPublish publishes so often on one connection that without the
// access log it would leave net/http.
func TestAccessLogMissesNoPublish(t *testing.T) {
	s := defaults(t)
	s.Log.Access = true
	r := start(t, s)
	c := r.connect(t)
	for range 20 {
		resp := c.send(t, "POST", "/v1/topics/a", "x")
		if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 201 {
			t.Fatal(resp.Status, err)
		}
	}
	eventually(t, "20 lines are there", func() bool { return len(r.logged()) == 20 })
}

// TestAccessLogIsOffByDefault looks for lines that nobody asked for.
func TestAccessLogIsOffByDefault(t *testing.T) {
	r := start(t, defaults(t))
	r.publish(t, "a", "x")
	r.follow(t, "/v1/topics/a", "text/plain").Close()
	r.stop(t)
	if lines := r.logged(); len(lines) > 0 {
		t.Errorf("logged: %q", lines)
	}
}

// TestNoClientForgesAnAccessLine puts into a request line all that it can carry.
func TestNoClientForgesAnAccessLine(t *testing.T) {
	s := defaults(t)
	s.Log.Access = true
	r := start(t, s)
	requests := 0
	for _, target := range []string{
		"/v1/topics/a%0aforged", "/v1/topics/a%0d%0atime=forged", "/v1/topics/%1b%5b31mforged", "/v1/topics/a%20status=200%20end=forged",
		"/v1/topics/\"forged", "/v1/topics/%22%20forged", "/v1/topics/a\x85forged", "/v1/topics/\xe2\x80\xa8forged", "/v1/topics/\xff\xfe",
		"/v1/topics/a%c2%85forged%e2%80%ae", "/" + strings.Repeat("x", 4000), "*", "http://host/a\\b", "/a?b=\"\\ forged=1",
	} {
		for _, method := range []string{"GET", "OPTIONS", "FOR=GED", "x'y", "\"q"} {
			c := r.connect(t)
			if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: weir.test\r\nConnection: close\r\n\r\n", method, target); err != nil {
				t.Fatal(err)
			}
			if resp, err := http.ReadResponse(c.in, nil); err == nil && resp.StatusCode != 400 && resp.StatusCode != 200 {
				requests++
			}
			c.Close()
		}
	}
	eventually(t, "the lines are there", func() bool { return len(r.logged()) >= requests })
	r.stop(t)
	for line := range strings.Lines(r.log.String()) {
		if strings.ContainsFunc(strings.TrimSuffix(line, "\n"), func(c rune) bool { return c < ' ' || c > '~' }) {
			t.Errorf("a line has more than printable ASCII: %q", line)
		}
	}
	for _, line := range r.logged() {
		if m := accessLine.FindStringSubmatch(line); m == nil || len(m[3]) > 600 || strings.Contains(m[3], "=forged") && !strings.Contains(m[3], "%") {
			t.Errorf("a line is %q", line)
		}
	}
}

// TestAccessLogSaysWhoSendsRequests sends requests of users with all sorts of names, of
// somebody without a name, and of nobody. None of what they show themselves with is logged.
func TestAccessLogSaysWhoSendsRequests(t *testing.T) {
	s := guarded(t)
	s.Access.Subscribe = []string{"news"}
	r := start(t, s)
	var secrets, want []string
	for user, logged := range map[string]string{
		"ann": "ann", "": "", "a b": `"a b"`, `x" end=forged`: `"x\" end=forged"`, "水": "水", "e\u202evil": `"e\u202evil"`, `"`: `"\""`, "a=b": `"a=b"`,
	} {
		token := signed(t, access.Grant{User: user, Subscribe: []string{"mine/**"}})
		secrets = append(secrets, token)
		r.ask(t, "HEAD", "/v1/topics/mine/a", "", bearer(token))
		want = append(want, "200 "+logged)
		r.ask(t, "HEAD", "/v1/topics/theirs/a", "", bearer(token))
		want = append(want, "403 "+logged)
	}
	ticket := r.ticket(t, signed(t, mine))
	r.ask(t, "HEAD", "/v1/topics/mine/a?ticket="+ticket, "")
	r.ask(t, "HEAD", "/v1/topics/mine/a?ticket="+ticket, "")
	r.ask(t, "HEAD", "/v1/topics/news", "")
	r.ask(t, "HEAD", "/demo/time", "", bearer(apiKey))
	want = append(want, "201 ann", "200 ann", "401 ", "200 ", "200 robot")
	eventually(t, "the lines are there", func() bool { return len(r.logged()) >= len(want) })
	var got []string
	for _, line := range r.logged() {
		seen(t, line)
		m := accessLine.FindStringSubmatch(line)
		got = append(got, m[4]+" "+m[8])
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("statuses and users are %q, want %q", got, want)
	}
	for _, secret := range append(secrets, ticket, apiKey, tokenSecret) {
		if strings.Contains(r.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestAccessLogNamesStreamsAsTheListOfConnectionsDoes opens a stream of a user, and ends
// it by its ID.
func TestAccessLogNamesStreamsAsTheListOfConnectionsDoes(t *testing.T) {
	r := start(t, guarded(t))
	reader := r.connect(t)
	if resp := reader.send(t, "GET", "/v1/topics/mine/a", "", bearer(signed(t, mine))); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	var list struct{ Connections []struct{ ID, User string } }
	eventually(t, "the stream is in the list of connections", func() bool {
		_, body := r.ask(t, "GET", "/v1/connections", "", bearer(apiKey))
		return json.Unmarshal([]byte(body), &list) == nil && len(list.Connections) == 1
	})
	c := list.Connections[0]
	r.ask(t, "DELETE", "/v1/connections?id="+c.ID, "", bearer(apiKey))
	line := func() string { return strings.Join(slices.DeleteFunc(r.logged(), isRequest), "") }
	eventually(t, "the stream has a line", func() bool { return line() != "" })
	if want := " user=" + c.User + " id=" + c.ID + " end=\"access revoked\"\n"; c.User != "ann" || !strings.HasSuffix(line(), want) {
		t.Errorf("the line of the stream is %q, want it to end with %q", line(), want)
	}
}

func isRequest(line string) bool { return strings.Contains(line, " msg=request ") }

// TestAccessLogOverASocketFile publishes over a socket file, whose clients have
// no address.
func TestAccessLogOverASocketFile(t *testing.T) {
	s := defaults(t)
	s.Log.Access = true
	s.Listen = []config.Listener{{Name: "main", Network: "unix", Address: t.TempDir() + "/s", Handler: "all"}}
	r := start(t, s)
	path := strings.TrimPrefix(r.url, "unix:")
	r.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	r.url = "http://weir.test"
	r.publish(t, "a", "x")
	eventually(t, "a line is there", func() bool { return len(r.logged()) == 1 })
	if line := r.logged()[0]; !strings.Contains(line, " status=201 ") || !strings.Contains(line, " remote=@ ") {
		t.Errorf("the line is %q", line)
	}
}
