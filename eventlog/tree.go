package eventlog

import "strings"

// A node of the tree of topics: a topic, or the beginning of topics, segment by
// segment. The tree answers for a pattern, without going through all topics, how
// much its topics have lost, and which they are if they are few.
//
// Topics that are dropped leave their mark in below and under of the nodes above
// them. That is never more than Memory.forgotten, which counts for every pattern.
type node struct {
	parent *node
	seg    string           // key in parent.kids
	kids   map[string]*node // by next segment
	q      *queue           // nil if there is no such topic
	under  uint64           // highest queue.gone of the topics one level below
	below  uint64           // highest queue.gone of this topic and all below it
}

// maxVisit is how many nodes one question to the tree may look at.
const maxVisit = 4096

// insert returns the node of a topic and makes it if need be.
func (n *node) insert(name string) *node {
	for more := true; more; {
		var seg string
		seg, name, more = strings.Cut(name, "/")
		kid := n.kids[seg]
		if kid == nil {
			kid = &node{parent: n, seg: seg}
			if n.kids == nil {
				n.kids = make(map[string]*node)
			}
			n.kids[seg] = kid
		}
		n = kid
	}
	return n
}

// remove takes the topic out of n, and the nodes that lead nowhere then.
func (n *node) remove() {
	n.q = nil
	for n.q == nil && len(n.kids) == 0 && n.parent != nil {
		delete(n.parent.kids, n.seg)
		n = n.parent
	}
}

// mark notes that the topic of n has lost the entry at seq.
func (n *node) mark(seq uint64) {
	n.parent.under = max(n.parent.under, seq)
	// Whatever a node has in below, the nodes above it have at least that.
	for ; n != nil && n.below < seq; n = n.parent {
		n.below = seq
	}
}

// gone returns the highest queue.gone of the topics that pattern selects, if it is
// above floor. visits is what may be looked at; when it is used up the answer may
// be that of topics that pattern does not select.
func (n *node) gone(pattern string, floor uint64, visits *int) uint64 {
	if n.below <= floor {
		return floor
	}
	seg, tail, more := strings.Cut(pattern, "/")
	switch {
	case seg == "**":
		return n.below
	case seg == "*" && !more:
		return max(floor, n.under)
	case seg != "*":
		*visits--
		return n.kids[seg].goneHere(tail, more, floor, visits)
	}
	for _, kid := range n.kids {
		if *visits--; *visits <= 0 {
			return n.below
		}
		floor = kid.goneHere(tail, more, floor, visits)
	}
	return floor
}

// goneHere is gone for the node that a segment led to; tail is the rest.
func (n *node) goneHere(tail string, more bool, floor uint64, visits *int) uint64 {
	switch {
	case n == nil:
		return floor
	case more:
		return n.gone(tail, floor, visits)
	case n.q != nil:
		return max(floor, n.q.gone)
	}
	return floor
}

// collect calls add for each topic that pattern selects, until add returns false or
// visits nodes have been looked at. It reports whether it got through.
func (n *node) collect(pattern string, add func(*queue) bool, visits *int) bool {
	seg, tail, more := strings.Cut(pattern, "/")
	switch {
	case seg == "**":
		return n.collectAll(add, visits)
	case seg != "*":
		return n.kids[seg].collectHere(tail, more, add, visits)
	}
	for _, kid := range n.kids {
		if !kid.collectHere(tail, more, add, visits) {
			return false
		}
	}
	return true
}

func (n *node) collectHere(tail string, more bool, add func(*queue) bool, visits *int) bool {
	if n == nil {
		return true
	}
	if *visits--; *visits < 0 {
		return false
	}
	if more {
		return n.collect(tail, add, visits)
	}
	return n.q == nil || add(n.q)
}

// collectAll calls add for the topic of n and all below it.
func (n *node) collectAll(add func(*queue) bool, visits *int) bool {
	if *visits--; *visits < 0 || n.q != nil && !add(n.q) {
		return false
	}
	for _, kid := range n.kids {
		if !kid.collectAll(add, visits) {
			return false
		}
	}
	return true
}
