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
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dashboard"
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
	settings     *config.Settings
	log          *slog.Logger
	engine       *stream.Engine
	store        store
	disk         *disklog.Log   // store, if it is on disk; else nil
	shared       *sharedlog.Log // store, if several nodes share it; else nil
	feeds        []*feed.Feed
	hooks        map[string]http.Handler // those of feeds that are webhooks, by name
	stopFeeds    func()                  // set by Run
	webhooks     []*webhook.Hook
	stopWebhooks func() // set by Run
	stopPresence func() // set by Run
	hub          *hub.Hub
	native       *native.Handler
	durable      *durable.Handler // nil: the protocol is not served
	page         http.Handler     // nil: no page
	traffic      traffic
	visits       accessLog
	trusted      *proxy.Trusted // proxies that are believed
	gate         *gate.Gate
	slots        *limit.Slots       // of streams
	presence     *presence.Presence // nil: nobody wants to know who reads what
	tickets      *access.Tickets    // nil: none are issued
	revoked      *access.Revoked    // nil: there is no access control
	memory       *limit.Memory
	certs        *certs.Store // nil: no TLS
	sockets      *sockets
	tracer       *tracing.Tracer // nil: no traces
	reload       func() error    // nil: settings are not read again
	draining     func()          // is told when Run begins to drain; may be nil

	changing sync.Mutex
	guard    *guard                            // guarded by changing
	highest  struct{ delivered, bytes rising } // of what was told to Prometheus
	failed   atomic.Bool                       // the log has failed
	broken   chan error                        // capacity 1: the log has failed

	listeners  []bound
	background sync.WaitGroup
}

// A bound listener, and the HTTP server that accepts from it.
type bound struct {
	config.Listener
	net  net.Listener
	http *http.Server
}

// New builds the parts. It binds nothing. Run must be called, for whatever time.
func New(s *config.Settings, log *slog.Logger) (*Server, error) {
	srv := &Server{settings: s, log: log, engine: stream.NewEngine(0), broken: make(chan error, 1), sockets: newSockets()}
	srv.traffic.patience = s.Stream.UserTimeout
	if err := srv.openAccess(); err != nil {
		return nil, err
	}
	streams := streamOptions(s, srv.engine, log)
	streams.Opened = srv.opened
	if s.Log.Access {
		srv.visits.log = log
	}
	if err := srv.openHub(streams); err != nil {
		srv.tracer.Close(context.Background())
		srv.guard.close()
		return nil, err
	}
	if err := errors.Join(srv.openFeeds(), srv.openWebhooks()); err != nil {
		srv.guard.close()
		return nil, errors.Join(err, srv.hub.Close())
	}
	srv.openProtocols()
	if s.Page {
		srv.page = srv.guardDemos(dashboard.Handler(dashboard.Options{Stream: streams}))
	}
	return srv, nil
}

// openAccess builds what lets requests in.
func (s *Server) openAccess() (err error) {
	if s.trusted, err = proxy.ParseTrusted(s.settings.Proxy.Trusted); err != nil {
		return fmt.Errorf("proxy.trusted: %w", err)
	}
	if s.certs, err = openCerts(s.settings, s.log); err != nil {
		return err
	}
	if s.settings.Access.On() {
		s.revoked = access.NewRevoked(0)
		if s.settings.Access.Tickets > 0 {
			s.tickets = access.NewTickets(s.settings.Access.Tickets)
		}
	}
	if s.guard, err = openGuard(s.settings, s.tickets, s.revoked, s.isSecure, s.log); err != nil {
		return err
	}
	s.memory = memoryLimit(&s.settings.Limits)
	s.slots = limit.NewSlots("streams", s.settings.Limits.Clients)
	s.gate = gate.New(gate.Options{
		Slots: s.slots, Named: s.knowsReaders(),
		Rules:   gate.Rules{Verifier: s.guard.verifier, Limits: limits(&s.settings.Limits)},
		Tickets: s.tickets, Revoked: s.revoked, Open: s.engine.Len, Memory: s.memory, Clients: s.settings.Limits.Clients,
		Entered: s.visits.entered,
	})
	return nil
}

// openHub opens the log, what traces visits to it, and puts a hub on both.
func (s *Server) openHub(streams stream.Options) (err error) {
	if s.tracer, err = openTraces(s.settings, s.log); err != nil {
		return err
	}
	if s.settings.Nodes.Log != "" {
		err = s.openShared()
	} else {
		s.store, err = openLog(s.settings, s.log, s.logFailed)
	}
	if err != nil {
		return err
	}
	s.disk, _ = s.store.(*disklog.Log)
	o := hubOptions(s.settings, s.tracer.Log(s.store), streams)
	if s.shared != nil {
		o.Sync = s.shared.Sync
	}
	if s.hub, err = hub.New(o); err != nil {
		return errors.Join(err, s.store.Close())
	}
	s.openPresence()
	s.shareAccess()
	return nil
}

func (s *Server) openProtocols() {
	set := s.settings
	s.native = native.New(s.hub, native.Options{
		Gate:     s.gate,
		MaxBytes: int(set.Hub.MaxMessage),
		Presence: s.presence,
		// What is adopted is not logged, not traced, and not looked at one by one.
		Adopt:       !set.Log.Access && !set.Access.On() && set.Limits.PublishPerIP == 0 && s.tracer == nil,
		Idle:        set.HTTP.IdleTimeout,
		BodyTimeout: set.HTTP.BodyTimeout,
		Served:      s.traffic.served,
	})
	if set.Durable.Prefix != "" {
		s.durable = durable.New(s.hub, durable.Options{
			Gate: s.gate, ProxyBuffering: set.HTTP.Buffering, Prefix: set.Durable.Prefix, Reserved: native.Reserved, MaxBytes: int(set.Hub.MaxMessage),
			Wait: set.Durable.Wait, Heartbeat: set.Stream.Heartbeat, BodyTimeout: set.HTTP.BodyTimeout, Log: s.log,
		})
	}
}

// warnBefore is how long before its end a reader is told that its stream will end,
// so that it can come back with another token.
var warnBefore = 30 * time.Second

// opened is told of every stream, on the goroutine of its handler.
func (s *Server) opened(c *stream.Conn, r *http.Request) {
	if l := gate.TakeLease(r); l != nil {
		s.arrive(c, l)
		c.SetGuest(l)
		if !l.Expires.IsZero() {
			s.endAt(c, l.Expires)
		}
		if l.Over() { // revoked while the stream was opened
			c.After(time.Millisecond, func() { revoke(c) })
		}
	}
	if s.visits.log != nil {
		s.visits.opened(c, r)
	}
}

// endAt ends a stream when what allowed it expires.
func (s *Server) endAt(c *stream.Conn, at time.Time) {
	left := max(time.Until(at), time.Millisecond)
	if left > warnBefore {
		c.After(left-warnBefore, func() { _ = c.Notify(stream.ExpiringNotice(at)) }) // there may be no room for it
	}
	c.After(left, func() { _ = c.EndWith(stream.Expired) }) // it may have ended
}

// logFailed is called once, when the disk has failed. Run then ends.
func (s *Server) logFailed(err error) {
	s.failed.Store(true)
	s.broken <- err
}

// streamOptions maps settings to package stream, where 0 means the default and
// negative means off.
func streamOptions(s *config.Settings, e *stream.Engine, log *slog.Logger) stream.Options {
	off := func(d time.Duration) time.Duration {
		if d == 0 {
			return -1
		}
		return d
	}
	return stream.Options{
		Heartbeat: off(s.Stream.Heartbeat), Retry: off(s.Stream.Retry), MaxAge: s.Stream.MaxAge,
		ProxyBuffering: s.HTTP.Buffering, Buffer: int(s.Stream.Buffer), UserTimeout: off(s.Stream.UserTimeout),
		AllowOrigins: s.CORS.Origins, AllowCredentials: s.CORS.Credentials,
		Linger: s.Drain.Timeout + time.Second, // a drain cuts what does not end itself, and says so
		Engine: e, Log: log,
	}
}

func hubOptions(s *config.Settings, log eventlog.Log, streams stream.Options) hub.Options {
	policy, _ := hub.ParsePolicy(s.Hub.Policy) // config knows the words
	slow, _ := hub.ParseSlow(s.Hub.Slow)
	return hub.Options{
		Log: log, Stream: streams, Policy: policy, Policies: policies(s.History.Topics), Slow: slow,
		MaxBytes: int(s.Hub.MaxMessage), MaxTopics: s.Hub.MaxTopicsPerReader,
	}
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

// listen binds an address and puts on it what its connections go through.
func (s *Server) listen(l config.Listener) (net.Listener, error) {
	ln, err := listen(l, s.settings.SocketMode)
	if err != nil {
		return nil, err
	}
	if s.settings.Proxy.Protocol {
		ln = proxy.NewListener(ln, proxy.ListenerOptions{Trusted: s.trusted, Report: func(peer net.Addr, err error) {
			s.log.Debug("connection without a PROXY protocol header closed", "peer", peer, "error", err)
		}})
	}
	return &bounded{Listener: ln, s: s, tls: l.TLS}, nil
}

func (s *Server) httpServer(l config.Listener) *http.Server {
	srv := &http.Server{
		Handler:           s.withClient(s.traffic.count(s.visits.record(s.tracer.Handler(s.route(l))))),
		ConnContext:       native.ConnContext,
		ConnState:         s.sockets.track,
		ReadHeaderTimeout: s.settings.HTTP.HeaderTimeout,
		IdleTimeout:       s.settings.HTTP.IdleTimeout,
		MaxHeaderBytes:    int(s.settings.HTTP.MaxHeader),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: s.settings.HTTP.MaxStreams, WriteByteTimeout: s.settings.Stream.UserTimeout},
		Protocols:         new(http.Protocols),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	srv.Protocols.SetHTTP1(true)
	if l.TLS {
		srv.Protocols.SetHTTP2(true)
		srv.TLSConfig = s.certs.TLSConfig()
	} else {
		srv.Protocols.SetUnencryptedHTTP2(s.settings.HTTP.H2C)
	}
	return srv
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
