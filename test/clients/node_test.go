package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// npmPackages is where the clients from npm are, once they have been looked for.
var npmPackages struct {
	once sync.Once
	dir  string
	err  error
}

// nodeModules returns the directory with the packages that test/node pins. If
// they are not installed there, they are installed for this run.
func nodeModules(t *testing.T) string {
	t.Helper()
	npm := proctest.Need(t, "npm")
	npmPackages.once.Do(func() { npmPackages.dir, npmPackages.err = findNodeModules(npm) })
	if npmPackages.err != nil {
		t.Fatalf("packages of test/node: %v; \"go run ./test\" in the repository's root installs them", npmPackages.err)
	}
	return npmPackages.dir
}

func findNodeModules(npm string) (string, error) {
	source, err := filepath.Abs(filepath.Join("..", "node"))
	if err != nil {
		return "", err
	}
	there := filepath.Join(source, "node_modules")
	if installed(there, "eventsource", "vitest", filepath.Join("@durable-streams", "server-conformance-tests")) {
		return there, nil
	}
	dir := filepath.Join(scratch, "node")
	if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
		return "", err
	}
	install := exec.Command(npm, "ci", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm ci: %w\n%s", err, out)
	}
	return filepath.Join(dir, "node_modules"), nil
}

func installed(dir string, packages ...string) bool {
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

// A script is a program in Node.js that prints records.
type script struct{ *program }

func startScript(t *testing.T, args ...string) script {
	t.Helper()
	args[0] = filepath.Join("testdata", args[0])
	return script{start(t, append([]string{proctest.Need(t, "node")}, args...)...)}
}

// records returns all there is of some kinds.
func (s script) records(kinds ...string) []record {
	s.t.Helper()
	var some []record
	for _, line := range s.Out.Lines() {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Fatalf("%s printed %q: %v", s.Name, line, err)
		}
		if slices.Contains(kinds, r.Kind) {
			some = append(some, r)
		}
	}
	return some
}

func (s script) await(n int, kinds ...string) []record {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d of %v", n, kinds), func() error {
		if got := len(s.records(kinds...)); got < n {
			return fmt.Errorf("there are %d", got)
		}
		return nil
	})
	return s.records(kinds...)
}

// readsAndResumes is what both clients of Node.js must do. The script reads topic
// a of s over p and knows events of type price.
func readsAndResumes(t *testing.T, s *server, p *proxy, c script) {
	t.Helper()
	c.await(1, "open")
	plain := s.publish("a", "水坝\n🌊", "")
	price := s.publish("a", `{"eur":17}`, "type=price")
	var got []string
	for _, r := range c.await(2, "message", "event") {
		got = append(got, r.String())
	}
	want := []string{fmt.Sprintf("message message %q %s", "水坝\n🌊", plain), fmt.Sprintf("event price %q %s", `{"eur":17}`, price)}
	if !slices.Equal(got, want) {
		t.Errorf("the client got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	p.allow(budgets...)
	p.cut()
	s.trickle("a", 100, 5*time.Millisecond)
	c.await(102, "message", "event")
	checkCount(t, "the client", data(c.records("message", "event")[2:]), 100)
	requests := p.requests()
	if got := requests[1].field("Last-Event-ID"); got != price {
		t.Errorf("the first return asks to go on after %q, want %q", got, price)
	}
}

func TestNpmEventSourceResumes(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t)
	s := serve(t, "--stream.retry", "100ms")
	p := newProxy(t, s.addr)
	readsAndResumes(t, s, p, startScript(t, "eventsource.cjs", modules, p.url+"/v1/topics/a", "price", "weir.gap"))
}

func TestNodeFetchResumes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	p := newProxy(t, s.addr)
	c := startScript(t, "fetch.mjs", p.url+"/v1/topics/a")
	readsAndResumes(t, s, p, c)
	if got := c.records("open")[0].Data; got != "200 text/event-stream" {
		t.Errorf("fetch sees %q", got)
	}
}

func TestNpmEventSourceComesBackAfterARestart(t *testing.T) {
	t.Parallel()
	modules := nodeModules(t)
	s := serve(t, "--stream.retry", "100ms", "--drain.window", "100ms")
	c := startScript(t, "eventsource.cjs", modules, s.topicURL("a"), "weir.gap")
	c.await(1, "open")
	seen := s.publish("a", "1", "")
	c.await(1, "message")
	s.terminate()
	c.await(1, "error")
	s = s.restart()
	s.publish("a", "2", "")
	c.await(2, "message")
	checkCount(t, "the client", data(c.records("message")), 2)
	if g := onlyGap(t, c.await(1, "event")); g.Reason != "foreign" || g.Requested != seen {
		t.Errorf("gap %+v, want that %s is foreign", g, seen)
	}
}
