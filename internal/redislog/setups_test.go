package redislog_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// openURL opens a log as a new node, with a URL.
func openURL(t *testing.T, url, name string, o sharedlog.Options) *sharedlog.Log {
	t.Helper()
	e, err := redislog.Connect(t.Context(), redislog.Options{URL: url, Name: name, Wait: o.Wait})
	if err != nil {
		t.Fatal(err)
	}
	l, err := sharedlog.Open(t.Context(), e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestClusterIsALog runs the suite of all logs on a Redis Cluster of one server.
func TestClusterIsALog(t *testing.T) {
	s := startServer(t, "--cluster-enabled", "yes")
	if got := s.Do("CLUSTER", "ADDSLOTSRANGE", "0", "16383"); got != "OK" {
		t.Fatalf("ADDSLOTSRANGE = %q", got)
	}
	nodetest.Within(t, 10*time.Second, "the cluster is up", func() bool { return s.Do("SET", "x", "1") == "OK" })
	n := 0
	logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
		n++
		return openURL(t, s.URL(), fmt.Sprint(n), sharedlog.Options{History: o, HotBytes: 1})
	})
}

// TestFailoverLosesNothingThatANodeHasSeen kills the server under load while its replica
// lags behind. Sentinel makes the replica the new server.
func TestFailoverLosesNothingThatANodeHasSeen(t *testing.T) {
	w := redisserver.StartWatched(t, redisserver.Options{Bare: true})
	var logged notes
	o := sharedlog.Options{Wait: time.Second, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	ld := nodetest.StartLoad(t, [2]*sharedlog.Log{openURL(t, w.URL(), "failover", o), openURL(t, w.URL(), "failover", o)})
	ld.More(200)
	w.Replica.Pause() // it gets nothing from now on
	w.Do("CLIENT", "KILL", "TYPE", "replica")
	ld.More(200)
	w.Kill()
	w.Replica.Resume()
	ld.More(200)
	ld.End()
	if !strings.Contains(logged.String(), "put them back") || strings.Contains(logged.String(), "anew") {
		t.Errorf("no node has put messages back, or some were lost:\n%s", logged.String())
	}
	if es, _ := nodetest.Read(t, openURL(t, w.URL(), "failover", o), 0, "**"); len(es) < ld.Acknowledged() {
		t.Errorf("the new server has %d messages, %d were acknowledged", len(es), ld.Acknowledged())
	}
}

// notes are what was logged. Several goroutines may write.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

func TestURLsAreChecked(t *testing.T) {
	for url, want := range map[string]string{
		"http://localhost":                `scheme "http"`,
		"localhost:6379":                  `scheme "localhost"`,
		"redis://":                        `host ""`,
		"redis://u:secret@localhost/a":    `path "/a"`,
		"redis://localhost/0/1":           `path "/0/1"`,
		"redis+sentinel://localhost":      "does not name the master",
		"redis://u:secret@local host\x7f": "cannot be read",
	} {
		_, err := redislog.Connect(t.Context(), redislog.Options{URL: url})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("Connect(%q) = %v, want an error with %q and no password", url, err, want)
		}
	}
}

// TestSettingsThatCostMessagesAreLogged has a server without a log of its own, that may
// evict what it likes.
func TestSettingsThatCostMessagesAreLogged(t *testing.T) {
	for want, o := range map[string]redisserver.Options{
		"appendonly off": {Bare: true},
		"noeviction":     {Args: []string{"--maxmemory-policy", "allkeys-lru"}},
		"":               {},
	} {
		s := startWith(t, o)
		var logged notes
		e, err := redislog.Connect(t.Context(), redislog.Options{URL: s.URL(), Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		if err != nil {
			t.Fatal(err)
		}
		e.Close()
		if got := logged.String(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("with %+v: logged %q, want %q", o, got, want)
		}
	}
}

// TestPasswordAndDatabase uses a server with a password, and two databases.
func TestPasswordAndDatabase(t *testing.T) {
	s := startServer(t)
	s.Do("CONFIG", "SET", "requirepass", "secret")
	if _, err := redislog.Connect(t.Context(), redislog.Options{URL: s.URL()}); err == nil {
		t.Error("Connect without the password succeeds")
	}
	a := openURL(t, "redis://:secret@"+s.Addr(), "x", sharedlog.Options{})
	b := openURL(t, "redis://:secret@"+s.Addr()+"/1", "x", sharedlog.Options{})
	nodetest.Add(t, a, nodetest.Message("a", "1"))
	if err := b.Sync(t.Context()); err != nil || b.Head() != 0 || a.Epoch() == b.Epoch() {
		t.Errorf("database 1 has head %d (%v), epoch %q; want 0, another than %q", b.Head(), err, b.Epoch(), a.Epoch())
	}
}
