package topic

// smallSet is the size up to which looking through a set beats hashing.
const smallSet = 16

// A set holds values without order, as a slice that is quick to go through. Past
// smallSet it also knows where each value is.
type set[T comparable] struct {
	items []T
	where map[T]int
}

// add reports whether v is new.
func (s *set[T]) add(v T) bool {
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
func (s *set[T]) remove(v T) bool {
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
	if last == 0 {
		*s = set[T]{}
	}
	return true
}

func (s *set[T]) find(v T) int {
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

func (s *set[T]) each(fn func(T)) {
	for _, v := range s.items {
		fn(v)
	}
}
