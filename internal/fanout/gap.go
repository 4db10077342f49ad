package fanout

import (
	"encoding/json"
	"slices"
	"sync/atomic"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/sse"
)

// GapEvent is the event type of a gap notice.
const GapEvent = "weir.gap"

// A Policy says what a reader gets when its position cannot be honoured. The
// zero value is none of them.
type Policy uint8

const (
	Diff  Policy = iota + 1 // what is missing and still kept
	All                     // everything kept
	Reset                   // nothing; the reader should load its state anew
)

var policyNames = [...]string{"", "diff", "all", "reset"}

func (p Policy) String() string { return policyNames[p] }

// A Slow policy says what happens to a reader that does not keep up. The zero
// value is none of them.
type Slow uint8

const (
	CatchUp Slow = iota + 1 // it gets everything, late; a gap notice if that is no longer kept
	Latest                  // it gets only the newest message of each topic and key
	Cut                     // it is closed once it stands before what is kept
)

var slowNames = [...]string{"", "catch-up", "latest", "close"}

func (s Slow) String() string { return slowNames[s] }

// Reasons for a gap.
const (
	ReasonExpired   = "expired"   // messages after the position are no longer kept
	ReasonForeign   = "foreign"   // the ID is of another log, or of this one before a restart without storage
	ReasonFuture    = "future"    // the ID is newer than any message
	ReasonUnknown   = "unknown"   // the ID was never issued here, or its message is no longer kept
	ReasonAmbiguous = "ambiguous" // several messages carry the ID
	ReasonSlow      = "slow"      // the reader fell behind what is kept while connected
)

// A Gap tells a reader that messages are missing. Every missing message has a
// position after Requested and not after the position from which the stream goes
// on; those that are kept follow, as the policy says.
//
// A reader of several topics whose histories are not equally long may also miss
// messages between those that follow: any that were published before the notice.
type Gap struct {
	Reason    string `json:"reason"`
	Requested string `json:"requested,omitempty"` // the ID that the reader gave, or had reached
	Oldest    string `json:"oldest,omitempty"`    // ID of the oldest message kept
	Newest    string `json:"newest,omitempty"`    // ID of the newest
	Policy    string `json:"policy"`

	After uint64 `json:"-"` // position from which the stream goes on
}

// Told returns up to which position a notice covers the losses that page reports,
// where bounds were taken after it. What was trimmed in between and lies behind
// the page is news, and needs another notice. But losses between messages that
// are kept, of another topic, get one notice, not one for each page.
func Told(page eventlog.Page, bounds eventlog.Bounds) uint64 {
	if bounds.Oldest == 0 || bounds.Oldest > bounds.Lost {
		return max(page.Lost, min(bounds.Lost, page.Next))
	}
	return max(page.Lost, bounds.Lost)
}

// reasons are all reasons for a gap.
var reasons = [...]string{ReasonExpired, ReasonForeign, ReasonFuture, ReasonUnknown, ReasonAmbiguous, ReasonSlow}

// gaps counts gaps by reason, in the order of reasons. Gaps are rare, so loops and
// others add to the same counts.
type gaps [len(reasons)]atomic.Int64

func (g *gaps) add(reason string) { g[slices.Index(reasons[:], reason)].Add(1) }

// Gaps returns how many gaps NewGap has made, by reason.
func (enc *Encoder) Gaps() map[string]int64 {
	counts := make(map[string]int64, len(reasons))
	for i, reason := range reasons {
		counts[reason] = enc.gaps[i].Load()
	}
	return counts
}

// NewGap describes what is kept as b, for a stream that goes on after position, and
// counts the gap.
func (enc *Encoder) NewGap(reason, requested string, p Policy, b eventlog.Bounds, after uint64) Gap {
	enc.gaps.add(reason)
	g := Gap{Reason: reason, Requested: requested, Policy: p.String(), After: after}
	if b.Entries > 0 {
		g.Oldest = eventlog.FormatID(enc.epoch, b.Oldest)
		g.Newest = eventlog.FormatID(enc.epoch, b.Newest)
	}
	return g
}

// Gap encodes g. On SSE it is an ordinary event, which a page can listen for.
func (enc *Encoder) Gap(f Form, g Gap) []byte {
	switch f {
	case Lines:
		return jsonLine(map[string]any{"gap": g})
	case Text:
		return append([]byte(GapEvent+" "), jsonLine(g)...)
	}
	data, err := json.Marshal(g)
	if err != nil {
		panic("fanout: " + err.Error())
	}
	return mustEvent(sse.Event{Type: GapEvent, ID: eventlog.FormatID(enc.epoch, g.After), Data: data})
}
