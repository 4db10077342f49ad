package topic

// smallSet is the size up to which looking through a set beats hashing.
const smallSet = 16

// A set holds values without order. Most sets hold one, which lies in the set
// itself.
type set[T comparable] struct {
	only T
	one  bool      // only is the one value
	more *crowd[T] // the values, if there are several
}

// add reports whether v is new.
func (s *set[T]) add(v T) bool {
	switch {
	case s.more != nil:
		return s.more.add(v)
	case !s.one:
		s.only, s.one = v, true
		return true
	case s.only == v:
		return false
	}
	more := &crowd[T]{items: []T{s.only, v}}
	*s = set[T]{more: more}
	return true
}

// remove reports whether v was there.
func (s *set[T]) remove(v T) bool {
	switch {
	case s.more != nil:
		if !s.more.remove(v) {
			return false
		}
		if items := s.more.items; len(items) == 1 {
			*s = set[T]{only: items[0], one: true}
		}
		return true
	case s.one && s.only == v:
		*s = set[T]{}
		return true
	}
	return false
}

func (s *set[T]) empty() bool { return !s.one && s.more == nil }

func (s *set[T]) each(fn func(T)) {
	if s.one {
		fn(s.only)
		return
	}
	if s.more != nil {
		for _, v := range s.more.items {
			fn(v)
		}
	}
}

// A crowd holds several values, as a slice that is quick to go through. Past
// smallSet it also knows where each value is.
type crowd[T comparable] struct {
	items []T
	where map[T]int
}

// add reports whether v is new.
func (s *crowd[T]) add(v T) bool {
	if s.find(v) >= 0 {
		return false
	}
	s.items = append(s.items, v)
	if s.where != nil {
		s.where[v] = len(s.items) - 1
	} else if len(s.items) > smallSet {
		s.where = make(map[T]int, 2*len(s.items))
		for i, v := range s.items {
			s.where[v] = i
		}
	}
	return true
}

// remove reports whether v was there.
func (s *crowd[T]) remove(v T) bool {
	i := s.find(v)
	if i < 0 {
		return false
	}
	last := len(s.items) - 1
	moved := s.items[last]
	s.items[i] = moved
	clear(s.items[last:])
	s.items = s.items[:last]
	if s.where != nil {
		s.where[moved] = i
		delete(s.where, v)
	}
	return true
}

func (s *crowd[T]) find(v T) int {
	if s.where != nil {
		if i, ok := s.where[v]; ok {
			return i
		}
		return -1
	}
	for i, have := range s.items {
		if have == v {
			return i
		}
	}
	return -1
}
