// Package server makes one running server of all parts.
//
// [New] checks the settings and builds the parts, [Server.Start] binds every
// listener, [Server.Run] serves until its context ends and then drains. It is the
// only package that knows all parts.
//
//	listeners -> http.Server -> route -> native handler, page -> hub -> log
//	                                         one engine of loops  <- hub
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/presence"
	"github.com/weirstream/weir/internal/protocol/durable"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/internal/proxy"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/tracing"
	"github.com/weirstream/weir/internal/webhook"
	"github.com/weirstream/weir/stream"
)

// A Server serves one hub on its listeners.
type Server struct {
	settings *config.Settings
	log      *slog.Logger

	// Messages.
	store  store
	disk   *disklog.Log   // store, if it is on disk; else nil
	shared *sharedlog.Log // store, if several nodes share it; else nil
	hub    *hub.Hub
	engine *stream.Engine

	// Who may do what.
	guard    *guard // guarded by changing
	gate     *gate.Gate
	slots    *limit.Slots    // of streams
	tickets  *access.Tickets // nil: none are issued
	revoked  *access.Revoked // nil: there is no access control
	memory   *limit.Memory
	trusted  *proxy.Trusted // proxies that are believed
	certs    *certs.Store   // nil: no TLS
	changing sync.Mutex
	reload   func() error // nil: settings are not read again

	// What answers requests.
	native  *native.Handler
	durable *durable.Handler        // nil: the protocol is not served
	hooks   map[string]http.Handler // feeds that are webhooks, by name
	page    http.Handler            // nil: no page

	// What works by itself, and how it is stopped, set by Run.
	feeds        []*feed.Feed
	stopFeeds    func()
	presence     *presence.Presence // nil: nobody wants to know who reads what
	stopPresence func()
	webhooks     []*webhook.Hook
	stopWebhooks func()

	// What is counted and told.
	traffic traffic
	visits  accessLog
	tracer  *tracing.Tracer                   // nil: no traces
	highest struct{ delivered, bytes rising } // of what was told to Prometheus; guarded by changing

	listeners  []bound
	sockets    *sockets
	background sync.WaitGroup
	draining   func()      // is told when Run begins to drain; may be nil
	failed     atomic.Bool // the log has failed
	broken     chan error  // capacity 1: the log has failed
}

// A bound listener, and the HTTP server that accepts from it.
type bound struct {
	config.Listener
	net  net.Listener
	http *http.Server
}

// Start binds every listener, or none.
func (s *Server) Start() error {
	for _, l := range s.settings.Listen {
		ln, err := s.listen(l)
		if err != nil {
			s.closeListeners()
			s.listeners = nil
			return fmt.Errorf("listen on %s: %w", l, err)
		}
		s.listeners = append(s.listeners, bound{Listener: l, net: ln, http: s.httpServer(l)})
	}
	return nil
}

// A Listener is an address that is being served.
type Listener struct{ Name, URL, Handler string }

// Listeners describes what Start has bound.
func (s *Server) Listeners() []Listener {
	var ls []Listener
	for _, b := range s.listeners {
		url := "http://" + b.net.Addr().String()
		if b.TLS {
			url = "https://" + b.net.Addr().String()
		}
		if b.Network == "unix" {
			url = "unix:" + b.Address
		}
		ls = append(ls, Listener{Name: b.Name, URL: url, Handler: b.Handler})
	}
	return ls
}

// Run serves until ctx ends or a listener fails, then drains, and returns when
// every goroutine of the server has ended. That ctx ended is no error, whatever
// its cause.
func (s *Server) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.background.Go(func() { s.trimMemory(ctx) })
	s.background.Go(func() { s.watchUse(ctx) })
	s.background.Go(func() { s.sweepAccess(ctx) })
	if s.certs != nil {
		s.background.Go(func() { s.certs.Watch(ctx) })
	}
	if s.durable != nil {
		s.durable.Start()
	}
	if s.page != nil && s.shared == nil { // the figures are those of one server
		s.background.Go(func() { s.publishStats(ctx) })
	}
	s.stopPresence = s.runPresence()
	s.stopWebhooks = s.runWebhooks()
	s.stopFeeds = s.runFeeds()
	failed := make(chan error, len(s.listeners))
	for _, b := range s.listeners {
		s.background.Go(func() {
			if err := b.serve(); ctx.Err() == nil {
				failed <- fmt.Errorf("serve %s: %w", b.Listener, err)
			}
		})
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		stop()
	case err = <-s.broken:
		stop()
	}
	s.drain()
	s.background.Wait()
	return err
}

func (b *bound) serve() error {
	if b.TLS {
		return b.http.ServeTLS(b.net, "", "")
	}
	return b.http.Serve(b.net)
}

func (s *Server) closeListeners() {
	for _, b := range s.listeners {
		b.net.Close()
	}
}
