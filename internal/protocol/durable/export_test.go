package durable

import (
	"context"
	"fmt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// SweepEvery is the time between two looks for streams that have expired.
const SweepEvery = sweepEvery

// Locks is how many streams are locked, or would be by those that wait.
func (h *Handler) Locks() int {
	h.locks.mu.Lock()
	defer h.locks.mu.Unlock()
	return len(h.locks.byName)
}

// Contend decides a change that somebody else is always faster than.
func (h *Handler) Contend() error {
	n := 0
	_, err := h.commit(context.Background(), func(v *view) (hub.Change, error) {
		v.value("contended")
		n++
		_, err := h.hub.Commit(context.Background(), []eventlog.Put{{Key: "contended", Value: fmt.Append(nil, n)}})
		return hub.Change{}, err
	})
	return err
}
