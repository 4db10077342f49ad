package disklog

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
)

// A Durability says when an entry counts as stored.
type Durability uint8

const (
	Always   Durability = 1 + iota // when it is on the disk: after fsync
	Interval                       // at once; it is on the disk within Options.Interval
	Memory                         // at once; it is never on the disk and ends with the process
)

var durabilityNames = [...]string{"", "always", "interval", "memory"}

func (d Durability) String() string { return durabilityNames[d] }

// ParseDurability reads a durability by its name.
func ParseDurability(s string) (Durability, error) {
	for d := Always; d <= Memory; d++ {
		if d.String() == s {
			return d, nil
		}
	}
	return 0, fmt.Errorf("durability is %q: want always, interval or memory", s)
}

// A Rule gives the topics that match a pattern a durability.
type Rule struct {
	Pattern    string
	Durability Durability
}

// Options configure a log. Zero fields take the defaults stated.
type Options struct {
	History    eventlog.Options // what is kept; TotalBytes 0: 8 GiB
	Durability Durability       // of topics without a rule; 0: Always
	Rules      []Rule           // the first whose pattern matches applies
	Interval   time.Duration    // for Durability Interval; 0: 100 ms
	HotBytes   int64            // of the newest entries that stay in memory; 0: 64 MiB
	Logger     *slog.Logger     // nil: none

	// Failed is called once, from a goroutine of the log, when the disk fails: the log
	// takes no more entries, because what it was told to be stored may not be.
	Failed func(error)
}

func (o Options) withDefaults() (Options, error) {
	o.History.TotalBytes = cmp.Or(o.History.TotalBytes, 8<<30)
	var err error
	if o.History, err = o.History.WithDefaults(); err != nil {
		return o, err
	}
	o.Durability = cmp.Or(o.Durability, Always)
	o.Interval = cmp.Or(o.Interval, 100*time.Millisecond)
	o.HotBytes = cmp.Or(o.HotBytes, 64<<20)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	if o.Interval < 0 || o.HotBytes < 0 {
		return o, fmt.Errorf("disklog: Options.Interval is %v and HotBytes %d, want 0 or more", o.Interval, o.HotBytes)
	}
	for i, r := range o.Rules {
		if err := topic.CheckPattern(r.Pattern); err != nil {
			return o, fmt.Errorf("disklog: Options.Rules[%d].Pattern: %v", i, err)
		}
	}
	return o, nil
}

// durability is that of a topic. What is not kept needs no disk.
func (o *Options) durability(name string) Durability {
	if o.History.Retention(name).MaxEntries < 0 {
		return Memory
	}
	for _, r := range o.Rules {
		if topic.Match(r.Pattern, name) {
			return r.Durability
		}
	}
	return o.Durability
}

// of is the durability of an entry, the best of its topics'.
func (o *Options) of(e *eventlog.Entry) Durability {
	best := Memory
	for _, name := range e.Topics {
		best = min(best, o.durability(name))
	}
	return best
}
