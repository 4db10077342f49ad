package eventlog

// queues is a list of topics, the one that is idle for longest first.
type queues struct {
	first, last *queue
}

func (l *queues) push(q *queue) {
	q.in, q.prev, q.next = l, l.last, nil
	if l.last != nil {
		l.last.next = q
	} else {
		l.first = q
	}
	l.last = q
}

// leave takes q out of the list it is in, if any.
func (q *queue) leave() {
	l := q.in
	if l == nil {
		return
	}
	if q.prev != nil {
		q.prev.next = q.next
	} else {
		l.first = q.next
	}
	if q.next != nil {
		q.next.prev = q.prev
	} else {
		l.last = q.prev
	}
	q.in, q.prev, q.next = nil, nil, nil
}
