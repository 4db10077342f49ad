package natslog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A flock is three servers that are one cluster.
type flock struct {
	t       testing.TB
	servers []*natsserver.Server // named n0, n1 and n2
}

func startFlock(t testing.TB) *flock {
	t.Helper()
	f := &flock{t: t}
	var ports []int
	var routes []string
	for range 3 {
		port := natsserver.FreePort()
		ports = append(ports, port)
		routes = append(routes, fmt.Sprintf("nats://127.0.0.1:%d", port))
	}
	for i, port := range ports {
		f.servers = append(f.servers, natsserver.Start(t, fast(t, fmt.Sprintf(
			"server_name: n%d\ncluster { name: flock, listen: \"127.0.0.1:%d\", routes: [%s] }\n", i, port, strings.Join(routes, ", ")))))
	}
	within(t, 30*time.Second, "the cluster can make streams", func() bool {
		e, err := f.way().connectErr("probe")
		if err != nil {
			return false
		}
		defer e.Close()
		return e.Create(t.Context(), "aaaaaaaa", "") == nil
	})
	return f
}

// way is how nodes find the cluster.
func (f *flock) way() *server {
	var hosts []string
	for _, s := range f.servers {
		hosts = append(hosts, s.Addr())
	}
	return &server{f.servers[0], f.t, "nats://" + strings.Join(hosts, ",") + "?replicas=3"}
}

// leader returns the server that leads the stream of a log, which is one of those that
// run. others do not.
func (f *flock) leader(name string, others ...*natsserver.Server) (found *natsserver.Server) {
	f.t.Helper()
	i := slices.IndexFunc(f.servers, func(s *natsserver.Server) bool { return !slices.Contains(others, s) })
	s := &server{f.servers[i], f.t, ""}
	within(f.t, 20*time.Second, "the stream has a leader", func() bool {
		s.manage(func(ctx context.Context, js jetstream.JetStream) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			stream, err := js.Stream(ctx, "WEIR_"+name)
			if err != nil || stream.CachedInfo().Cluster == nil || stream.CachedInfo().Cluster.Leader == "" {
				return nil // not yet
			}
			found = f.servers[stream.CachedInfo().Cluster.Leader[1]-'0']
			return nil
		})
		return found != nil && !slices.Contains(others, found)
	})
	return found
}

// TestClusterIsALog runs the suite of all logs on a stream with three replicas.
func TestClusterIsALog(t *testing.T) {
	t.Parallel()
	s := startFlock(t).way()
	n := 0
	logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
		n++
		return s.at(t, s.url).open(fmt.Sprint(n), sharedlog.Options{History: o, HotBytes: 1})
	})
}

// TestNothingIsLostWhenTheLeaderGoes kills the leader of the stream under load, and then
// pauses the next, which does not know that it leads no more when it goes on. At last it
// pauses the two that follow: a leader that is alone is not believed.
func TestNothingIsLostWhenTheLeaderGoes(t *testing.T) {
	t.Parallel()
	f := startFlock(t)
	ld := startLoad(t, f.way().pair("goes", sharedlog.Options{Wait: time.Second}))
	ld.more(200)
	first := f.leader("goes")
	first.Kill()
	ld.more(200)
	second := f.leader("goes", first)
	first.Restart()
	ld.more(200)
	second.Pause()
	f.leader("goes", second)
	ld.more(200)
	second.Resume()
	ld.more(200)
	ld.end()
	if es, lost := read(t, f.way().open("goes", sharedlog.Options{}), 0, "**"); len(es) < len(ld.sure) || lost != 0 {
		t.Errorf("a new node has %d messages, lost up to %d; %d were acknowledged", len(es), lost, len(ld.sure))
	}

	leader := f.leader("goes")
	e := (&server{leader, t, leader.URL()}).connect("goes", time.Second)
	defer e.Close()
	if _, err := e.Head(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range f.servers {
		if s != leader {
			s.Pause()
		}
	}
	within(t, 9*time.Second, "the leader is not believed", func() bool { // after 10 it steps down by itself
		_, err := e.Head(t.Context())
		return err != nil && strings.Contains(err.Error(), "does not reach most of its replicas")
	})
}
