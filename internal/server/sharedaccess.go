package server

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/access"
)

// shareAccess has revocations kept in the log, so that they hold after a restart and at all
// nodes. So are tickets if there are other nodes; else they need not be written.
func (s *Server) shareAccess() {
	if s.revoked == nil {
		return
	}
	store := &accessStore{hub: s.hub, log: s.hub.Log().(eventlog.Conditional)}
	s.revoked.Share(store)
	if s.shared != nil && s.tickets != nil {
		s.tickets.Share(store)
	}
}

// An accessStore is the hub's log as an [access.Store].
type accessStore struct {
	hub *hub.Hub
	log eventlog.Conditional // of the hub
}

// Value implements [access.Store].
func (a *accessStore) Value(key string) []byte { return a.log.Value(key) }

// Follow implements [access.Store].
func (a *accessStore) Follow(prefix string, fn func(key string, value []byte)) {
	eventlog.KeepUp(a.log, prefix, fn) // as long as the log is there
}

// Change implements [access.Store].
func (a *accessStore) Change(ctx context.Context, expect, puts map[string][]byte) error {
	_, err := a.hub.CommitIf(ctx, hub.Change{Expect: asPuts(expect), Puts: asPuts(puts)})
	switch {
	case errors.Is(err, hub.ErrChanged):
		return access.ErrChanged
	case errors.Is(err, hub.ErrFull), errors.Is(err, hub.ErrTooLarge):
		return access.ErrNoRoom
	}
	return err
}

func asPuts(values map[string][]byte) (puts []eventlog.Put) {
	for key, value := range values {
		puts = append(puts, eventlog.Put{Key: key, Value: value})
	}
	return puts
}

// Sync implements [access.Store].
func (a *accessStore) Sync(ctx context.Context) error { return a.hub.Sync(ctx) }

// sweepEvery is how often what has expired is forgotten.
const sweepEvery = 10 * time.Second

// sweepAccess forgets tickets and revocations that have expired, until ctx ends. It may
// have to wait for the log.
func (s *Server) sweepAccess(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.sweep(ctx)
		}
	}
}

// sweep forgets tickets that nobody has used, and who may come back.
func (s *Server) sweep(ctx context.Context) {
	var err error
	if s.tickets != nil {
		err = s.tickets.Sweep(ctx)
	}
	if s.revoked != nil {
		err = errors.Join(err, s.revoked.Sweep(ctx))
	}
	if err != nil && ctx.Err() == nil {
		s.log.Debug("tickets and revocations that have expired are still in the log", "error", err)
	}
}

// revocations gives a value when somebody has been revoked at another node.
func (s *Server) revocations() <-chan struct{} {
	if s.revoked == nil {
		return nil
	}
	return s.revoked.News()
}
