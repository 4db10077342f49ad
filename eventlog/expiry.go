package eventlog

import "container/heap"

// An expiry is a heap of the topics with a MaxAge that keep something, by the
// time at which one must be looked at. That time is never later than the topic's
// oldest entry expires, but may be earlier: when entries leave for other reasons
// the heap is left alone until then.
type expiry []*queue

// watch makes sure that q, which keeps something, is in the heap.
func (x *expiry) watch(q *queue) {
	if q.heapAt < 0 && q.keep.MaxAge > 0 {
		q.due = q.expires()
		heap.Push(x, q)
	}
}

// ignore takes q out of the heap.
func (x *expiry) ignore(q *queue) {
	if q.heapAt >= 0 {
		heap.Remove(x, q.heapAt)
	}
}

// sweep drops up to limits.sweep of the entries that have expired at now. It reports
// whether it has dropped all.
func (m *Memory) sweep(now int64) (done bool) {
	left := m.limits.sweep
	for len(m.expiry) > 0 && m.expiry[0].due <= now {
		q := m.expiry[0]
		for q.kept.n > 0 && q.expires() <= now {
			if left == 0 {
				return false
			}
			left--
			m.trim(q)
		}
		if q.kept.n == 0 {
			heap.Pop(&m.expiry)
		} else {
			q.due = q.expires()
			heap.Fix(&m.expiry, 0)
		}
	}
	return true
}

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (x expiry) Len() int { return len(x) }

func (x expiry) Less(i, j int) bool { return x[i].due < x[j].due }

func (x expiry) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].heapAt, x[j].heapAt = i, j
}

func (x *expiry) Push(v any) {
	q := v.(*queue)
	q.heapAt = len(*x)
	*x = append(*x, q)
}

func (x *expiry) Pop() any {
	last := len(*x) - 1
	q := (*x)[last]
	(*x)[last] = nil
	*x = (*x)[:last]
	q.heapAt = -1
	return q
}
