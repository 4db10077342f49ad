package natsserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/proctest"
)

// A Cluster is three servers, of which any two can do without the third.
type Cluster struct {
	Servers []*Server // named n0, n1 and n2

	t testing.TB
}

// StartCluster starts three servers, and waits until they can make streams of which each
// has a replica. They are killed when the test ends.
func StartCluster(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	ports := []int{proctest.FreePort(), proctest.FreePort(), proctest.FreePort()}
	routes := fmt.Sprintf("[nats://127.0.0.1:%d, nats://127.0.0.1:%d, nats://127.0.0.1:%d]", ports[0], ports[1], ports[2])
	config := o.Config
	for i, port := range ports {
		o.Config = fmt.Sprintf("%s\nserver_name: n%d\ncluster { name: three, listen: \"127.0.0.1:%d\", routes: %s }", config, i, port, routes)
		c.Servers = append(c.Servers, Start(t, o))
	}
	c.await("it makes streams", c.Servers[0], func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "probe", Subjects: []string{"probe"}, Replicas: len(c.Servers)})
		return err
	})
	return c
}

// URL is one for clients, which find a server that runs.
func (c *Cluster) URL() string {
	var hosts []string
	for _, s := range c.Servers {
		hosts = append(hosts, s.Addr())
	}
	return "nats://" + strings.Join(hosts, ",")
}

var errNoLeader = errors.New("no server leads the stream")

// Leader waits until a server leads a stream, and returns it. It does not ask, and does
// not take for the leader, servers that are killed or paused.
func (c *Cluster) Leader(stream string, gone ...*Server) (leader *Server) {
	c.t.Helper()
	i := slices.IndexFunc(c.Servers, func(s *Server) bool { return !slices.Contains(gone, s) })
	c.await("somebody leads "+stream, c.Servers[i], func(ctx context.Context, js jetstream.JetStream) error {
		found, err := js.Stream(ctx, stream)
		if err != nil {
			return err
		}
		info := found.CachedInfo().Cluster
		if info == nil || info.Leader == "" {
			return errNoLeader
		}
		leader = c.Servers[info.Leader[1]-'0']
		if slices.Contains(gone, leader) {
			return errNoLeader
		}
		return nil
	})
	return leader
}

// await asks a server again and again.
func (c *Cluster) await(what string, s *Server, do func(ctx context.Context, js jetstream.JetStream) error) {
	c.t.Helper()
	nc, err := nats.Connect(s.URL())
	if err != nil {
		c.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		c.t.Fatal(err)
	}
	s.Await(c.t, patience, func() error {
		ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
		defer cancel()
		if err := do(ctx, js); err != nil {
			return fmt.Errorf("not %s: %w", what, err)
		}
		return nil
	})
}
