package natslog_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// A trio is three servers that are one cluster, and a way to them.
type trio struct {
	*natsserver.Cluster
	*server
}

func startTrio(t testing.TB) *trio {
	t.Helper()
	c := natsserver.StartCluster(t, fast(""))
	return &trio{c, &server{c.Servers[0], t, c.URL() + "?replicas=3"}}
}

// TestClusterIsALog runs the suite of all logs on a stream with three replicas.
func TestClusterIsALog(t *testing.T) {
	t.Parallel()
	s := startTrio(t)
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
	c := startTrio(t)
	ld := nodetest.StartLoad(t, c.pair("goes", sharedlog.Options{Wait: time.Second}))
	ld.More(200)
	first := c.Leader("WEIR_goes")
	first.Kill()
	ld.More(200)
	second := c.Leader("WEIR_goes", first)
	first.Restart()
	ld.More(200)
	second.Pause()
	c.Leader("WEIR_goes", second)
	ld.More(200)
	second.Resume()
	ld.More(200)
	ld.End()
	if es, lost := nodetest.Read(t, c.open("goes", sharedlog.Options{}), 0, "**"); len(es) < ld.Acknowledged() || lost != 0 {
		t.Errorf("a new node has %d messages, lost up to %d; %d were acknowledged", len(es), lost, ld.Acknowledged())
	}

	leader := c.Leader("WEIR_goes")
	e := (&server{leader, t, leader.URL()}).connect("goes", time.Second)
	defer e.Close()
	if _, err := e.Head(t.Context()); err != nil {
		t.Error(err)
	}
	for _, s := range c.Servers {
		if s != leader {
			s.Pause()
		}
	}
	nodetest.Within(t, 9*time.Second, "the leader is not believed", func() bool { // after 10 it steps down by itself
		_, err := e.Head(t.Context())
		return err != nil && strings.Contains(err.Error(), "does not reach most of its replicas")
	})
}
