package server_test

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/redisserver"
)

// An engine is a kind of server that can keep the log of several nodes.
type engine struct {
	name    string
	one     func(t *testing.T) keeper
	several func(t *testing.T) flock
}

// A keeper is one server.
type keeper interface {
	Addr() string
	scheme() string // of URLs: "redis://"
	Kill()
	Restart()
	Pause()
	Resume()
	fill() // until free it has no room for anything
	free()
}

// A flock is several servers that stand in for each other.
type flock interface {
	log() string // URL for nodes
	killLeader()
}

var engines = []engine{
	{
		name: "Redis",
		one: func(t *testing.T) keeper {
			return redisKeeper{redisserver.Start(t, redisserver.Options{})}
		},
		several: func(t *testing.T) flock {
			return redisFlock{redisserver.StartWatched(t, redisserver.Options{})}
		},
	},
	{
		name: "NATS",
		one: func(t *testing.T) keeper {
			return natsKeeper{natsserver.Start(t, natsserver.Options{Lazy: true, Config: natsConfig}), t}
		},
		several: func(t *testing.T) flock {
			return natsFlock{natsserver.StartCluster(t, natsserver.Options{Lazy: true, Config: natsConfig})}
		},
	},
}

const natsConfig = "max_payload: 2MB" // so that hub.max-message fits

type redisKeeper struct{ *redisserver.Server }

func (redisKeeper) scheme() string { return "redis://" }
func (k redisKeeper) fill()        { k.Do("CONFIG", "SET", "maxmemory", "1") }
func (k redisKeeper) free()        { k.Do("CONFIG", "SET", "maxmemory", "0") }

type redisFlock struct{ *redisserver.Watched }

func (f redisFlock) log() string { return f.URL() }
func (f redisFlock) killLeader() { f.Kill() }

type natsKeeper struct {
	*natsserver.Server
	t *testing.T
}

func (natsKeeper) scheme() string { return "nats://" }
func (k natsKeeper) fill()        { k.limit(1) }
func (k natsKeeper) free()        { k.limit(-1) }

// limit changes how many bytes the stream of the log may have.
func (k natsKeeper) limit(bytes int64) {
	k.t.Helper()
	nc, err := nats.Connect(k.URL())
	if err != nil {
		k.t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		k.t.Fatal(err)
	}
	stream, err := js.Stream(k.t.Context(), "WEIR_test")
	if err != nil {
		k.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxBytes = bytes
	if _, err := js.UpdateStream(k.t.Context(), config); err != nil {
		k.t.Fatal(err)
	}
}

type natsFlock struct{ *natsserver.Cluster }

func (f natsFlock) log() string { return f.URL() + "?replicas=3" }
func (f natsFlock) killLeader() { f.Leader("WEIR_test").Kill() }
