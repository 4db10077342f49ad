package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/dashboard"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/protocol/durable"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/internal/proxy"
	"github.com/weirstream/weir/stream"
)

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
