package disklog

import (
	"slices"
	"sync"
)

// graves are what the index has given up and the file still has. There are never
// more entries in them than the file has.
type graves struct {
	mu      sync.Mutex
	entries []uint64            // guarded by mu; positions
	topics  map[string]struct{} // guarded by mu
	dug     chan struct{}       // capacity 1: there are some
}

func (g *graves) signal() {
	select {
	case g.dug <- struct{}{}:
	default:
	}
}

func (g *graves) addEntry(seq uint64) {
	g.mu.Lock()
	g.entries = append(g.entries, seq)
	g.mu.Unlock()
	g.signal()
}

func (g *graves) addTopic(name string) {
	g.mu.Lock()
	if g.topics == nil {
		g.topics = make(map[string]struct{})
	}
	g.topics[name] = struct{}{}
	g.mu.Unlock()
	g.signal()
}

func (g *graves) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.entries) + len(g.topics)
}

// take returns up to n positions, sorted, and the topics, and forgets them.
func (g *graves) take(n int) (entries []uint64, topics map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n = min(n, len(g.entries))
	entries = slices.Clone(g.entries[:n])
	slices.Sort(entries)
	if g.entries = g.entries[n:]; len(g.entries) == 0 {
		g.entries = nil
	}
	topics, g.topics = g.topics, nil
	return entries, topics
}

// putBack is for what could not be deleted.
func (g *graves) putBack(entries []uint64, topics map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.entries = append(entries, g.entries...)
	for name := range topics {
		if g.topics == nil {
			g.topics = make(map[string]struct{})
		}
		g.topics[name] = struct{}{}
	}
}
