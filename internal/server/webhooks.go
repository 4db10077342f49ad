package server

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/metrics"
	"github.com/weirstream/weir/internal/webhook"
)

// openWebhooks makes what tells applications what happens. Nothing is sent yet.
func (s *Server) openWebhooks() error {
	for _, spec := range s.settings.Webhooks {
		o := webhook.Options{Spec: spec, Hub: s.hub, Log: s.log}
		if s.shared != nil {
			o.Sync = s.shared.Sync
		}
		h, err := webhook.New(o)
		if err != nil {
			return fmt.Errorf("webhooks.%s: %w", spec.Name, err)
		}
		s.webhooks = append(s.webhooks, h)
	}
	return nil
}

// runWebhooks has webhooks sent while this server acts for all nodes, until stop is
// called, which returns when they have ended.
func (s *Server) runWebhooks() (stop func()) {
	if len(s.webhooks) == 0 {
		return func() {}
	}
	return run(s.followLead)
}

// followLead starts and ends all webhooks as this server begins and ceases to lead.
func (s *Server) followLead(ctx context.Context) {
	end := func() {}
	for {
		select {
		case <-ctx.Done():
			end()
			return
		case leading := <-s.presence.Leads():
			end()
			end = func() {}
			if leading {
				end = run(s.sendWebhooks()...)
			}
		}
	}
}

// sendWebhooks returns what sends each of them.
func (s *Server) sendWebhooks() (send []func(context.Context)) {
	for _, h := range s.webhooks {
		send = append(send, h.Run)
	}
	return send
}

// webhookMetrics has a label for the webhook: its name is the operator's.
func (s *Server) webhookMetrics(p *metrics.Page) {
	if len(s.webhooks) == 0 {
		return
	}
	var running, age, sent, requests, failures, dead []metrics.Sample
	for _, h := range s.webhooks {
		st, name := h.Stats(), h.Name()
		running = append(running, labelled(boolean(st.State == webhook.Running), "webhook", name))
		waits := 0.0
		if !st.Oldest.IsZero() {
			waits = time.Since(st.Oldest).Seconds()
		}
		age = append(age, metrics.Sample{Value: waits, Labels: []string{"webhook", name}})
		sent = append(sent, labelled(st.Sent, "webhook", name))
		requests = append(requests, labelled(st.Requests, "webhook", name))
		failures = append(failures, labelled(st.Failures, "webhook", name))
		dead = append(dead, labelled(st.Dead, "webhook", name, "kept", "yes"), labelled(st.Dropped, "webhook", name, "kept", "no"))
	}
	p.Gauge("weir_webhook_running", "1 while events are sent; 0 while the receiver does not accept, and on nodes that do not act for all. Only with webhooks.", running...)
	p.Gauge("weir_webhook_oldest_seconds", "Age of the oldest event that is not accepted; 0 if there is none. Only with webhooks.", age...)
	p.Counter("weir_webhook_events_total", "Events that were accepted. Only with webhooks.", sent...)
	p.Counter("weir_webhook_requests_total", "Requests, with those that were sent again. Only with webhooks.", requests...)
	p.Counter("weir_webhook_failures_total", "Requests that were not accepted. Only with webhooks.", failures...)
	p.Counter("weir_webhook_dead_total", "Events that were given up: kept as dead letters, or not. Only with webhooks.", dead...)
}

func boolean(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
