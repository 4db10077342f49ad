package redisserver

import (
	"fmt"
	"strings"
	"testing"
)

// A Watched server has a replica, which Sentinel puts in its place when it does not
// answer for a second.
type Watched struct {
	*Server
	Replica  *Server
	Sentinel *Server
}

// StartWatched starts the three, and waits until they know each other. They are killed
// when the test ends.
func StartWatched(t testing.TB, o Options) *Watched {
	t.Helper()
	w := &Watched{Server: Start(t, o)}
	host, port, _ := strings.Cut(w.Addr(), ":")
	o.Args = append([]string{"--replicaof", host + " " + port}, o.Args...)
	w.Replica = Start(t, o)
	w.Sentinel = launch(t, "sentinel monitor weir "+host+" "+port+" 1\nsentinel down-after-milliseconds weir 1000\nsentinel failover-timeout weir 3000\n", []string{"--sentinel"})
	w.await(func() bool { return strings.Contains(w.Info("replication"), "state=online") })
	w.await(func() bool { // later than that
		w.Do("SET", "probe", "1")
		return w.Replica.Do("EXISTS", "probe") == "1"
	})
	w.await(func() bool { return strings.Contains(w.Sentinel.Info("sentinel"), "slaves=1") })
	return w
}

// URL is that of who is in charge, by what Sentinel says.
func (w *Watched) URL() string { return "redis+sentinel://" + w.Sentinel.Addr() + "/weir" }

func (w *Watched) await(ok func() bool) {
	w.t.Helper()
	w.Await(w.t, patience, func() error {
		if !ok() {
			return fmt.Errorf("the replica is not in sync: %s\n%s", w.Info("replication"), w.Sentinel.Info("sentinel"))
		}
		return nil
	})
}
