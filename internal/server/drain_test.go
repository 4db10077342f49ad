package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/leak"
)

// TestDrainLosesNothingAcknowledged stops the server while publishers publish as
// fast as they can: every reader gets every message that a publisher has an
// answer for, in order, and then a clean end. Some readers have just begun to
// read a long history.
func TestDrainLosesNothingAcknowledged(t *testing.T) {
	for round := range 3 {
		t.Run(fmt.Sprint("round=", round), func(t *testing.T) {
			r := start(t, drainSettings(t))
			filler := strings.Repeat("x", 500)
			for i := range 10 {
				publishLines(t, r, fmt.Sprint("h", i, "-"), filler, 100)
			}
			var readers []*reader
			for range 10 {
				readers = append(readers, r.follow(t, "/v1/topics/a", "text/plain"))
			}
			for range 10 {
				readers = append(readers, r.follow(t, "/v1/topics/a?since=start", "text/plain"))
			}
			got := make([][]string, len(readers))
			var reading sync.WaitGroup
			for i, c := range readers {
				reading.Go(func() { got[i] = c.rest(t) })
			}
			var publishing sync.WaitGroup
			acknowledged := make([][]string, 4)
			for i := range acknowledged {
				c := r.connect(t)
				publishing.Go(func() { acknowledged[i] = c.publishUntilRefused(t, i, filler) })
			}
			eventually(t, "some is published", func() bool { return published(t, r) > 1200 })
			r.cancel()
			publishing.Wait()
			reading.Wait()
			r.stop(t)
			for i, lines := range got {
				begin := slices.IndexFunc(lines, func(s string) bool { return strings.HasPrefix(s, "p") })
				if i >= 10 && begin != 1000 {
					t.Errorf("reader %d got %d messages of the history, want 1000", i, begin)
				}
				for p, want := range acknowledged {
					mine := slices.DeleteFunc(slices.Clone(lines), func(s string) bool { return !strings.HasPrefix(s, fmt.Sprint("p", p, "-")) })
					if len(mine) < len(want) || !slices.Equal(mine[:len(want)], want) {
						t.Errorf("reader %d got %d messages of publisher %d, %d were acknowledged", i, len(mine), p, len(want))
					}
				}
			}
		})
	}
}

// drainSettings keep all that a test of draining publishes.
func drainSettings(t *testing.T) *config.Settings {
	s := defaults(t)
	s.History.MaxMessages, s.History.MaxBytes = 0, 0
	return s
}

// published returns how many messages of topic a there are.
func published(t *testing.T, r *running) int {
	resp, _ := r.do(t, "HEAD", "/v1/topics/a", "")
	n, _ := strconv.Atoi(resp.Header.Get("Weir-Messages"))
	return n
}

// publishLines publishes n messages in one request: a prefix, a number and a filler.
func publishLines(t *testing.T, r *running, prefix, filler string, n int) {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"topic\":\"a\",\"data\":\"%s%d %s\"}\n", prefix, i, filler)
	}
	if resp, body := r.do(t, "POST", "/v1/events", b.String(), "Content-Type: application/x-ndjson"); resp.StatusCode != 200 {
		t.Fatalf("publish lines: %s %s", resp.Status, body)
	}
}

// publishUntilRefused publishes batches of lines until the server says that it
// stops, and returns the first word of those that are acknowledged.
func (c *reader) publishUntilRefused(t *testing.T, id int, filler string) (acknowledged []string) {
	for n := 0; ; {
		var b strings.Builder
		var sent []string
		for range 50 {
			sent = append(sent, fmt.Sprintf("p%d-%d", id, n))
			fmt.Fprintf(&b, "{\"topic\":\"a\",\"data\":\"p%d-%d %s\"}\n", id, n, filler)
			n++
		}
		body := b.String()
		if _, err := fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: weir.test\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
			return acknowledged // the server has closed the connection
		}
		resp, err := http.ReadResponse(c.in, nil)
		if err != nil {
			return acknowledged
		}
		var answer struct{ Published int }
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			t.Errorf("publisher %d: %v", id, err)
			return acknowledged
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		acknowledged = append(acknowledged, sent[:answer.Published]...)
		if resp.StatusCode == http.StatusServiceUnavailable {
			if resp.Header.Get("Retry-After") != "1" {
				t.Errorf("publisher %d is refused without Retry-After: %v", id, resp.Header)
			}
			return acknowledged
		}
		if resp.StatusCode != 200 || answer.Published != 50 {
			t.Errorf("publisher %d: %s, %d published", id, resp.Status, answer.Published)
			return acknowledged
		}
	}
}

// rest reads a text stream to its clean end and returns the first word of each line.
func (c *reader) rest(t *testing.T) (words []string) {
	for {
		line, err := c.body.ReadString('\n')
		if err == io.EOF && line == "" {
			return words
		}
		if err != nil {
			t.Errorf("after %d lines: %v", len(words), err)
			return words
		}
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
}

// TestReadersAreToldToComeBackSpreadOverTheWindow collects what 200 readers of two
// forms are told.
func TestReadersAreToldToComeBackSpreadOverTheWindow(t *testing.T) {
	const soonest = 500
	s := defaults(t)
	s.Drain.Window = 4 * time.Second
	r := start(t, s)
	var readers []*reader
	for i := range 200 {
		readers = append(readers, r.follow(t, "/v1/topics/a", []string{"text/event-stream", "application/x-ndjson"}[i%2]))
	}
	r.cancel()
	told := map[int]bool{}
	low, high := 1<<30, 0
	for i, c := range readers {
		body, err := io.ReadAll(c.body)
		if err != nil {
			t.Fatalf("reader %d: no clean end: %v", i, err)
		}
		ms := farewell(t, string(body))
		if ms < soonest || ms > soonest+4000 {
			t.Errorf("reader %d is told to come back in %d ms, want %d to %d", i, ms, soonest, soonest+4000)
		}
		told[ms] = true
		low, high = min(low, ms), max(high, ms)
	}
	if len(told) < 150 || low > soonest+400 || high < soonest+3600 {
		t.Errorf("200 readers are told %d values from %d to %d ms, want them spread from %d to %d", len(told), low, high, soonest, soonest+4000)
	}
}

// farewell returns the time that the last block or line of a stream states.
func farewell(t *testing.T, body string) int {
	t.Helper()
	if i := strings.LastIndex(body, "retry: "); i > 0 {
		ms, err := strconv.Atoi(strings.TrimSuffix(body[i+7:], "\n\n"))
		if err != nil {
			t.Errorf("the stream ends with %q", body[i:])
		}
		return ms
	}
	lines := strings.Split(strings.TrimSpace(body), "\n")
	var last struct {
		Drain struct {
			Retry int `json:"retry_ms"`
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
		t.Errorf("the stream ends with %q: %v", body, err)
	}
	return last.Drain.Retry
}

// stuck opens a stream with far more history than sockets hold, and does not read.
func stuck(t *testing.T, r *running) *reader {
	t.Helper()
	for i := range 20 {
		publishLines(t, r, fmt.Sprint("h", i, "-"), strings.Repeat("x", 20_000), 50) // 20 MB in all
	}
	c := r.connect(t)
	if resp := c.send(t, "GET", "/v1/topics/a?since=start", ""); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	eventually(t, "the stream is open", func() bool { // its head comes a moment before
		_, page := r.do(t, "GET", "/metrics", "")
		return strings.Contains(page, "\nweir_readers 1\n")
	})
	return c
}

// TestWhileDraining looks at a server that waits for a reader to take what it has
// yet to get.
func TestWhileDraining(t *testing.T) {
	r := start(t, drainSettings(t))
	slow := stuck(t, r)
	kept, late := r.connect(t), r.connect(t)
	for _, c := range []*reader{kept, late} { // a connection that was never used is not kept
		if resp := c.send(t, "GET", "/readyz", ""); resp.StatusCode != 200 {
			t.Fatalf("/readyz before: %s", resp.Status)
		}
		_, _ = io.Copy(io.Discard, c.body)
	}
	quick := r.follow(t, "/v1/topics/b", "text/event-stream")
	poll := r.connect(t)
	if _, err := io.WriteString(poll, "GET /v1/topics/b?wait=5m HTTP/1.1\r\nHost: weir.test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	r.cancel()
	if _, err := io.ReadAll(quick.body); err != nil { // readers are told to go
		t.Errorf("a reader has no clean end: %v", err)
	}
	if resp, err := http.ReadResponse(poll.in, nil); err != nil || resp.StatusCode != 200 || resp.Header.Get("Weir-Last-Event-Id") == "" {
		t.Errorf("a poll that waited is answered with %v, %v", resp, err)
	}
	for _, c := range []struct {
		method, target, body string
		status               int
	}{
		{"GET", "/readyz", "", 503},
		{"GET", "/healthz", "", 200},
		{"POST", "/v1/topics/a", "x", 503},
		{"POST", "/v1/events", "{\"topic\":\"a\"}\n", 503},
		{"DELETE", "/v1/topics/a", "", 503},
		{"GET", "/v1/topics/b?wait=5m", "", 200},
	} {
		resp := kept.send(t, c.method, c.target, c.body)
		_, _ = io.Copy(io.Discard, kept.body)
		if resp.StatusCode != c.status || c.status == 503 && resp.Header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %s, Retry-After %q, want %d", c.method, c.target, resp.Status, resp.Header.Get("Retry-After"), c.status)
		}
	}
	if nc, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://")); err == nil {
		nc.Close()
		t.Error("it accepts new connections")
	}
	// A stream that is asked for now is ended like the others.
	if resp := late.send(t, "GET", "/v1/topics/b", ""); resp.StatusCode != 200 {
		t.Errorf("a late stream: %s", resp.Status)
	}
	if body, err := io.ReadAll(late.body); err != nil || farewell(t, string(body)) == 0 {
		t.Errorf("a late stream is %q, %v, want a clean end", body, err)
	}
	select {
	case <-r.done:
		t.Fatal("Run returned although a reader has not got everything")
	default:
	}
	body, err := io.ReadAll(slow.body)
	if n := strings.Count(string(body), "\ndata: "); err != nil || n != 1000 {
		t.Errorf("the slow reader got %d messages, %v, want 1000 and a clean end", n, err)
	}
	r.stop(t)
}

// TestDrainTimeoutCutsReadersThatDoNotRead and nobody else.
func TestDrainTimeoutCutsReadersThatDoNotRead(t *testing.T) {
	s := drainSettings(t)
	s.Drain.Timeout = time.Second
	r := start(t, s)
	slow := stuck(t, r)
	quick := r.follow(t, "/v1/topics/b", "text/plain")
	r.publish(t, "b", "hello")
	began := time.Now()
	r.cancel()
	if words := quick.rest(t); !slices.Equal(words, []string{"hello\n"}) {
		t.Errorf("a reader that reads got %q", words)
	}
	r.stop(t)
	if took := time.Since(began); took < time.Second || took > 4*time.Second {
		t.Errorf("Run returned after %v, want about 1s", took)
	}
	if !strings.Contains(r.log.String(), "level=WARN") {
		t.Errorf("the log does not say that a reader was cut:\n%s", r.log)
	}
	eventually(t, "the reader that does not read is cut", func() bool { return r.Streams() == 0 })
	slow.Close()
	if left := leak.Left(); left != "" {
		t.Errorf("goroutines are left over:\n%s", left)
	}
}

// TestSilentPublisherDoesNotHoldUpTheDrain leaves a body of lines open.
func TestSilentPublisherDoesNotHoldUpTheDrain(t *testing.T) {
	r := start(t, defaults(t))
	c := r.connect(t)
	line := `{"topic":"a","data":"x"}` + "\n"
	if _, err := fmt.Fprintf(c, "POST /v1/events HTTP/1.1\r\nHost: weir.test\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(line), line); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the line is published", func() bool { return published(t, r) == 1 })
	began := time.Now()
	r.cancel()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != 503 {
		t.Fatalf("the publisher is answered with %v, %v", resp, err)
	}
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), `"line":2,"published":1`) {
		t.Errorf("the publisher is told %s", body)
	}
	r.stop(t)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Run returned after %v", took)
	}
}

// TestStreamsOfThePageAreDrainedToo stops the server while a demo runs.
func TestStreamsOfThePageAreDrainedToo(t *testing.T) {
	s := defaults(t)
	s.Page = true
	r := start(t, s)
	demo := r.follow(t, "/demo/time", "text/event-stream")
	chunks := r.follow(t, "/demo/chunks", "*/*")
	if line := demo.line(t); !strings.HasPrefix(line, "retry: ") {
		t.Errorf("the demo begins with %q", line)
	}
	r.cancel()
	if body, err := io.ReadAll(demo.body); err != nil || farewell(t, string(body)) == 0 {
		t.Errorf("the demo ends with %q, %v", body, err)
	}
	if _, err := io.ReadAll(chunks.body); err != nil {
		t.Errorf("the other demo has no clean end: %v", err)
	}
}
