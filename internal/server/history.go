package server

import (
	"log/slog"
	"math"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/tracing"
)

// A store is a log that knows how many topics it has.
type store interface {
	tracing.Log
	Topics() int
}

// openLog opens the log on disk, or makes one in memory. failed is called when the
// disk has failed.
func openLog(s *config.Settings, log *slog.Logger, failed func(error)) (store, error) {
	h := history(&s.History)
	if s.Data == "" {
		return eventlog.NewMemory(h)
	}
	o := disklog.Options{History: h, Interval: s.Disk.Interval, HotBytes: s.Disk.Memory, Logger: log, Failed: failed}
	var err error
	if o.Durability, err = disklog.ParseDurability(s.Disk.Durability); err != nil {
		return nil, err
	}
	for _, r := range s.History.Topics {
		d, err := disklog.ParseDurability(r.Durability)
		if err != nil {
			return nil, err
		}
		o.Rules = append(o.Rules, disklog.Rule{Pattern: r.Topic, Durability: d})
	}
	o.Rules = append(o.Rules, disklog.Rule{Pattern: statsTopic, Durability: disklog.Memory})
	return disklog.Open(s.Data, o)
}

// history maps settings to what is kept.
func history(h *config.History) eventlog.Options {
	o := eventlog.Options{
		Default:    retention(h.MaxMessages, h.MaxAge, h.MaxBytes),
		TotalBytes: h.TotalBytes, MaxTopics: h.MaxTopics,
		KeyWindow: h.IdempotencyWindow, MaxKeys: h.IdempotencyKeys,
	}
	for _, r := range h.Topics {
		o.Rules = append(o.Rules, eventlog.Rule{Pattern: r.Topic, Retention: retention(r.MaxMessages, r.MaxAge, r.MaxBytes)})
	}
	o.Rules = append(o.Rules, eventlog.Rule{Pattern: statsTopic, Retention: eventlog.Retention{MaxEntries: statsKept}})
	return o
}

// retention maps settings to package eventlog, where no limit at all would mean
// the default limits.
func retention(messages int, age time.Duration, bytes int64) eventlog.Retention {
	if messages == 0 && age == 0 && bytes == 0 {
		messages = math.MaxInt
	}
	return eventlog.Retention{MaxEntries: messages, MaxAge: age, MaxBytes: bytes}
}

func policies(rules []config.TopicRule) (list []hub.PolicyRule) {
	for _, r := range rules {
		policy, _ := hub.ParsePolicy(r.Policy) // config knows the words
		list = append(list, hub.PolicyRule{Pattern: r.Topic, Policy: policy})
	}
	return list
}
