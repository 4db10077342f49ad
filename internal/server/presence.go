package server

import (
	"slices"
	"strconv"

	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/metrics"
	"github.com/weirstream/weir/internal/presence"
	"github.com/weirstream/weir/stream"
)

// knowsReaders reports whether streams are told apart by who reads what.
func (s *Server) knowsReaders() bool {
	return len(s.settings.Presence.Topics)+len(s.settings.Webhooks) > 0
}

// openPresence makes what knows who reads what. Nodes that share a log need it for
// their limits in any case.
func (s *Server) openPresence() {
	set := &s.settings.Presence
	if s.shared == nil && !s.knowsReaders() {
		return
	}
	topics, connections := slices.Clone(set.Topics), []string(nil)
	for i := range s.settings.Webhooks {
		more, each := s.settings.Webhooks[i].Readers()
		topics, connections = append(topics, more...), append(connections, each...)
	}
	p := presence.New(presence.Options{
		Hub: s.hub, Shared: s.shared != nil, Topics: topics, Connections: connections, Grace: max(set.Grace, 0), Most: set.Users, Log: s.log,
	})
	if s.shared != nil {
		p.Limit(s.slots)
	}
	s.presence = p
}

// arrive tells that a stream has opened, and later that it has ended.
func (s *Server) arrive(c *stream.Conn, l *gate.Lease) {
	if s.presence == nil || len(l.Topics) == 0 {
		return
	}
	if stay := s.presence.Arrive(l.Topics, l.User, l.Info, strconv.FormatUint(c.ID(), 10)); stay != nil {
		l.OnLeft(stay.Leave)
	}
}

// runPresence tells who comes and goes until stop is called, which returns when it has
// ended.
func (s *Server) runPresence() (stop func()) {
	if s.presence == nil {
		return func() {}
	}
	return run(s.presence.Run)
}

func (s *Server) presenceMetrics(p *metrics.Page) {
	if s.presence == nil {
		return
	}
	st := s.presence.Stats()
	p.Gauge("weir_nodes", "Servers that share the log and are alive, with this one.", metrics.Value(s.presence.Nodes()))
	p.Gauge("weir_nodes_leading", "1 on the server that acts for all.", metrics.Value(boolean(st.Leading)))
	p.Gauge("weir_presence_topics", "Topics that somebody reads, of those whose readers are known.", metrics.Value(st.Topics))
	p.Gauge("weir_presence_users", "Users known on this server, each counted in each topic.", metrics.Value(st.Users))
	p.Counter("weir_presence_refused_total", "Streams whose user is not known, for want of room.", metrics.Value(st.Refused))
}
