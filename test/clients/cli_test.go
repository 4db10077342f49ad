package clients_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// sub starts "weir sub".
func sub(t *testing.T, address string, args ...string) *program {
	t.Helper()
	return start(t, append([]string{weirPath, "sub", "--server", address}, args...)...)
}

func TestGrowingLogIsFollowedAcrossRotation(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader := sub(t, s.url, "--since", "start", "logs")
	log := growingLog(t, s, "logs")
	log.append(1, 50)
	reader.awaitLines(50)
	if err := os.Rename(log.path, log.path+".1"); err != nil {
		t.Fatal(err)
	}
	log.append(51, 80) // a new file of the old name
	reader.awaitLines(80)
	log.append(81, 81)
	reader.awaitLines(81)
	checkCount(t, "weir sub", reader.Out.Lines(), 81)
}

// machineFigures is a command that prints figures of the machine for two seconds.
func machineFigures() string {
	if _, err := exec.LookPath("vmstat"); err == nil {
		return "vmstat 1 3"
	}
	return "for i in 1 2 3; do cat /proc/loadavg; sleep 1; done"
}

func TestOutputOfARunningCommandIsReadLive(t *testing.T) {
	t.Parallel()
	s := serve(t)
	readers := []*program{
		sub(t, s.url, "--since", "start", "vmstat"),
		curl(t, "-H", "Accept: text/plain", s.topicURL("vmstat")+"?since=start"),
	}
	copied := filepath.Join(t.TempDir(), "copy")
	pipeline := start(t, proctest.Need(t, "sh"), "-c", "("+machineFigures()+`) | tee "$1" | "$2" pub --server "$3" vmstat`, "sh", copied, weirPath, s.url)
	for _, r := range readers {
		r.awaitLines(1)
	}
	select {
	case <-pipeline.Done():
		t.Error("the first line arrived only when the command had ended")
	default:
	}
	if code := pipeline.code(); code != 0 {
		t.Errorf("the pipeline ends with code %d", code)
	}
	text, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, r := range readers {
		if got := r.awaitLines(len(want)); !slices.Equal(got, want) {
			t.Errorf("%s printed\n%s\nwant\n%s", r.Name, strings.Join(got, "\n"), text)
		}
	}
	expectIn(t, pipeline.Err.String(), fmt.Sprintf("%d published in ", len(want)))
}

func TestSubPrintsJSONWithTopics(t *testing.T) {
	t.Parallel()
	s := serve(t)
	plain := sub(t, s.url, "--since", "start", "--count", "2", "orders/*", "b")
	lines := sub(t, s.url, "--since", "start", "--count", "2", "--json", "orders/*", "b")
	id := s.publish("orders/水", "one\ntwo", "type=price&key=k")
	s.publish("b", "three", "")
	for _, p := range []*program{plain, lines} {
		if code := p.code(); code != 0 {
			t.Errorf("%s ends with code %d", p.Name, code)
		}
	}
	if got, want := plain.Out.String(), "orders/水  one\n          two\nb  three\n"; got != want {
		t.Errorf("sub printed %q, want %q", got, want)
	}
	var got struct{ ID, Topic, Type, Key, Time, Data string }
	first := lines.Out.Lines()[0]
	if err := json.Unmarshal([]byte(first), &got); err != nil {
		t.Fatalf("sub --json printed %q: %v", first, err)
	}
	if _, err := time.Parse(time.RFC3339, got.Time); err != nil || got.ID != id || got.Topic != "orders/水" || got.Type != "price" || got.Key != "k" || got.Data != "one\ntwo" {
		t.Errorf("sub --json printed %s, %v", first, err)
	}
}

func TestSubResumesOverABrokenNetwork(t *testing.T) {
	t.Parallel()
	s := serve(t)
	p := newProxy(t, s.addr)
	p.allow(900, 1, 2000, 500, 3500)
	reader := sub(t, p.url, "--since", "start", "a")
	s.trickle("a", 200, 5*time.Millisecond)
	checkCount(t, "weir sub", reader.awaitLines(200), 200)
	reader.signal(syscall.SIGTERM)
	if code := reader.code(); code != 130 {
		t.Errorf("sub ends with code %d after a signal, want 130", code)
	}
	expectIn(t, reader.Err.String(), "trying again", "connected again")
	if strings.Contains(reader.Err.String(), "GAP") || p.exhaustions() < 3 {
		t.Errorf("%d connections were cut, and sub said\n%s", p.exhaustions(), reader.Err)
	}
}

func TestSubGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	s := serve(t, "--drain.window", "0s")
	plain := sub(t, s.url, "--since", "start", "a")
	lines := sub(t, s.url, "--since", "start", "--json", "a")
	s.publishNumbers("a", 1, 20)
	plain.awaitLines(20)
	lines.awaitLines(20)
	s.terminate()
	s = s.restart()
	s.publishNumbers("a", 21, 25)
	checkCount(t, "weir sub", plain.awaitLines(25), 25)
	plain.awaitText(plain.Err, "GAP: messages may be lost (foreign)")
	if got := lines.awaitLines(26)[20]; !strings.HasPrefix(got, `{"gap":{"reason":"foreign"`) {
		t.Errorf("sub --json printed %s where the server was restarted, want a gap", got)
	}
}

// awaitAnswers waits until answers that say that n lines are published have come
// over the proxy.
func awaitAnswers(t *testing.T, p *proxy, n int) {
	t.Helper()
	await(t, "answers", func() error {
		sum := 0
		for _, m := range regexp.MustCompile(`"published":(\d+),`).FindAllStringSubmatch(p.answers.String(), -1) {
			lines, _ := strconv.Atoi(m[1])
			sum += lines
		}
		if sum != n {
			return fmt.Errorf("%d lines are published, want %d", sum, n)
		}
		return nil
	})
}

func TestPubSurvivesABrokenNetwork(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader := sub(t, s.url, "--since", "start", "a")
	p := newProxy(t, s.addr)
	pub := start(t, weirPath, "pub", "--server", p.url, "a")
	write := func(from, to int) {
		for i := from; i <= to; i++ {
			pub.write(fmt.Sprintln(i))
		}
	}
	write(1, 50)
	awaitAnswers(t, p, 50)
	p.setDown(true)
	write(51, 150)
	pub.awaitText(pub.Err, "trying again")
	p.setDown(false)
	write(151, 200)
	pub.In.Close()
	if code := pub.code(); code != 0 {
		t.Errorf("pub ends with code %d", code)
	}
	// No request was under way when the network broke, so nothing is doubled.
	checkCount(t, "the server", reader.awaitLines(200), 200)
	expectIn(t, pub.Err.String(), "200 published in ")
}

func TestPubDoublesNothingWhenAnswersAreLost(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader := sub(t, s.url, "--since", "start", "a")
	p := newProxy(t, s.addr)
	p.allow(1, 10, 1) // of the answers: what they begin with
	pub := start(t, weirPath, "pub", "--server", p.url, "a")
	for i := 1; i <= 100; i++ {
		pub.write(fmt.Sprintln(i))
	}
	pub.In.Close()
	if code := pub.code(); code != 0 {
		t.Errorf("pub ends with code %d", code)
	}
	expectIn(t, pub.Err.String(), "trying again", "100 published in ")
	s.publish("a", "101", "")
	checkCount(t, "the server", reader.awaitLines(101), 101)
	if n := p.exhaustions(); n != 3 {
		t.Errorf("%d answers were lost, want 3", n)
	}
}

func TestPubPublishesFromItsArguments(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader := sub(t, s.url, "--since", "start", "--json", "a")
	pub := start(t, weirPath, "pub", "--server", s.url, "--type", "t", "--key", "k", "--id", "my-own", "a", "hello")
	if code := pub.code(); code != 0 || pub.Out.String() != "my-own\n" {
		t.Errorf("pub ends with code %d and prints %q", code, pub.Out)
	}
	lines := start(t, weirPath, "pub", "--server", s.url, "--json")
	lines.write(`{"topic":"a","data":{"n":1}}` + "\n")
	lines.In.Close()
	if code := lines.code(); code != 0 {
		t.Errorf("pub --json ends with code %d", code)
	}
	got := strings.Join(reader.awaitLines(2), "\n")
	expectIn(t, got, `"id":"my-own"`, `"type":"t"`, `"key":"k"`, `"data":"hello"`, `"data":"{\"n\":1}"`)
}
