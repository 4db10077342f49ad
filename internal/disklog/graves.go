package disklog

import (
	"cmp"
	"slices"
	"sync"
)

// graves are what the index has given up and the file still has. There are never
// more entries in them than the file has.
type graves struct {
	mu      sync.Mutex
	entries []grave             // guarded by mu
	topics  map[string]struct{} // guarded by mu
	dug     chan struct{}       // capacity 1: there are some
}

func (g *graves) signal() {
	select {
	case g.dug <- struct{}{}:
	default:
	}
}

// A grave is an entry to be deleted. lost is false if a newer state has taken its place.
type grave struct {
	seq  uint64
	lost bool
}

func (g *graves) addEntry(e grave) {
	g.mu.Lock()
	g.entries = append(g.entries, e)
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

// take returns up to n entries, sorted, and the topics, and forgets them.
func (g *graves) take(n int) (entries []grave, topics map[string]struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n = min(n, len(g.entries))
	entries = slices.Clone(g.entries[:n])
	slices.SortFunc(entries, func(a, b grave) int { return cmp.Compare(a.seq, b.seq) })
	if g.entries = g.entries[n:]; len(g.entries) == 0 {
		g.entries = nil
	}
	topics, g.topics = g.topics, nil
	return entries, topics
}

// putBack is for what could not be deleted.
func (g *graves) putBack(entries []grave, topics map[string]struct{}) {
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
