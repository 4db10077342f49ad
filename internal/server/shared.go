package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/natslog"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/stream"
)

// openTime bounds how long a server waits at its start for the log that it shares.
const openTime = time.Minute

// A JoinError says why a server cannot join the log of several nodes.
type JoinError struct{ Err error }

// Error names the setting.
func (e *JoinError) Error() string { return "nodes.log: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *JoinError) Unwrap() error { return e.Err }

// openShared joins the log of several nodes. Its error is a *JoinError.
func (s *Server) openShared() error {
	n := &s.settings.Nodes
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	engine, err := s.connectShared(ctx)
	if err != nil {
		return &JoinError{err}
	}
	s.shared, err = sharedlog.Open(ctx, engine, sharedlog.Options{
		History: history(&s.settings.History), HotBytes: s.settings.Disk.Memory, Wait: n.Wait, Logger: s.log,
		Status: s.logStatus, Lapsed: s.logLapsed, Failed: s.logFailed,
	})
	if err != nil {
		return &JoinError{err}
	}
	s.store = s.shared
	return nil
}

// connectShared connects to what keeps the log of several nodes. The scheme of its URL
// says what that is.
func (s *Server) connectShared(ctx context.Context) (sharedlog.Engine, error) {
	n := &s.settings.Nodes
	scheme, _, _ := strings.Cut(n.Log, "://")
	switch scheme {
	case "redis", "rediss", "redis+sentinel", "rediss+sentinel":
		return redislog.Connect(ctx, redislog.Options{URL: n.Log, Name: n.Name, Wait: n.Wait, Logger: s.log})
	case "nats", "tls", "nats+tls":
		return s.connectNATS(ctx)
	}
	return nil, fmt.Errorf("URL has scheme %q, want redis, rediss, redis+sentinel, rediss+sentinel, nats, tls or nats+tls", scheme)
}

// connectNATS connects to a server that bounds how large a message may be.
func (s *Server) connectNATS(ctx context.Context) (sharedlog.Engine, error) {
	n := &s.settings.Nodes
	e, err := natslog.Connect(ctx, natslog.Options{URL: n.Log, Name: n.Name, Wait: n.Wait, Logger: s.log})
	if err != nil {
		return nil, err
	}
	if limit := e.MaxMessage(); s.settings.Hub.MaxMessage > limit {
		s.log.Warn("NATS takes no messages as large as hub.max-message, which is lowered; for more raise max_payload there", "hub.max-message", s.settings.Hub.MaxMessage, "lowered to", limit)
		s.settings.Hub.MaxMessage = limit
	}
	return e, nil
}

// statusEvent tells readers whether messages can be published. They need do nothing:
// what is published is kept, and comes when the log answers again.
const statusEvent = "weir.status"

type status struct {
	Log string `json:"log"` // "unavailable" or "available"
}

// logStatus is told when the shared log stops answering, and when it answers again.
func (s *Server) logStatus(up bool, reason error) {
	now := status{"available"}
	if up {
		s.log.Info("the shared log answers again")
	} else {
		s.log.Warn("the shared log does not answer: nothing can be published, readers stay", "error", reason)
		now.Log = "unavailable"
	}
	s.engine.Each(func(c *stream.Conn) {
		_ = c.Notify(stream.Notice{Type: statusEvent, Data: now}) // there may be no room for it
	})
}

// logLapsed is told when messages may not have reached readers. They come back, say
// what they have seen, and get what they missed, or are told.
func (s *Server) logLapsed() {
	s.log.Warn("messages of the shared log may have passed readers by: they are told to come back")
	s.engine.End(s.settings.Drain.Window)
}
