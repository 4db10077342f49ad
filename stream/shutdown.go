package stream

import (
	"net/http"
	"runtime"
	"sync"
	"weak"

	"github.com/weirstream/weir/internal/loop"
)

// servers remembers whose Shutdown already ends the streams of an engine. It
// does not keep a server alive.
var servers struct {
	sync.Mutex
	seen map[serverKey]struct{} // guarded by Mutex
}

type serverKey struct {
	server weak.Pointer[http.Server]
	engine *Engine
}

// watchShutdown makes srv.Shutdown end the streams that came from srv. net/http
// does not know connections that were taken from it.
func (e *Engine) watchShutdown(srv *http.Server) {
	if srv == nil {
		return
	}
	key := serverKey{weak.Make(srv), e}
	servers.Lock()
	defer servers.Unlock()
	if _, ok := servers.seen[key]; ok {
		return
	}
	if servers.seen == nil {
		servers.seen = make(map[serverKey]struct{})
	}
	servers.seen[key] = struct{}{}
	runtime.AddCleanup(srv, forgetServer, key)
	srv.RegisterOnShutdown(func() { e.endServer(key.server.Value()) })
}

func forgetServer(key serverKey) {
	servers.Lock()
	defer servers.Unlock()
	delete(servers.seen, key)
}

// endServer ends the streams that came from srv.
func (e *Engine) endServer(srv *http.Server) {
	e.loops.Each(func(lc *loop.Conn) {
		if c, ok := lc.Owner().(*Conn); ok && c.server == srv {
			lc.End(loop.Shutdown)
		}
	})
	e.parked.close(srv)
}
