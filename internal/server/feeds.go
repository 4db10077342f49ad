package server

import (
	"context"
	"fmt"
	"sync"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/amqp"
	"github.com/weirstream/weir/internal/feed/command"
	"github.com/weirstream/weir/internal/feed/file"
	"github.com/weirstream/weir/internal/feed/kafka"
	"github.com/weirstream/weir/internal/feed/mqtt"
	"github.com/weirstream/weir/internal/feed/nats"
	"github.com/weirstream/weir/internal/feed/postgres"
	"github.com/weirstream/weir/internal/feed/redis"
	"github.com/weirstream/weir/internal/feed/webhook"
	"github.com/weirstream/weir/internal/metrics"
)

// openFeeds makes the feeds. Nothing runs yet.
func (s *Server) openFeeds() error {
	for _, spec := range s.settings.Feeds {
		spec.MaxBytes = int(s.settings.Hub.MaxMessage)
		source, err := openSource(spec)
		if err == nil {
			var f *feed.Feed
			f, err = feed.New(feed.Options{
				Spec: spec, Source: source, Hub: s.hub, Log: s.log, Refuse: s.refuseFeeds, Unsure: s.shared != nil,
			})
			s.feeds = append(s.feeds, f)
			s.mountHook(spec.Name, source)
		}
		if err != nil {
			return fmt.Errorf("feeds.%s: %w", spec.Name, err)
		}
	}
	return nil
}

func openSource(spec feed.Spec) (feed.Source, error) {
	switch spec.Kind() {
	case feed.AMQP:
		return amqp.New(spec)
	case feed.RedisPubSub, feed.RedisList, feed.RedisStream:
		return redis.New(spec)
	case feed.PostgreSQL:
		return postgres.New(spec)
	case feed.NATS, feed.JetStream:
		return nats.New(spec)
	case feed.MQTT:
		return mqtt.New(spec)
	case feed.Kafka:
		return kafka.New(spec)
	case feed.Command:
		return command.New(spec), nil
	case feed.File:
		return file.New(spec), nil
	case feed.Webhook:
		return webhook.New(spec), nil
	}
	return nil, fmt.Errorf("no source is known for %s", spec.Kind())
}

// refuseFeeds holds feeds back while memory is short.
func (s *Server) refuseFeeds() error {
	if s.memory.Over() {
		return s.memory.Admit()
	}
	return nil
}

// runFeeds runs the feeds until stop is called, which returns when they have ended.
func (s *Server) runFeeds() (stop func()) {
	var feeds []func(context.Context)
	for _, f := range s.feeds {
		feeds = append(feeds, f.Run)
	}
	return run(feeds...)
}

// run runs functions until stop is called, which ends their context and returns when
// they have returned.
func run(fns ...func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, fn := range fns {
		running.Go(func() { fn(ctx) })
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// feedMetrics has a label for the feed: its name is the operator's.
func (s *Server) feedMetrics(p *metrics.Page) {
	var running, lag, received, published, again, dead, failures []metrics.Sample
	for _, f := range s.feeds {
		st, name := f.Stats(), f.Name()
		running = append(running, labelled(boolean(st.State == feed.Running), "feed", name))
		lag = append(lag, labelled(st.Lag, "feed", name))
		received = append(received, labelled(st.Received, "feed", name))
		published = append(published, labelled(st.Published, "feed", name))
		again = append(again, labelled(st.Duplicates, "feed", name))
		dead = append(dead, labelled(st.Dead, "feed", name, "kept", "yes"), labelled(st.Dropped, "feed", name, "kept", "no"))
		failures = append(failures, labelled(st.Failures, "feed", name))
	}
	if len(s.feeds) == 0 {
		return
	}
	p.Gauge("weir_feed_running", "1 while the feed has its source. Only with feeds.", running...)
	p.Gauge("weir_feed_lag", "Messages that wait at the source; -1 if it does not say. Only with feeds.", lag...)
	p.Counter("weir_feed_received_total", "Messages that the source delivered, with those it delivered again. Only with feeds.", received...)
	p.Counter("weir_feed_published_total", "Messages stored. Only with feeds.", published...)
	p.Counter("weir_feed_duplicates_total", "Messages that were there already. Only with feeds.", again...)
	p.Counter("weir_feed_dead_total", "Messages that can never be published: kept as dead letters, or not. Only with feeds.", dead...)
	p.Counter("weir_feed_failures_total", "Lost connections, and batches that the log refused at first. Only with feeds.", failures...)
}
