package server

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/machine"
)

const (
	statsTopic = "weir/stats"
	statsEvery = time.Second
	statsKept  = 600
)

// stats is what the server publishes about itself. Rates are per second, memory
// is in bytes.
type stats struct {
	Time        int64   `json:"time"` // milliseconds since 1970
	CPU         float64 `json:"cpu"`  // percent of the machine
	MemUsed     uint64  `json:"mem_used"`
	MemTotal    uint64  `json:"mem_total"`
	RSS         uint64  `json:"rss"`
	Requests    float64 `json:"requests"`
	Errors      float64 `json:"errors"` // status 400 or more
	Connections int     `json:"connections"`
	Published   float64 `json:"published"`
	Delivered   float64 `json:"delivered"`
}

// counts are the totals from which rates are made.
type counts struct {
	at                                     time.Time
	requests, errors, published, delivered int64
}

// publishStats publishes the machine's and the server's figures until ctx ends.
func (s *Server) publishStats(ctx context.Context) {
	var gauge machine.Gauge
	gauge.Read()
	last := s.counts()
	tick := time.NewTicker(statsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.counts()
		data, err := json.Marshal(now.since(last, gauge.Read(), s.engine.Len()))
		if err != nil {
			panic("server: " + err.Error())
		}
		last = now
		if _, err := s.hub.Publish(ctx, hub.Message{Topics: []string{statsTopic}, Data: data}); errors.Is(err, hub.ErrClosed) {
			return
		}
	}
}

func (s *Server) counts() counts {
	h := s.hub.Stats()
	return counts{time.Now(), s.traffic.requests.Load(), s.traffic.errors(), h.Published, h.Delivered}
}

// since returns the figures for the time from last to now. A count may step back a
// little, when a write that was counted falls short: no rate is below 0.
func (now counts) since(last counts, m machine.Reading, connections int) stats {
	seconds := now.at.Sub(last.at).Seconds()
	rate := func(n int64) float64 { return math.Round(10*float64(max(n, 0))/seconds) / 10 }
	return stats{
		Time: now.at.UnixMilli(), CPU: math.Round(10*m.CPU) / 10, MemUsed: m.MemUsed, MemTotal: m.MemTotal, RSS: m.RSS,
		Requests: rate(now.requests - last.requests), Errors: rate(now.errors - last.errors), Connections: connections,
		Published: rate(now.published - last.published), Delivered: rate(now.delivered - last.delivered),
	}
}
