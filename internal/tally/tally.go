// Package tally counts by key what several nodes have.
package tally

import (
	"iter"
	"maps"
	"sync"
)

// A Tally holds a count of each key for each node that has some. The zero value is
// empty. It may be used by several goroutines at once.
type Tally[K comparable] struct {
	mu    sync.Mutex
	nodes map[string]map[K]int // guarded by mu; no zeroes
	total map[K]int            // guarded by mu: over all nodes; no zeroes
}

// Set says how many a node has of a key, and returns how many it had.
func (t *Tally[K]) Set(node string, key K, n int) (before int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = t.nodes[node][key]
	t.change(node, key, n-before)
	return before
}

// Add changes how many a node has of a key, and returns how many it has now.
func (t *Tally[K]) Add(node string, key K, n int) (now int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.change(node, key, n)
	return t.nodes[node][key]
}

// Drop forgets a node and returns what it had.
func (t *Tally[K]) Drop(node string) map[K]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	had := t.nodes[node]
	delete(t.nodes, node)
	for key, n := range had {
		add(t.total, key, -n)
	}
	return had
}

// Total returns how many all nodes have of a key.
func (t *Tally[K]) Total(key K) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total[key]
}

// Elsewhere returns how many other nodes than this one have of a key.
func (t *Tally[K]) Elsewhere(node string, key K) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total[key] - t.nodes[node][key]
}

// Of returns how many a node has of a key.
func (t *Tally[K]) Of(node string, key K) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.nodes[node][key]
}

// Len returns how many keys a node has some of.
func (t *Tally[K]) Len(node string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.nodes[node])
}

// All yields what all nodes have together, as it was when it was called.
func (t *Tally[K]) All() iter.Seq2[K, int] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.All(maps.Clone(t.total))
}

// Node yields what one node has, as it was when it was called.
func (t *Tally[K]) Node(node string) iter.Seq2[K, int] {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.All(maps.Clone(t.nodes[node]))
}

func (t *Tally[K]) change(node string, key K, n int) {
	if n == 0 {
		return
	}
	if t.nodes == nil {
		t.nodes, t.total = make(map[string]map[K]int), make(map[K]int)
	}
	if t.nodes[node] == nil {
		t.nodes[node] = make(map[K]int)
	}
	add(t.nodes[node], key, n)
	add(t.total, key, n)
	if len(t.nodes[node]) == 0 {
		delete(t.nodes, node)
	}
}

// add keeps no zeroes.
func add[K comparable](m map[K]int, key K, n int) {
	if m[key] += n; m[key] == 0 {
		delete(m, key)
	}
}
