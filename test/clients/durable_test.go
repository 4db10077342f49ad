package clients_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
	"github.com/weirstream/weir/internal/redisserver"
)

// exceptions are cases of the conformance tests of Durable Streams that weir does not
// pass, and groups of cases that are not run, with the reason. Each is in
// docs/durable-streams.md.
var exceptions = map[string]string{
	"Reserved subscription APIs": "an optional part of the protocol, which weir does not have",
}

// suitePatience bounds the suite, which waits for deadlines for most of its time.
const suitePatience = 5 * time.Minute

// A suiteCase is one case in the report of vitest.
type suiteCase struct {
	FullName        string
	Status          string // "passed", "failed", or else not run
	FailureMessages []string
}

// except returns the reason why a case need not pass, or "".
func (c suiteCase) except() string {
	for name, reason := range exceptions {
		if c.FullName == name || strings.HasPrefix(c.FullName, name+" ") {
			return reason
		}
	}
	return ""
}

// TestDurableStreamsConformance runs the protocol's own tests. It is alone on the
// machine as far as this package can see to it: they measure time.
func TestDurableStreamsConformance(t *testing.T) {
	checkSuite(t, serve(t, suiteSettings...).url)
}

// suiteSettings are those of a server that the conformance tests are run against.
var suiteSettings = []string{"--durable-streams-prefix", "/v1/stream/", "--durable-streams-wait", "1s", "--cors.origins", "https://example.com"}

// TestDurableStreamsConformanceOnTwoNodes runs the same with two servers that share a log:
// each request goes to the one that has not got the last.
func TestDurableStreamsConformanceOnTwoNodes(t *testing.T) {
	log := redisserver.Start(t, redisserver.Options{}).URL()
	var nodes []*url.URL
	for range 2 {
		node, err := url.Parse(serve(t, append([]string{"--log", log}, suiteSettings...)...).url)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	var requests atomic.Int64
	balancer := httptest.NewServer(&httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(nodes[requests.Add(1)%2])
		r.Out.Host = r.In.Host
	}})
	defer balancer.Close()
	checkSuite(t, balancer.URL)
}

// checkSuite runs the conformance tests against a server, or what stands in front of some.
func checkSuite(t *testing.T, url string) {
	t.Helper()
	cases := runSuite(t, url)
	passed := 0
	for _, c := range cases {
		reason := c.except()
		switch {
		case c.Status == "passed" && reason != "":
			t.Errorf("%s passes, but is an exception: %s", c.FullName, reason)
		case c.Status == "passed":
			passed++
		case reason == "":
			t.Errorf("%s: %s\n%s", c.FullName, c.Status, strings.Join(c.FailureMessages, "\n"))
		}
	}
	if passed < 332 {
		t.Errorf("%d of %d cases have passed, want 332", passed, len(cases))
	}
}

// runSuite runs the conformance tests against a server.
func runSuite(t *testing.T, url string) (cases []suiteCase) {
	t.Helper()
	modules := nodeModules(t)
	report := filepath.Join(t.TempDir(), "report.json")
	p := launch(t, proctest.Launch{Dir: filepath.Dir(modules), Env: []string{"WEIR_TEST_URL=" + url}, Args: []string{
		proctest.Need(t, "node"), filepath.Join(modules, "vitest", "vitest.mjs"), "run", "--root", filepath.Dir(modules),
		"durable.test.mjs", "--testTimeout=60000", "--reporter=json", "--outputFile=" + report,
	}})
	select {
	case <-p.Done(): // it fails if a case does: the report says which
	case <-time.After(suitePatience):
		t.Fatalf("the conformance tests have not ended after %v", suitePatience)
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("the conformance tests have left no report: %v", err)
	}
	var result struct {
		TestResults []struct {
			Message          string
			AssertionResults []suiteCase
		}
	}
	if err := json.Unmarshal(b, &result); err != nil || len(result.TestResults) != 1 {
		t.Fatalf("the report of the conformance tests: %v\n%s", err, proctest.Tail(string(b)))
	}
	return result.TestResults[0].AssertionResults
}

// TestDurableStreamSurvivesAKill kills the server between an append and its repetition.
func TestDurableStreamSurvivesAKill(t *testing.T) {
	t.Parallel()
	s := serve(t, "--data", t.TempDir())
	do := func(method, query, body string, header ...string) (status int, next, answer string) {
		t.Helper()
		r, err := http.NewRequest(method, s.url+"/v1/streams/jobs/7"+query, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range header {
			name, value, _ := strings.Cut(line, ": ")
			r.Header.Set(name, value)
		}
		resp, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Stream-Next-Offset"), string(b)
	}
	const jsn = "Content-Type: application/json"
	if status, _, body := do("PUT", "", "", jsn, "Stream-TTL: 3600"); status != 201 {
		t.Fatalf("create: %d %s", status, body)
	}
	var offset string
	for i := range 5 {
		for _, want := range []int{200, 204} { // new, and again after the kill
			status, next, body := do("POST", "", fmt.Sprintf(`{"n":%d}`, i), jsn, "Producer-Id: p", "Producer-Epoch: 0", fmt.Sprint("Producer-Seq: ", i))
			if status != want {
				t.Fatalf("append %d: %d %s, want %d", i, status, body, want)
			}
			offset = next
			if want == 200 {
				s = s.restart()
			}
		}
	}
	if _, next, body := do("GET", "", ""); body != `[{"n":0},{"n":1},{"n":2},{"n":3},{"n":4}]` || next != offset {
		t.Errorf("the stream is %s and ends at %s, want five numbers, and %s", body, next, offset)
	}
	if _, _, body := do("GET", "?offset="+offset, ""); body != "[]" {
		t.Errorf("after its end comes %s", body)
	}
}
