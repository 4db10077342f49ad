package hub_test

import (
	"fmt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// A tally counts what has happened, so that a test in which nothing happens fails.
type tally struct {
	messages, resumed, drops, cut int
	expired, unknown, slow        int
	missing                       int // messages told to be missing
}

func (n *tally) add(m tally) {
	n.messages += m.messages
	n.resumed += m.resumed
	n.drops += m.drops
	n.cut += m.cut
	n.expired += m.expired
	n.unknown += m.unknown
	n.slow += m.slow
	n.missing += m.missing
}

func (n *tally) complete() bool {
	return n.messages > 1000 && n.resumed > 10 && n.drops > 10 && n.expired > 0 && n.unknown > 0 && n.slow > 0 && n.missing > 0
}

// A checker goes through what happened to one reader. Positions count from 1.
type checker struct {
	tally
	reader *modelReader
	all    []published
	single bool // the reader follows one topic

	lastID  string // what the reader came with
	begin   bool   // nothing has come on this stream
	told    bool   // only a notice without ID has; where the stream stands comes next
	at      int    // the reader has, or knows that it misses, everything up to here
	floor   int    // messages up to here may be missing: they are told to be, or are older than the start
	unbound bool   // the next message may have any position after at
	cutOff  bool   // the server has ended the stream before
}

// check compares what the reader got with all that was published.
func (r *modelReader) check(all []published) (tally, error) {
	c := &checker{reader: r, all: all}
	exact, ok := r.selector.Exact()
	c.single = ok && len(exact) == 1
	for _, it := range r.got {
		if err := c.item(it); err != nil {
			return c.tally, fmt.Errorf("%s %q %.30q: %w", itemNames[it.what], it.id, it.data, err)
		}
	}
	if c.at < len(all) && !c.unbound {
		return c.tally, fmt.Errorf("it has everything up to %d only, not %d", c.at, len(all))
	}
	return c.tally, nil
}

func (c *checker) item(it item) error {
	switch it.what {
	case opened:
		c.lastID, c.begin, c.told = it.id, true, false
	case stands:
		return c.stands(it)
	case noticed:
		return c.noticed(it)
	case received:
		return c.received(it)
	case endOfBody:
		c.cutOff = true
		if c.cut++; c.reader.sub.Slow != hub.Cut {
			return fmt.Errorf("the stream ended")
		}
	case dropped:
		c.drops++
	case broke:
		return it.err
	}
	return nil
}

// position returns the position of an ID that is one.
func (c *checker) position(id string) (int, bool) {
	epoch, seq, ok := eventlog.ParseID(id)
	return int(seq), ok && epoch == c.reader.world.hub.Log().Epoch()
}

// stands checks where a stream says it stands: where the reader was, if it came
// with an ID and was told of no gap.
func (c *checker) stands(it item) error {
	p, ok := c.position(it.id)
	switch {
	case !ok || !c.begin && !c.told:
		return fmt.Errorf("not a position, or not at the beginning of a stream")
	case c.told:
		c.missing += c.count(c.at, p)
	case c.lastID == "":
		c.floor = c.beforeStart(it)
	case c.cutOff:
		return fmt.Errorf("no notice after the stream was closed because messages were lost")
	case p != c.at:
		return fmt.Errorf("the reader came with the ID of position %d", c.at)
	default:
		c.resumed++
		c.floor = 0
	}
	c.at, c.begin, c.told, c.unbound = p, false, false, c.lastID == "" && c.reader.start == "since=start" && c.single
	return nil
}

// beforeStart returns up to where messages may be missing because they are older
// than the start. With one topic these are all before the first that comes.
func (c *checker) beforeStart(it item) int {
	if c.reader.start == "" || c.single {
		return 0
	}
	return it.head
}

// noticed checks a notice and moves on to where the stream goes on.
func (c *checker) noticed(it item) error {
	g := it.gap
	newest, ok := c.position(g.Newest)
	if !ok || g.Policy != c.reader.sub.Policy.String() {
		return fmt.Errorf("newest or policy is wrong: %+v", g)
	}
	first := c.begin
	requested, err := c.requested(g)
	if err != nil {
		return err
	}
	c.begin, c.cutOff = false, false
	if c.floor = 0; !c.single {
		c.floor = newest // messages of other topics may be missing between those that follow
	}
	if it.id == "" {
		c.at, c.told, c.unbound = requested, first, !first
		return nil
	}
	after, ok := c.position(it.id)
	switch {
	case !ok:
		return fmt.Errorf("the notice has no position")
	case after < requested && g.Policy != "all" && g.Reason != "unknown":
		return fmt.Errorf("notice %+v: it goes on from %d, before %d", g, after, requested)
	case c.single && g.Reason == "slow" && c.count(requested, after) == 0:
		return fmt.Errorf("nothing is missing between %d and %d", requested, after)
	}
	c.missing += c.count(requested, after)
	c.at = after
	return nil
}

// requested checks what the notice says the reader had asked for, or reached, and
// returns the position.
func (c *checker) requested(g *hub.Gap) (int, error) {
	switch g.Reason {
	case "expired", "unknown":
		if !c.begin || g.Requested != c.lastID || c.lastID == "" {
			return 0, fmt.Errorf("notice %+v, but the reader came with %q", g, c.lastID)
		}
		c.expired += count(g.Reason == "expired")
		c.unknown += count(g.Reason == "unknown")
		return c.at, nil
	case "slow":
		c.slow++
		p, ok := c.position(g.Requested)
		if c.begin || c.told || !ok || !c.unbound && (p < c.at || c.reader.sub.Policy != hub.Reset && c.unexplained(p+1) > 0) {
			return 0, fmt.Errorf("notice %+v, but the reader has everything up to %d", g, c.at)
		}
		return p, nil
	}
	return 0, fmt.Errorf("notice %+v: unexpected reason", g)
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// received checks a message: it is what was published, follows the one before, and
// whatever lies between is accounted for.
func (c *checker) received(it item) error {
	if c.begin || c.told {
		return fmt.Errorf("a message before the stream has said where it stands")
	}
	p := numberOf(it.data) + 1
	if it.data == "end" {
		p = len(c.all)
	}
	if p > len(c.all) || it.data != string(c.all[p-1].Data) || it.id != c.all[p-1].wireID || !c.selected(p) {
		return fmt.Errorf("not a message for this reader: position %d", p)
	}
	switch {
	case p <= c.at:
		return fmt.Errorf("position %d again, or out of order: it has everything up to %d", p, c.at)
	case c.unbound:
		c.missing += c.count(c.at, p-1)
	case c.unexplained(p) > 0:
		return fmt.Errorf("%d messages missing between %d and %d without a notice", c.unexplained(p), c.at, p)
	}
	c.messages++
	c.at, c.unbound = p, false
	return nil
}

// unexplained counts the messages for the reader between at and p that it should
// have got.
func (c *checker) unexplained(p int) int { return c.count(max(c.at, c.floor), p-1) }

// count counts the messages for the reader in (after, upTo].
func (c *checker) count(after, upTo int) (n int) {
	for p := after + 1; p <= upTo; p++ {
		n += count(c.selected(p))
	}
	return n
}

func (c *checker) selected(p int) bool {
	return c.reader.selector.MatchEntry(&eventlog.Entry{Message: c.all[p-1].Message})
}
