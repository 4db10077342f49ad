package topic

import "strings"

// Patterns is a set of patterns of which one has to match. It does not change, so any
// number of goroutines may ask it at once.
type Patterns struct{ root branch }

// A branch is what patterns have in common up to some segment.
type branch struct {
	literal map[string]*branch // by the next segment
	any     *branch            // behind "*"
	rest    bool               // "**" follows
	end     bool               // a pattern ends here
}

// NewPatterns returns the set of patterns that have passed [CheckPattern].
func NewPatterns(patterns []string) *Patterns {
	ps := new(Patterns)
	for _, p := range patterns {
		ps.root.add(p)
	}
	return ps
}

func (b *branch) add(pattern string) {
	for more := true; more; {
		var segment string
		segment, pattern, more = strings.Cut(pattern, "/")
		if segment == rest && !more {
			b.rest = true
			return
		}
		b = b.next(segment)
	}
	b.end = true
}

func (b *branch) next(segment string) *branch {
	if segment == one {
		if b.any == nil {
			b.any = new(branch)
		}
		return b.any
	}
	if b.literal == nil {
		b.literal = make(map[string]*branch)
	}
	if b.literal[segment] == nil {
		b.literal[segment] = new(branch)
	}
	return b.literal[segment]
}

// Match reports whether one of the patterns matches a name. It does not allocate, and
// looks at each branch once at most.
func (ps *Patterns) Match(name string) bool { return ps.root.match(name, true) }

// match looks at what is left of a name; more is false if nothing is.
func (b *branch) match(name string, more bool) bool {
	if b.rest {
		return true
	}
	if !more {
		return b.end
	}
	segment, name, more := strings.Cut(name, "/")
	if next := b.literal[segment]; next != nil && next.match(name, more) {
		return true
	}
	return b.any != nil && b.any.match(name, more)
}
