package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bodyTimeout is less than the setting may be.
const bodyTimeout = 300 * time.Millisecond

// kept returns how many messages of a topic are kept.
func (r *running) kept(t *testing.T, topic, key string) int {
	t.Helper()
	resp, _ := r.do(t, "HEAD", "/v1/topics/"+topic, "", key)
	n, err := strconv.Atoi(resp.Header.Get("Weir-Messages"))
	if err != nil {
		t.Fatalf("HEAD %s: %s", topic, resp.Status)
	}
	return n
}

// begin sends the head of a request whose body is still to come.
func (c *reader) begin(t *testing.T, method, target string, header ...string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: weir.test\r\n%s\r\n\r\n", method, target, strings.Join(header, "\r\n")); err != nil {
		t.Fatal(err)
	}
}

// beginLines begins to publish lines. They follow with chunk.
func (c *reader) beginLines(t *testing.T, header ...string) {
	t.Helper()
	c.begin(t, "POST", "/v1/events", append(header, lines, "Transfer-Encoding: chunked")...)
}

// chunk sends a part of a body.
func (c *reader) chunk(t *testing.T, text string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%x\r\n%s\r\n", len(text), text); err != nil {
		t.Fatal(err)
	}
}

// answer reads an answer and its body.
func (c *reader) answer(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestSlowBodiesAreRefused sends half of a body, and waits.
func TestSlowBodiesAreRefused(t *testing.T) {
	s := defaults(t)
	s.HTTP.BodyTimeout = bodyTimeout
	r := start(t, s)
	r.do(t, "PUT", "/v1/streams/s", "x", plain)
	const ten = "Content-Length: 10"
	for _, c := range []struct{ method, target, header string }{
		{"POST", "/v1/topics/a", plain},
		{"POST", "/v1/events", form},
		{"QUERY", "/v1/events", form},
		{"POST", "/v1/events", lines},
		{"PUT", "/v1/streams/new", plain},
		{"POST", "/v1/streams/s", plain},
	} {
		client := r.connect(t)
		began := time.Now()
		client.begin(t, c.method, c.target, ten, c.header)
		fmt.Fprint(client, "half")
		status, body := client.answer(t)
		if took := time.Since(began); status != 408 || problemCode(body) != "too_slow" || took < bodyTimeout || took > patience {
			t.Errorf("%s %s: %d %s after %v, want 408 after %v", c.method, c.target, status, body, took, bodyTimeout)
		}
		if _, err := client.in.ReadByte(); err != io.EOF {
			t.Errorf("%s %s: the connection goes on: %v", c.method, c.target, err)
		}
	}
	if r.Streams() != 0 {
		t.Error("a slow form has opened a stream")
	}
}

// TestBodiesThatNobodyReadsHoldNothing sends half of a body to what reads none.
func TestBodiesThatNobodyReadsHoldNothing(t *testing.T) {
	s := defaults(t)
	s.Page = true
	s.HTTP.BodyTimeout = bodyTimeout
	r := start(t, s)
	for _, c := range []string{"GET /healthz", "POST /version", "GET /", "GET /v1/topics/a?wait=0s", "HEAD /v1/topics/a", "DELETE /v1/topics/a",
		"GET /v1/connections", "POST /v1/tickets", "OPTIONS /v1/events", "GET /v1/streams/none", "GET /metrics", "GET /nothing"} {
		method, target, _ := strings.Cut(c, " ")
		client := r.connect(t)
		_ = client.SetDeadline(time.Now().Add(10 * time.Second))
		client.begin(t, method, target, "Content-Length: 10")
		fmt.Fprint(client, "half")
		if _, err := io.ReadAll(client.in); err != nil {
			t.Errorf("%s: %v", c, err)
		}
	}
}

// TestLinesMayBeFarApart has pauses between lines, and one in a line.
func TestLinesMayBeFarApart(t *testing.T) {
	s := defaults(t)
	s.HTTP.BodyTimeout = bodyTimeout
	r := start(t, s)
	c := r.connect(t)
	c.beginLines(t)
	for n := range 2 {
		c.chunk(t, `{"topic":"a","data":"x"}`+"\n")
		eventually(t, "the line is published", func() bool { return published(t, r) == n+1 })
		time.Sleep(bodyTimeout * 3 / 2)
	}
	began := time.Now()
	for n := range 30 { // one byte after the other does not help
		if _, err := fmt.Fprint(c, "1\r\n{\r\n"); err != nil || n > 0 && c.in.Buffered() > 0 {
			break
		}
		time.Sleep(bodyTimeout / 10)
	}
	status, body := c.answer(t)
	if took := time.Since(began); status != 408 || problemCode(body) != "too_slow" || !strings.Contains(body, `"line":3,"published":2`) || took > 2*patience {
		t.Errorf("a slow line: %d %s after %v", status, body, took)
	}
	if n := published(t, r); n != 2 {
		t.Errorf("%d lines are published, want 2", n)
	}
}

// TestSlowBodiesDoNotHoldUpTheDrain has bodies that would take minutes.
func TestSlowBodiesDoNotHoldUpTheDrain(t *testing.T) {
	s := defaults(t)
	s.HTTP.BodyTimeout = 10 * time.Minute
	s.Drain.Timeout = 3 * time.Second
	r := start(t, s)
	single, stream, line := r.connect(t), r.connect(t), r.connect(t)
	single.begin(t, "POST", "/v1/topics/a", "Content-Length: 10")
	fmt.Fprint(single, "half")
	stream.begin(t, "PUT", "/v1/streams/s", "Content-Length: 10", plain)
	fmt.Fprint(stream, "half")
	line.beginLines(t)
	line.chunk(t, `{"topic":"a","data":"1"}`+"\n"+`{"topic":`)
	eventually(t, "the line is published", func() bool { return published(t, r) == 1 })
	began := time.Now()
	r.cancel()
	if status, body := line.answer(t); status != 503 || !strings.Contains(body, `"line":2,"published":1`) {
		t.Errorf("half a line: %d %s", status, body)
	}
	r.stop(t)
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the server has taken %v to stop", took)
	}
}
