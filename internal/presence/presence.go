// Package presence knows who reads which topic, on this node and on all others that
// share its log, and publishes who comes and goes.
//
// A stream that opens tells its topics and user with [Presence.Arrive], and calls
// [Stay.Leave] when it ends. What that changes is told at two places:
//
//   - In a log that several nodes share, each node keeps what it has as values:
//     "nodes/ID/p/TOPIC\x00USER" is how many connections a user has to a topic there,
//     "nodes/ID/l/KEY" how many streams somebody has whose number is limited, and
//     "nodes/ID" a count that rises while the node is alive. Every node adds up what
//     all have. One whose count has stood still while another's rose [deadBeats] times is
//     gone, and what it had with it. So nobody counts as gone because the log did not
//     answer.
//   - The oldest node that is alive publishes to "weir/presence/TOPIC": join and leave
//     of users, occupied and vacated of topics. Together with each message it sets or
//     deletes the value "presence/TOPIC\x00USER", so that what has been told is known
//     to whoever takes over, and nothing is told twice or never.
//
// Who has gone is told after a while only: a page that is loaded again has not left.
package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/limit"
	"github.com/weirstream/weir/internal/tally"
	"github.com/weirstream/weir/internal/topic"
)

// Topics of what is published, before the topic that it is about.
const (
	Prefix            = gate.Presence                  // events of users and topics
	ConnectionsPrefix = gate.Reserved + "connections/" // events of connections
)

// A Who is a user as a reader of a topic. User "" is all those without a name; of
// what was told, the topic itself.
type Who struct{ Topic, User string }

// Options configure a Presence. Zero fields take the defaults stated.
type Options struct {
	Hub         *hub.Hub
	Topics      []string      // patterns of topics whose readers are known
	Connections []string      // patterns of topics of which each connection is published
	Shared      bool          // the log has other nodes
	Node        string        // of this process, unlike all others and later in order than older ones; "": made of the time
	Grace       time.Duration // until somebody who has gone is told to have left; 0: at once
	Most        int           // users in topics that this node knows; 0: 100,000
	Log         *slog.Logger  // nil: [slog.Default]

	Share time.Duration // between two looks at what has changed; 0: 100 ms
	Beat  time.Duration // between two signs of life; 0: 3 s
}

// deadBeats is how many signs of life a node may miss.
const deadBeats = 4

// A Presence knows who reads which topic. It may be used by several goroutines at once.
type Presence struct {
	opts                Options
	log                 eventlog.Conditional
	topics, connections *topic.Patterns
	slots               *limit.Slots // nil: no limits are shared

	readers tally.Tally[Who]
	streams tally.Tally[limit.Key]

	mu        sync.Mutex
	rooms     map[string]int               // guarded by mu: connections by topic, on all nodes
	info      map[Who]string               // guarded by mu: of users that are there
	unshared  map[string]struct{}          // guarded by mu: facts that others do not know
	due       map[Who]time.Time            // guarded by mu: what may have to be told, and not before when; zero: not looked at
	announced map[string]map[string]string // guarded by mu: what was told, data by topic and user
	passing   []passing                    // guarded by mu: connections that were opened or closed
	nodes     map[string]uint64            // guarded by mu: other nodes, and the beat of this one when they last lived
	beats     uint64                       // guarded by mu
	refused   int64                        // guarded by mu: arrivals for which there was no room
	lost      int64                        // guarded by mu: passings that were not published
	leading   bool                         // guarded by mu

	beaten time.Time // owned by Run
	leads  chan bool // capacity 1: what leading has become
}

// New returns a Presence. It publishes nothing before [Presence.Run]. The log of the
// hub must be an [eventlog.Conditional].
func New(o Options) *Presence {
	o.Most = cmp.Or(o.Most, 100_000)
	o.Share = cmp.Or(o.Share, 100*time.Millisecond)
	o.Beat = cmp.Or(o.Beat, 3*time.Second)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Node == "" {
		o.Node = newNode()
	}
	return &Presence{
		opts: o, log: o.Hub.Log().(eventlog.Conditional), topics: topic.NewPatterns(o.Topics), connections: topic.NewPatterns(o.Connections),
		rooms: make(map[string]int), info: make(map[Who]string), unshared: make(map[string]struct{}),
		due: make(map[Who]time.Time), announced: make(map[string]map[string]string), nodes: make(map[string]uint64),
		leads: make(chan bool, 1),
	}
}

// Limit makes the limits of slots hold for all nodes together. It is called before
// anything else, once.
func (p *Presence) Limit(slots *limit.Slots) {
	p.slots = slots
	slots.Share(
		func(k limit.Key) int { return p.streams.Elsewhere(p.opts.Node, k) },
		func(k limit.Key) { p.touch(limitFact(k)) })
}

// Known reports whether it is known who reads a topic. Of a pattern, of a topic that
// belongs to the server, and of one whose name is too long to have [ConnectionsPrefix]
// put before it, it never is.
func (p *Presence) Known(name string) bool { return p.topics.Match(name) && watchable(name) }

func watchable(name string) bool {
	return !strings.HasPrefix(name, gate.Reserved) && topic.Check(ConnectionsPrefix+name) == nil
}

// A Stay is a stream that is open.
type Stay struct {
	p    *Presence
	who  []Who // as which it counts
	conn passing
}

// Arrive tells that a stream has opened: to names and patterns, of which names count.
// user may be "", and info a JSON value that others may know, or "". id is that of the
// connection. It returns nil if nobody wants to know.
func (p *Presence) Arrive(names []string, user, info, id string) *Stay {
	s := &Stay{p: p, conn: passing{user: user, id: id}}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		if p.Known(name) && p.enter(Who{name, user}, info) {
			s.who = append(s.who, Who{name, user})
		}
		if p.connections.Match(name) && watchable(name) {
			s.conn.topics = append(s.conn.topics, name)
		}
	}
	if len(s.who)+len(s.conn.topics) == 0 {
		return nil
	}
	p.pass(s.conn, connect)
	return s
}

// Leave tells that the stream has ended. It is called once and does not block; a nil
// Stay is fine.
func (s *Stay) Leave() {
	if s == nil {
		return
	}
	for _, w := range s.who {
		s.p.exit(w)
	}
	s.p.pass(s.conn, disconnect)
}

// enter counts one connection, if there is room.
func (p *Presence) enter(w Who, info string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers.Of(p.opts.Node, w) == 0 && p.readers.Len(p.opts.Node) >= p.opts.Most {
		p.refused++
		return false
	}
	p.count(p.opts.Node, w, p.readers.Of(p.opts.Node, w)+1, info)
	p.unshared[readerFact(w)] = struct{}{}
	return true
}

func (p *Presence) exit(w Who) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(p.opts.Node, w, p.readers.Of(p.opts.Node, w)-1, "")
	p.unshared[readerFact(w)] = struct{}{}
}

// count notes how many connections a user has to a topic at a node. info replaces what
// is known of the user, unless it is empty. mu is held.
func (p *Presence) count(node string, w Who, n int, info string) {
	before := p.readers.Set(node, w, n)
	if p.rooms[w.Topic] += n - before; p.rooms[w.Topic] == 0 {
		delete(p.rooms, w.Topic)
	}
	switch {
	case info != "" && n > 0:
		p.info[w] = info
	case p.readers.Total(w) == 0:
		delete(p.info, w)
	}
	p.look(w)
	p.look(Who{w.Topic, ""})
}

// look has it looked at whether something is to be told. mu is held.
func (p *Presence) look(w Who) {
	if _, waiting := p.due[w]; !waiting && (p.leading || !p.opts.Shared) {
		p.due[w] = time.Time{}
	}
}

// touch notes that others do not know a fact.
func (p *Presence) touch(fact string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unshared[fact] = struct{}{}
}

// Run tells others what changes until ctx ends, and then that this node has gone.
func (p *Presence) Run(ctx context.Context) {
	defer p.learn()()
	tick := time.NewTicker(p.opts.Share)
	defer tick.Stop()
	var failing error
	for {
		select {
		case <-ctx.Done():
			p.depart(context.WithoutCancel(ctx))
			return
		case <-tick.C:
		}
		err := p.turn(ctx)
		if err != nil && failing == nil && ctx.Err() == nil {
			p.opts.Log.Warn("presence: cannot tell who comes and goes; it will be told later", "error", err)
		}
		failing = err
		if errors.Is(err, hub.ErrClosed) {
			return
		}
	}
}

// turn does what there is to do.
func (p *Presence) turn(ctx context.Context) error {
	if p.opts.Shared {
		if err := p.share(ctx); err != nil {
			return err
		}
		if err := p.beat(ctx); err != nil {
			return err
		}
	}
	if err := p.publishPassings(ctx); err != nil {
		return err
	}
	return p.settle(ctx, time.Now())
}

// commit stores values and messages.
func (p *Presence) commit(ctx context.Context, b batch) error {
	if _, err := p.opts.Hub.Commit(ctx, b.puts, b.messages...); err != nil {
		return fmt.Errorf("store %d values and %d messages: %w", len(b.puts), len(b.messages), err)
	}
	return nil
}
