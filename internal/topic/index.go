package topic

import "strings"

// An Index maps patterns to values and finds the values whose pattern matches a
// name. The zero value is ready to use. It must not be copied.
//
// Patterns without a wildcard are found with one map lookup. The others lie in a
// tree with a level for each segment, of which a look-up visits only the nodes
// that agree with the beginning of the name.
type Index[T comparable] struct {
	single map[string]T         // the value of names that have one, as most have
	crowds map[string]*crowd[T] // the values of names that have several
	wild   node[T]
	pairs  int
}

// A node stands for the beginning of a pattern.
type node[T comparable] struct {
	kids map[string]*node[T] // by next segment
	star *node[T]            // next segment "*"
	here set[T]              // patterns that end at this node
	deep set[T]              // patterns that end with "**" at this node
}

// Add adds v under pattern, which must have passed [CheckPattern]. Adding the
// same pair again changes nothing. The index keeps pattern.
func (x *Index[T]) Add(pattern string, v T) {
	added := false
	if IsPattern(pattern) {
		added = x.wild.place(pattern).add(v)
	} else {
		added = x.addExact(pattern, v)
	}
	if added {
		x.pairs++
	}
}

func (x *Index[T]) addExact(name string, v T) bool {
	if c := x.crowds[name]; c != nil {
		return c.add(v)
	}
	only, ok := x.single[name]
	switch {
	case ok && only == v:
		return false
	case ok:
		if x.crowds == nil {
			x.crowds = make(map[string]*crowd[T])
		}
		x.crowds[name] = &crowd[T]{items: []T{only, v}}
		delete(x.single, name)
	default:
		if x.single == nil {
			x.single = make(map[string]T)
		}
		x.single[name] = v
	}
	return true
}

func (x *Index[T]) removeExact(name string, v T) bool {
	c := x.crowds[name]
	if c == nil {
		only, ok := x.single[name]
		if !ok || only != v {
			return false
		}
		delete(x.single, name)
		return true
	}
	if !c.remove(v) {
		return false
	}
	if len(c.items) == 1 {
		delete(x.crowds, name)
		x.single[name] = c.items[0]
	}
	return true
}

// Remove takes the pair away and reports whether it was there.
func (x *Index[T]) Remove(pattern string, v T) bool {
	removed := false
	if IsPattern(pattern) {
		removed = x.wild.remove(pattern, v)
	} else {
		removed = x.removeExact(pattern, v)
	}
	if removed {
		x.pairs--
	}
	return removed
}

// Len is the number of pairs in the index.
func (x *Index[T]) Len() int { return x.pairs }

// Each calls fn for every value whose pattern matches name, in no particular
// order: a value that was added under two matching patterns comes twice. fn must
// not change the index.
//
// Hot path: it does not allocate. Its cost is that of the matches and of the
// patterns that agree with the beginning of name; other patterns cost nothing.
func (x *Index[T]) Each(name string, fn func(T)) {
	if only, ok := x.single[name]; ok {
		fn(only)
	} else if c := x.crowds[name]; c != nil {
		for _, v := range c.items {
			fn(v)
		}
	}
	x.wild.each(name, fn)
}

// place returns the set that belongs to pattern and makes it if need be.
func (n *node[T]) place(pattern string) *set[T] {
	seg, tail, more := strings.Cut(pattern, "/")
	if seg == rest && !more {
		return &n.deep
	}
	kid := n.kid(seg)
	if kid == nil {
		kid = new(node[T])
		n.setKid(seg, kid)
	}
	if !more {
		return &kid.here
	}
	return kid.place(tail)
}

func (n *node[T]) kid(seg string) *node[T] {
	if seg == one {
		return n.star
	}
	return n.kids[seg]
}

func (n *node[T]) setKid(seg string, kid *node[T]) {
	switch {
	case seg == one:
		n.star = kid
	case kid == nil:
		delete(n.kids, seg)
	default:
		if n.kids == nil {
			n.kids = make(map[string]*node[T])
		}
		n.kids[seg] = kid
	}
}

// remove takes v from below n, and the nodes that are empty then.
func (n *node[T]) remove(pattern string, v T) bool {
	seg, tail, more := strings.Cut(pattern, "/")
	if seg == rest && !more {
		return n.deep.remove(v)
	}
	kid := n.kid(seg)
	if kid == nil {
		return false
	}
	var removed bool
	if more {
		removed = kid.remove(tail, v)
	} else {
		removed = kid.here.remove(v)
	}
	if kid.empty() {
		n.setKid(seg, nil)
	}
	return removed
}

func (n *node[T]) empty() bool {
	return len(n.kids) == 0 && n.star == nil && n.here.empty() && n.deep.empty()
}

// each visits what matches name, the part of the topic that lies below n.
func (n *node[T]) each(name string, fn func(T)) {
	n.deep.each(fn)
	if n.kids == nil && n.star == nil {
		return
	}
	seg, tail, more := strings.Cut(name, "/")
	if kid := n.kids[seg]; kid != nil {
		kid.arrive(tail, more, fn)
	}
	if n.star != nil {
		n.star.arrive(tail, more, fn)
	}
}

func (n *node[T]) arrive(tail string, more bool, fn func(T)) {
	if more {
		n.each(tail, fn)
		return
	}
	n.here.each(fn)
	n.deep.each(fn)
}
