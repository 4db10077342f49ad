package disklog

import (
	"encoding/json"
	"slices"

	"github.com/weirstream/weir/internal/topic"
)

// losses are what may have been lost without anybody knowing which messages: when
// the process ended without storing them. The newest is the last.
type losses []loss

// A loss is up to where messages of each durability may have been lost. Which topics
// that concerns is what the rules said then, whatever they say now.
type loss struct {
	Durability Durability // of topics without a rule
	Rules      []Rule     // of those that keep nothing, too
	Interval   uint64
	Memory     uint64
}

// maxLosses bounds how many sets of rules are remembered.
const maxLosses = 16

// begin makes the rules of o, which hold from now on, the last.
func (ls losses) begin(o *Options) losses {
	now := loss{Durability: o.Durability, Rules: o.rules()}
	if n := len(ls); n > 0 && ls[n-1].Durability == now.Durability && slices.Equal(ls[n-1].Rules, now.Rules) {
		return ls
	}
	if len(ls) == maxLosses { // the oldest then concerns all topics
		ls[1] = loss{Durability: Interval, Interval: max(ls[0].most(), ls[1].most())}
		ls = ls[1:]
	}
	return append(ls, now)
}

// end notes what was lost under the last rules.
func (ls losses) end(interval, memory uint64) {
	if n := len(ls); n > 0 {
		ls[n-1].Interval, ls[n-1].Memory = max(ls[n-1].Interval, interval), max(ls[n-1].Memory, memory)
	}
}

// rules are those of o, and those of topics that keep nothing, which come first.
func (o *Options) rules() (rules []Rule) {
	for _, r := range o.History.Rules {
		if r.Retention.MaxEntries < 0 {
			rules = append(rules, Rule{r.Pattern, Memory})
		}
	}
	return append(rules, o.Rules...)
}

// hasInterval reports whether some topics had durability Interval.
func (l *loss) hasInterval() bool {
	return l.Durability == Interval || slices.ContainsFunc(l.Rules, func(r Rule) bool { return r.Durability == Interval })
}

func (l *loss) most() uint64 { return max(l.Interval, l.Memory) }

func (ls losses) most() (most uint64) {
	for i := range ls {
		most = max(most, ls[i].most())
	}
	return most
}

// last is up to where messages of one durability may have been lost.
func (ls losses) last(d Durability) (seq uint64) {
	for i := range ls {
		seq = max(seq, ls[i].upTo(d))
	}
	return seq
}

// of is up to where topics that match a pattern may have lost messages.
func (ls losses) of(pattern string) (lost uint64) {
	for i := range ls {
		lost = max(lost, ls[i].of(pattern))
	}
	return lost
}

// of is too high if a rule that a pattern with wildcards touches gives way to an
// earlier one, or a topic that keeps nothing has an earlier rule.
func (l *loss) of(pattern string) uint64 {
	lost := uint64(0)
	for _, r := range l.Rules {
		if !topic.Overlap(r.Pattern, pattern) {
			continue
		}
		lost = max(lost, l.upTo(r.Durability))
		if !topic.IsPattern(pattern) {
			return lost
		}
	}
	return max(lost, l.upTo(l.Durability))
}

func (l *loss) upTo(d Durability) uint64 {
	return [...]uint64{Interval: l.Interval, Memory: l.Memory}[d]
}

func parseLosses(b []byte) (ls losses) {
	if len(b) > 0 {
		_ = json.Unmarshal(b, &ls) // written by encode
	}
	return ls
}

func (ls losses) encode() []byte {
	b, err := json.Marshal(ls)
	if err != nil {
		panic("disklog: " + err.Error())
	}
	return b
}
