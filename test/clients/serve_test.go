package clients_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

func TestWrongStartsEndWithOneLineAndACode(t *testing.T) {
	t.Parallel()
	s := serve(t)
	bad := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(bad, []byte("hub:\n  max-mesage: 1KiB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"serve", "--listen", s.addr}, 69, []string{s.addr, "address already in use"}},
		{[]string{"serve", "--lisen", s.addr}, 2, []string{"unknown flag --lisen; did you mean --listen?"}},
		{[]string{"serve", "--stream.retry", "soon"}, 2, []string{"stream.retry", `"soon"`}},
		{[]string{"serve", "--config", bad}, 78, []string{bad + ":2", `did you mean "hub.max-message"?`}},
		{[]string{"serve", "--config", bad + ".none"}, 78, []string{bad + ".none", "no such file"}},
		{[]string{"serve", "--listen", "0.0.0.0:0"}, 78, []string{"0.0.0.0:0", "--open"}},
		{[]string{"sub", "--server", proctest.FreeAddr(), "a"}, 69, []string{"connection refused"}},
		{[]string{"pub", "--retry", "0", "--server", proctest.FreeAddr(), "a", "x"}, 69, []string{"connection refused"}},
		{[]string{"pub", "--server", s.addr, "a//b", "x"}, 1, []string{"bad_topic"}},
		{[]string{"pub", "--server", s.addr, "weir/stats", "x"}, 1, []string{"weir/"}},
	} {
		p := start(t, append([]string{weirPath}, c.args...)...)
		if code := p.code(); code != c.code || len(p.Err.Lines()) != 1 || p.Out.String() != "" {
			t.Errorf("weir %q ends with code %d and says %q, want %d and one line", c.args, code, p.Err, c.code)
		}
		expectIn(t, p.Err.String(), c.says...)
	}
}

func TestOpenListensOnAllAddresses(t *testing.T) {
	t.Parallel()
	_, port, _ := strings.Cut(proctest.FreeAddr(), ":")
	p := start(t, weirPath, "serve", "--listen", "0.0.0.0:"+port, "--open")
	p.awaitText(p.Out, "all others") // the table of topics follows that of the listeners
	expectIn(t, p.Out.String(), "LISTENER", ":"+port, "ready", "curl -N http://")
	expectIn(t, curlOnce(t, "http://127.0.0.1:"+port+"/healthz"), "ok")
}

// A drained reader is a stream that is read to its end.
type drainedReader struct {
	numbers []string // data of the messages
	rest    []string // lines after the last message
	err     error    // other than the regular end
}

// drainReader reads an SSE stream to its end.
func drainReader(body io.Reader) (d drainedReader) {
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			d.numbers, d.rest = append(d.numbers, text), nil
			continue
		}
		d.rest = append(d.rest, lines.Text())
	}
	d.err = lines.Err()
	return d
}

func TestTerminatedServerDeliversWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const readers = 10
	var wg sync.WaitGroup
	var drained [readers]drainedReader
	for i := range readers {
		resp, err := (&http.Client{Transport: &http.Transport{}}).Get(s.topicURL("a") + "?since=start")
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer resp.Body.Close()
			drained[i] = drainReader(resp.Body)
		})
	}
	acknowledged := make(chan int, 1)
	enough := make(chan struct{})
	go func() {
		n := 0
		for ; ; n++ {
			if n == 300 {
				close(enough) // and on, into the arms of the signal
			}
			if _, err := s.tryPublish("a", fmt.Sprint(n+1), ""); err != nil {
				acknowledged <- n
				return
			}
		}
	}()
	select {
	case <-enough:
	case <-time.After(patience):
		t.Fatal("300 messages take too long")
	}
	s.terminate()
	n := <-acknowledged
	wg.Wait()
	var retries []string
	for i, d := range drained {
		// The publish that failed may have been kept: its answer was lost.
		if len(d.numbers) < n || len(d.numbers) > n+1 || d.err != nil {
			t.Errorf("reader %d has %d messages of %d that were acknowledged, and ends with %v", i, len(d.numbers), n, d.err)
		}
		checkCount(t, fmt.Sprint("reader ", i), d.numbers, len(d.numbers))
		// Half a second is the soonest, and five the default window.
		if len(d.rest) != 3 || !regexp.MustCompile(`^retry: ([5-9]|[1-4]\d|5[0-5])\d\d$`).MatchString(d.rest[1]) {
			t.Errorf("reader %d is left with %q, want to be told when to come back", i, d.rest)
			continue
		}
		retries = append(retries, d.rest[1])
	}
	slices.Sort(retries)
	if got := len(slices.Compact(retries)); got < readers/2 {
		t.Errorf("%d readers come back at %d different times", readers, got)
	}
}

func TestServerThatDrainsTakesNoMore(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain.window", "1s", "--drain.timeout", "5s")
	// An upload that goes on keeps the server; it is told to end.
	upload := curl(t, "-X", "POST", "-H", "Content-Type: application/x-ndjson", "-T", ".", s.url+"/v1/events")
	reader := curl(t, "-H", "Accept: text/plain", s.topicURL("a")+"?since=start")
	upload.write(`{"topic":"a","data":"1"}` + "\n")
	reader.awaitLines(1)
	s.signal(syscall.SIGTERM)
	await(t, "the closed port", func() error {
		resp, err := http.Get(s.url + "/healthz")
		if err == nil {
			resp.Body.Close()
			return fmt.Errorf("the server still answers")
		}
		return nil
	})
	if code := s.code(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	upload.code()
	expectIn(t, upload.Out.String(), `"published":1`)
	if code := reader.code(); code != 0 {
		t.Errorf("the reader was cut off: curl ends with code %d", code)
	}
	checkCount(t, "the reader", reader.Out.Lines(), 1)
}
