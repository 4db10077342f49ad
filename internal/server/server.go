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
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dashboard"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/protocol/durable"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/stream"
)

// A Server serves one hub on its listeners.
type Server struct {
	settings *config.Settings
	log      *slog.Logger
	engine   *stream.Engine
	store    store
	disk     *disklog.Log // store, if it is on disk; else nil
	hub      *hub.Hub
	native   *native.Handler
	durable  *durable.Handler // nil: the protocol is not served
	page     http.Handler     // nil: no page
	traffic  traffic
	access   accessLog
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

// New builds the parts. It binds nothing and starts nothing.
func New(s *config.Settings, log *slog.Logger) (*Server, error) {
	srv := &Server{settings: s, log: log, engine: stream.NewEngine(0), broken: make(chan error, 1)}
	streams := streamOptions(s, srv.engine, log)
	if s.Log.Access {
		srv.access.log = log
		streams.Opened = srv.access.opened
	}
	var err error
	if srv.store, err = openLog(s, log, srv.logFailed); err != nil {
		return nil, err
	}
	srv.disk, _ = srv.store.(*disklog.Log)
	h, err := hub.New(hubOptions(s, srv.store, streams))
	if err != nil {
		return nil, errors.Join(err, srv.store.Close())
	}
	srv.hub = h
	srv.native = native.New(h, native.Options{
		MaxBytes: int(s.Hub.MaxMessage),
		Adopt:    !s.Log.Access, // what is adopted is not logged
		Idle:     s.HTTP.IdleTimeout,
		Served:   srv.traffic.served,
	})
	if s.Durable.Prefix != "" {
		srv.durable = durable.New(h, durable.Options{
			Prefix: s.Durable.Prefix, Reserved: native.Reserved, MaxBytes: int(s.Hub.MaxMessage),
			Wait: s.Durable.Wait, Heartbeat: s.Stream.Heartbeat, Log: log,
		})
	}
	if s.Page {
		srv.page = dashboard.Handler(dashboard.Options{Stream: streams})
	}
	return srv, nil
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
		Buffer: int(s.Stream.Buffer), UserTimeout: off(s.Stream.UserTimeout),
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
		ln, err := listen(l)
		if err != nil {
			s.closeListeners()
			s.listeners = nil
			return fmt.Errorf("listen on %s: %w", l, err)
		}
		s.listeners = append(s.listeners, bound{Listener: l, net: ln, http: s.httpServer(l)})
	}
	return nil
}

func (s *Server) httpServer(l config.Listener) *http.Server {
	return &http.Server{
		Handler:           s.traffic.count(s.access.record(s.route(l.Handler))),
		ConnContext:       native.ConnContext,
		ReadHeaderTimeout: s.settings.HTTP.HeaderTimeout,
		IdleTimeout:       s.settings.HTTP.IdleTimeout,
		MaxHeaderBytes:    int(s.settings.HTTP.MaxHeader),
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// A Listener is an address that is being served.
type Listener struct{ Name, URL, Handler string }

// Listeners describes what Start has bound.
func (s *Server) Listeners() []Listener {
	var ls []Listener
	for _, b := range s.listeners {
		url := "http://" + b.net.Addr().String()
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
	if s.durable != nil {
		s.durable.Start()
	}
	if s.page != nil {
		s.background.Go(func() { s.publishStats(ctx) })
	}
	failed := make(chan error, len(s.listeners))
	for _, b := range s.listeners {
		s.background.Go(func() {
			if err := b.http.Serve(b.net); ctx.Err() == nil {
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

func (s *Server) closeListeners() {
	for _, b := range s.listeners {
		b.net.Close()
	}
}
