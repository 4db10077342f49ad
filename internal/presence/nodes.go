package presence

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// newNode returns a name that sorts by the time at which it was made.
func newNode() string {
	return fmt.Sprintf("%012x-%s", time.Now().UnixMilli(), strings.ToLower(rand.Text()[:8]))
}

// beat tells that this node is alive, when it is time to, and looks who else is.
func (p *Presence) beat(ctx context.Context) error {
	if time.Since(p.beaten) < p.opts.Beat {
		return nil
	}
	n := strconv.FormatUint(p.beatsNow()+1, 10)
	if err := p.commit(ctx, batch{puts: []eventlog.Put{{Key: p.ownKey(), Value: []byte(n)}}}); err != nil {
		return err
	}
	p.beaten = time.Now()
	dead, leading := p.census()
	p.lead(leading)
	if !leading {
		return nil
	}
	for _, node := range dead {
		p.opts.Log.Warn("presence: a node is gone without a word", "node", node)
		if err := p.erase(ctx, node); err != nil {
			return err
		}
	}
	return nil
}

func (p *Presence) beatsNow() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.beats
}

// census counts a beat of this node, forgets the nodes that have missed too many, and
// reports whether this one is the oldest.
func (p *Presence) census() (dead []string, oldest bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beats++
	oldest = true
	for node, seen := range p.nodes {
		switch {
		case p.beats-seen > deadBeats:
			dead = append(dead, node)
			p.forget(node)
		case node < p.opts.Node:
			oldest = false
		}
	}
	return dead, oldest
}

// Nodes returns how many nodes are alive, with this one.
func (p *Presence) Nodes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return 1 + len(p.nodes)
}

// Leads tells whenever this node has become the one that acts for all, or has ceased to
// be. Without other nodes it is so from the start. One goroutine may receive.
func (p *Presence) Leads() <-chan bool { return p.leads }

// lead notes whether this node acts for all. A new leader looks at everything.
func (p *Presence) lead(leading bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if leading == p.leading {
		return
	}
	p.leading = leading
	clear(p.due)
	if leading {
		p.lookAtAll()
	}
	select { // only the newest counts
	case <-p.leads:
	default:
	}
	p.leads <- leading
}

// lookAtAll has everything looked at that was told, or may have to be. mu is held.
func (p *Presence) lookAtAll() {
	for name, users := range p.announced {
		for user := range users {
			p.look(Who{name, user})
		}
	}
	for w := range p.readers.All() {
		p.look(w)
		p.look(Who{w.Topic, ""})
	}
}
