package sharedlog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// Options configure a log. Zero fields take the defaults stated.
//
// History.KeyWindow, MaxKeys and ValueBytes decide what is stored, so they must be the
// same on all nodes: those of the node that made the list apply, and others are told
// by the logger. The rest of History says what a node keeps. It should be the same
// everywhere: what one node's settings do not keep is given up by all when that node
// cleans up, and until then by that node alone.
type Options struct {
	History  eventlog.Options
	HotBytes int64         // of the newest entries that stay in memory; 0: 64 MiB
	Wait     time.Duration // how long Commit waits for an engine that does not answer; 0: 5 s
	Garbage  int64         // bytes of records that nothing keeps, before they are deleted; 0: 1 MiB
	Logger   *slog.Logger  // nil: none

	// Status is called when the engine does not answer any more, with the reason, and
	// when it does again. Calls do not overlap. The first call says that it does not.
	Status func(up bool, reason error)

	// Lapsed is called when readers may have missed messages that Follow's function
	// did not get, or were lost. Reading on from where they stand tells them.
	Lapsed func()

	// Failed is called once, when the log takes no more entries: the list is another's,
	// or cannot be understood. Commit fails with [eventlog.ErrFailed] from then on.
	Failed func(error)
}

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.History, err = o.History.WithDefaults(); err != nil {
		return o, err
	}
	o.HotBytes = cmp.Or(o.HotBytes, 64<<20)
	o.Wait = cmp.Or(o.Wait, 5*time.Second)
	o.Garbage = cmp.Or(o.Garbage, 1<<20)
	if o.HotBytes < 0 || o.Wait < 0 || o.Garbage < 0 {
		return o, fmt.Errorf("sharedlog: Options.HotBytes is %d, Wait %v and Garbage %d, want 0 or more", o.HotBytes, o.Wait, o.Garbage)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Status == nil {
		o.Status = func(bool, error) {}
	}
	if o.Lapsed == nil {
		o.Lapsed = func() {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
	return o, nil
}

// settings are what all nodes must agree on.
type settings struct {
	Format     int
	KeyWindow  time.Duration
	MaxKeys    int
	ValueBytes int64
}

const format = 1

// settings returns what a list that is made with o will have.
func (o *Options) settings() string {
	b, err := json.Marshal(settings{format, o.History.KeyWindow, o.History.MaxKeys, o.History.ValueBytes})
	if err != nil {
		panic("sharedlog: " + err.Error())
	}
	return string(b)
}

// adopt replaces what must be as in the settings of the list.
func (o *Options) adopt(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil || s.Format != format {
		return fmt.Errorf("sharedlog: settings of the list are %q, this program knows format %d", text, format)
	}
	if own := o.settings(); own != text {
		o.Logger.Warn("settings of the shared log differ from those of this node, and apply", "shared", text, "own", own)
	}
	o.History.KeyWindow, o.History.MaxKeys, o.History.ValueBytes = s.KeyWindow, s.MaxKeys, s.ValueBytes
	return nil
}
