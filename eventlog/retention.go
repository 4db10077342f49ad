package eventlog

import (
	"cmp"
	"fmt"
	"time"

	"github.com/weirstream/weir/internal/topic"
)

// A Retention says how much of a topic is kept. Zero fields do not limit;
// MaxEntries < 0 keeps nothing: messages reach connected readers only.
type Retention struct {
	MaxEntries int
	MaxAge     time.Duration // an entry expires when it is that old
	MaxBytes   int64         // of data alone; a larger entry is not kept
}

// A Rule applies a Retention to the topics that match a pattern.
type Rule struct {
	Pattern   string
	Retention Retention
}

// Options configure a log. Zero fields take the defaults stated.
type Options struct {
	Default    Retention // for topics without a rule; all zero: 10,000 entries, 24 h, 16 MiB
	Rules      []Rule    // the first whose pattern matches applies
	TotalBytes int64     // of all topics together, data and overhead; 0: 256 MiB
	MaxTopics  int       // topics known at once; 0: 1,000,000. At the bound the topic idle for longest is dropped
	ValueBytes int64     // of all values together, with their keys and 64 bytes for each; 0: 64 MiB

	KeyWindow time.Duration // how long idempotency keys are remembered; 0: 10 min
	MaxKeys   int           // remembered at most; 0: 1,000,000. At the bound the oldest is forgotten
}

// WithDefaults returns o with its zero fields filled in, or an error that names
// the field that is wrong.
func (o Options) WithDefaults() (Options, error) {
	if o.Default == (Retention{}) {
		o.Default = Retention{MaxEntries: 10_000, MaxAge: 24 * time.Hour, MaxBytes: 16 << 20}
	}
	if o.TotalBytes == 0 {
		o.TotalBytes = 256 << 20
	}
	if o.MaxTopics == 0 {
		o.MaxTopics = 1_000_000
	}
	o.ValueBytes = cmp.Or(o.ValueBytes, 64<<20)
	o.KeyWindow = cmp.Or(o.KeyWindow, 10*time.Minute)
	o.MaxKeys = cmp.Or(o.MaxKeys, 1_000_000)
	return o, o.validate()
}

func (o Options) validate() error {
	if o.TotalBytes < 0 {
		return fmt.Errorf("eventlog: Options.TotalBytes is %d, want 0 or more", o.TotalBytes)
	}
	if o.MaxTopics < 0 {
		return fmt.Errorf("eventlog: Options.MaxTopics is %d, want 0 or more", o.MaxTopics)
	}
	if o.ValueBytes < 0 {
		return fmt.Errorf("eventlog: Options.ValueBytes is %d, want 0 or more", o.ValueBytes)
	}
	if o.KeyWindow < 0 || o.MaxKeys < 0 {
		return fmt.Errorf("eventlog: Options.KeyWindow is %v and MaxKeys %d, want 0 or more", o.KeyWindow, o.MaxKeys)
	}
	if err := o.Default.validate("Options.Default"); err != nil {
		return err
	}
	for i, r := range o.Rules {
		field := fmt.Sprintf("Options.Rules[%d]", i)
		if err := topic.CheckPattern(r.Pattern); err != nil {
			return fmt.Errorf("eventlog: %s.Pattern: %v", field, err)
		}
		if err := r.Retention.validate(field + ".Retention"); err != nil {
			return err
		}
	}
	return nil
}

func (r Retention) validate(field string) error {
	if r.MaxAge < 0 {
		return fmt.Errorf("eventlog: %s.MaxAge is %v, want 0 or more", field, r.MaxAge)
	}
	if r.MaxBytes < 0 {
		return fmt.Errorf("eventlog: %s.MaxBytes is %d, want 0 or more", field, r.MaxBytes)
	}
	return nil
}

// Retention returns what applies to a topic.
func (o *Options) Retention(topic string) Retention { return *o.retention(topic) }

// retention returns what applies to a topic.
func (o *Options) retention(name string) *Retention {
	for i := range o.Rules {
		if topic.Match(o.Rules[i].Pattern, name) {
			return &o.Rules[i].Retention
		}
	}
	return &o.Default
}
