package durable

// SweepEvery is the time between two looks for streams that have expired.
const SweepEvery = sweepEvery

// Locks is how many streams are locked, or would be by those that wait.
func (h *Handler) Locks() int {
	h.locks.mu.Lock()
	defer h.locks.mu.Unlock()
	return len(h.locks.byName)
}
