package examples_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

// programs is the directory of the built examples.
var programs string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	_ = flag.Set("test.parallel", "30") // the tests wait rather than compute
	dir, err := os.MkdirTemp("", "weir-examples-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", append([]string{"build", "-o", dir}, buildArgs()...)...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the examples: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// buildArgs builds all examples, with the race detector if the tests have it: a
// race makes an example exit with an error.
func buildArgs() []string {
	args := []string{"-ldflags=-s -w", "./..."}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append([]string{"-race"}, args...)
			}
		}
	}
	return args
}

// A program is a running example.
type program struct {
	url  string
	cmd  *exec.Cmd
	log  *logFile
	done bool // it has been waited for
}

// start runs an example on a free port and waits for the URL that it prints. The
// test must end it with interrupt; if it does not come so far, the program is killed.
func start(t *testing.T, name string, args ...string) *program {
	t.Helper()
	p := &program{log: new(logFile)}
	p.cmd = exec.Command(filepath.Join(programs, name), append([]string{"-listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !p.done {
			p.cmd.Process.Kill()
			p.cmd.Wait()
			t.Logf("%s was killed; it said:\n%s", name, p.log)
		}
	})
	p.url = strings.TrimPrefix(p.log.waitLine(t, "listening on "), "listening on ")
	return p
}

// interrupt sends SIGINT. The program must exit with code 0 within 5 s.
func (p *program) interrupt(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(5*time.Second, func() { p.cmd.Process.Kill() })
	err := p.cmd.Wait()
	p.done = true
	if !deadline.Stop() || err != nil {
		t.Errorf("after SIGINT: exit within 5 s: %v; error %v, want code 0; it said:\n%s", err == nil, err, p.log)
	}
}

// A logFile collects what a program writes.
type logFile struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	changed chan struct{} // guarded by mu; closed by the next write
}

func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
	return l.text.Write(b)
}

func (l *logFile) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// waitLine returns the first complete line that contains text, within 10 s.
func (l *logFile) waitLine(t *testing.T, text string) string {
	t.Helper()
	for timeout := time.After(10 * time.Second); ; {
		l.mu.Lock()
		for line := range strings.Lines(l.text.String()) {
			if strings.HasSuffix(line, "\n") && strings.Contains(line, text) {
				l.mu.Unlock()
				return strings.TrimSuffix(line, "\n")
			}
		}
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no line with %q within 10 s; the program said:\n%s", text, l)
		}
	}
}

// do sends a request, with headers as "Name: value", and fails unless it is
// answered with status. The test's end ends the response.
func (p *program) do(t *testing.T, status int, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != status {
		t.Fatalf("%s %s: status %s, want %d", method, path, resp.Status, status)
	}
	return resp
}

// get returns the body of an ordinary response, and its content type.
func (p *program) get(t *testing.T, path string, headers ...string) (body, contentType string) {
	t.Helper()
	resp := p.do(t, http.StatusOK, "GET", path, "", headers...)
	return readAll(t, resp), resp.Header.Get("Content-Type")
}

func readAll(t *testing.T, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A reader reads an event stream.
type reader struct {
	*http.Response
	events   *sse.Reader
	comments []string
}

// events opens a stream.
func (p *program) events(t *testing.T, path string, headers ...string) *reader {
	t.Helper()
	headers = append([]string{"Accept: text/event-stream"}, headers...)
	r := &reader{Response: p.do(t, http.StatusOK, "GET", path, "", headers...)}
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("GET %s: content type %q, want an event stream", path, got)
	}
	if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "no-cache") {
		t.Errorf("GET %s: Cache-Control %q, want no-cache", path, got)
	}
	r.events = sse.NewReader(r.Body)
	r.events.Decoder.OnComment = func(text string) { r.comments = append(r.comments, text) }
	return r
}

// next returns the next event that a page would see.
func (r *reader) next(t *testing.T) sse.Event {
	t.Helper()
	for {
		e, err := r.events.Next()
		if err != nil {
			t.Fatalf("read the next event: %v", err)
		}
		if e.Data != nil {
			return e
		}
	}
}

// wantEnd fails unless the stream ends as it should, after what is still on its way.
func (r *reader) wantEnd(t *testing.T) {
	t.Helper()
	for {
		_, err := r.events.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("the stream was cut off: %v", err)
		}
	}
}
