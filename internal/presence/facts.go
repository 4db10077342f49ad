package presence

import (
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/limit"
)

// A batch is stored at once.
type batch struct {
	puts     []eventlog.Put
	messages []hub.Message
}

// mostInBatch bounds the values and messages of one.
const mostInBatch = 1000

// Keys of values. Topics and limit.Keys have no zero byte, and no node has a slash.
const (
	nodesKey     = "nodes/"
	announcedKey = "presence/"
	readerKind   = "p/"
	limitKind    = "l/"
)

// readerFact is the name of a fact of a node: how many connections a user has.
func readerFact(w Who) string { return readerKind + w.Topic + "\x00" + w.User }

// limitFact is the name of a fact of a node: how many streams are open.
func limitFact(k limit.Key) string {
	text, _ := k.MarshalText() // never fails
	return limitKind + string(text)
}

// A presentFact is the value of a readerFact.
type presentFact struct {
	Connections int             `json:"n"`
	Info        json.RawMessage `json:"info,omitempty"`
}

// fact returns the value of a fact of this node; nil if there is none.
func (p *Presence) fact(name string) []byte {
	kind, rest := name[:len(readerKind)], name[len(readerKind):]
	var value any
	n := 0
	if kind == readerKind {
		w := parseWho(rest)
		n = p.readers.Of(p.opts.Node, w)
		value = presentFact{n, json.RawMessage(p.infoOf(w))}
	} else {
		var k limit.Key
		if k.UnmarshalText([]byte(rest)) == nil {
			n = p.slots.OpenOf(k)
			p.streams.Set(p.opts.Node, k, n)
		}
		value = n
	}
	if n == 0 {
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		panic("presence: " + err.Error())
	}
	return text
}

func (p *Presence) infoOf(w Who) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info[w]
}

func parseWho(text string) Who {
	name, user, _ := strings.Cut(text, "\x00")
	return Who{name, user}
}

// share tells the other nodes what they do not know.
func (p *Presence) share(ctx context.Context) error {
	for {
		facts := p.takeUnshared()
		if len(facts) == 0 {
			return nil
		}
		var b batch
		for _, name := range facts {
			b.puts = append(b.puts, eventlog.Put{Key: p.ownKey() + "/" + name, Value: p.fact(name)})
		}
		if err := p.commit(ctx, b); err != nil {
			for _, name := range facts {
				p.touch(name)
			}
			return err
		}
	}
}

// takeUnshared takes as many facts as one batch has.
func (p *Presence) takeUnshared() (facts []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name := range p.unshared {
		if len(facts) == mostInBatch {
			break
		}
		facts = append(facts, name)
		delete(p.unshared, name)
	}
	return facts
}

func (p *Presence) ownKey() string { return nodesKey + p.opts.Node }

// take takes a value of the log.
func (p *Presence) take(key string, value []byte) {
	if rest, ok := strings.CutPrefix(key, nodesKey); ok {
		node, fact, _ := strings.Cut(rest, "/")
		p.hear(node, fact, value)
	} else if rest, ok := strings.CutPrefix(key, announcedKey); ok {
		p.noteAnnounced(parseWho(rest), value)
	}
}

// hear takes what a node says.
func (p *Presence) hear(node, fact string, value []byte) {
	if node == p.opts.Node {
		p.correct(fact, value)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case fact == "" && value == nil:
		p.forget(node)
		return
	case fact == "":
		p.nodes[node] = p.beats
		return
	}
	if _, known := p.nodes[node]; !known {
		p.nodes[node] = p.beats
	}
	p.believe(node, fact, value)
}

// believe notes a fact of another node. mu is held.
func (p *Presence) believe(node, fact string, value []byte) {
	if rest, ok := strings.CutPrefix(fact, readerKind); ok {
		var f presentFact
		_ = json.Unmarshal(value, &f) // a fact that was deleted is none: 0
		p.count(node, parseWho(rest), f.Connections, string(f.Info))
		return
	}
	var k limit.Key
	if k.UnmarshalText([]byte(strings.TrimPrefix(fact, limitKind))) == nil {
		n := 0
		_ = json.Unmarshal(value, &n) // likewise
		p.streams.Set(node, k, n)
	}
}

// correct tells a fact of this node again that others have deleted, because they took
// it for gone.
func (p *Presence) correct(fact string, value []byte) {
	if value != nil || fact == "" {
		return
	}
	if p.fact(fact) != nil {
		p.touch(fact)
	}
}

// learn takes what the log has, and what it gets until stop is called.
func (p *Presence) learn() (stop func()) {
	announced, nodes := eventlog.KeepUp(p.log, announcedKey, p.take), eventlog.KeepUp(p.log, nodesKey, p.take)
	if !p.opts.Shared {
		p.lead(true)
	}
	return func() { announced(); nodes() }
}

// depart deletes what others know of this node, so that they need not wait.
func (p *Presence) depart(ctx context.Context) {
	if !p.opts.Shared {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, departTime)
	defer cancel()
	if err := p.erase(ctx, p.opts.Node); err != nil {
		p.opts.Log.Warn("presence: the other nodes will notice that this one has gone", "error", err)
	}
}

// departTime bounds how long a node tells that it has gone.
const departTime = 2 * time.Second

// erase deletes all values of a node.
func (p *Presence) erase(ctx context.Context, node string) error {
	var b batch
	prefix := nodesKey + node
	for key := range p.log.Values(prefix) {
		if key != prefix && !strings.HasPrefix(key, prefix+"/") {
			continue
		}
		b.puts = append(b.puts, eventlog.Put{Key: key})
		if len(b.puts) == mostInBatch {
			if err := p.commit(ctx, b); err != nil {
				return err
			}
			b.puts = nil
		}
	}
	if len(b.puts) == 0 {
		return nil
	}
	return p.commit(ctx, b)
}

// forget drops what a node had. mu is held.
func (p *Presence) forget(node string) {
	delete(p.nodes, node)
	p.streams.Drop(node)
	for w := range maps.Collect(p.readers.Node(node)) {
		p.count(node, w, 0, "")
	}
}
