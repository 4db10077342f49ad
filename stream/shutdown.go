package stream

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/weirstream/weir/internal/loop"
)

// Stop stops srv like its method Shutdown, and returns when its streams have
// sent their last bytes and are closed. Srv.Shutdown also ends them, but does not
// wait: a program that exits then cuts them off. The error is that of ctx if it
// ends before.
func Stop(ctx context.Context, srv *http.Server) error {
	err := srv.Shutdown(ctx)
	for tick := time.Millisecond; err == nil && endStreams(srv) > 0; tick = min(2*tick, 100*time.Millisecond) {
		select {
		case <-ctx.Done():
			err = ctx.Err()
		case <-time.After(tick):
		}
	}
	return err
}

// endStreams ends the streams of srv, also those opened by requests that were on
// their way when it stopped. It returns how many there are.
func endStreams(srv *http.Server) (n int) {
	servers.Lock()
	var engines []*Engine
	for key := range servers.seen {
		if key.server.Value() == srv {
			engines = append(engines, key.engine)
		}
	}
	servers.Unlock()
	for _, e := range engines {
		n += e.endServer(srv)
	}
	return n
}

// servers remembers whose Shutdown already ends the streams of an engine. It
// does not keep a server alive.
var servers struct {
	sync.Mutex
	seen map[serverKey]*home // guarded by Mutex
}

type serverKey struct {
	server weak.Pointer[http.Server]
	engine *Engine
}

// A home is where streams came from: one server, for one engine.
type home struct{ down atomic.Bool } // the server is shutting down

// home makes srv.Shutdown end the streams that come from srv: net/http does not
// know connections that were taken from it. It is called before the client can
// know of its stream.
func (e *Engine) home(srv *http.Server) *home {
	if srv == nil {
		return new(home)
	}
	key := serverKey{weak.Make(srv), e}
	servers.Lock()
	defer servers.Unlock()
	if known := servers.seen[key]; known != nil {
		return known
	}
	if servers.seen == nil {
		servers.seen = make(map[serverKey]*home)
	}
	from := new(home)
	servers.seen[key] = from
	runtime.AddCleanup(srv, forgetServer, key)
	srv.RegisterOnShutdown(func() {
		from.down.Store(true) // streams that open from now on end at once
		e.endServer(key.server.Value())
	})
	return from
}

func forgetServer(key serverKey) {
	servers.Lock()
	defer servers.Unlock()
	delete(servers.seen, key)
}

// endServer ends the streams that came from srv, and returns how many there are.
func (e *Engine) endServer(srv *http.Server) int {
	var open atomic.Int64 // the loops run at once
	e.Each(func(c *Conn) {
		if c.server == srv {
			open.Add(1)
			c.io.End(loop.Shutdown)
		}
	})
	e.parked.close(srv)
	return int(open.Load())
}
