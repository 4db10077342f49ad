package durable

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// delete serves DELETE.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request, name string) error {
	if _, err := h.find(name); err != nil {
		return err
	}
	err := h.remove(context.WithoutCancel(r.Context()), name, func() error {
		_, err := h.live(name)
		return err
	})
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// expire deletes a stream if its time is over.
func (h *Handler) expire(name string) error {
	over := false
	err := h.remove(context.Background(), name, func() error {
		s, err := h.load(name)
		if over = err == nil && !s.Deleted && h.expiry.over(name, s, time.Now()); over {
			return nil
		}
		return errNotFound
	})
	if err != nil && !over { // it is used again, or somebody else has deleted it
		return nil
	}
	return err
}

// A removal is what deleting a stream takes with it: its ancestors, if they had been
// deleted and were here only for it.
type removal struct {
	puts   []eventlog.Put
	gone   []string // streams whose messages go, too
	unlock []func()
}

// remove deletes a stream. While it has forks it is only hidden, since they need its
// messages. may is asked when the stream is locked.
func (h *Handler) remove(ctx context.Context, name string, may func() error) error {
	var r removal
	defer r.end()
	if err := h.lockLine(name, &r); err != nil {
		return err
	}
	if err := may(); err != nil {
		return err
	}
	if err := h.take(name, &r); err != nil {
		return err
	}
	if _, err := h.hub.Commit(ctx, r.puts); err != nil {
		return err
	}
	h.expiry.drop(name)
	var errs []error
	for _, gone := range r.gone {
		_, err := h.hub.Log().Forget(gone)
		errs = append(errs, err)
	}
	h.hub.Wake(name)
	return errors.Join(errs...)
}

// lockLine locks a stream, and everything else if it is a fork: its ancestors are
// locked as take comes to them.
func (h *Handler) lockLine(name string, r *removal) error {
	s, err := h.load(name)
	if err != nil {
		return err
	}
	if s.Fork == nil {
		r.lock(h, name)
		// It may have become a fork since, but that takes a deletion and a creation.
		if s, err = h.load(name); err != nil || s.Fork == nil {
			return err
		}
		r.end()
	}
	h.structure.Lock()
	r.unlock = append(r.unlock, h.structure.Unlock)
	r.lock(h, name)
	return nil
}

func (r *removal) lock(h *Handler, name string) { r.unlock = append(r.unlock, h.locks.lock(name)) }

// end unlocks everything.
func (r *removal) end() {
	for i := len(r.unlock) - 1; i >= 0; i-- {
		r.unlock[i]()
	}
	r.unlock = nil
}

// take adds a stream to the removal, and the ancestors that go with it.
func (h *Handler) take(name string, r *removal) error {
	s, err := h.load(name)
	if err != nil {
		return err
	}
	r.puts = append(r.puts, eventlog.Put{Key: deadlineKey + name}, eventlog.Put{Key: writerKey + name})
	r.puts = append(r.puts, h.forgetProducers(name)...)
	if s.Forks > 0 {
		s.Deleted = true
		r.puts = append(r.puts, s.put(name))
		return nil
	}
	return h.takeWhole(name, s, r)
}

// takeWhole adds a stream without forks. It is the last one of its source, perhaps.
func (h *Handler) takeWhole(name string, s *state, r *removal) error {
	r.puts = append(r.puts, eventlog.Put{Key: stateKey + name})
	r.gone = append(r.gone, name)
	if s.Fork == nil {
		return nil
	}
	r.lock(h, s.Fork.From)
	source, err := h.load(s.Fork.From)
	if err != nil {
		return err
	}
	source.Forks--
	if source.Deleted && source.Forks == 0 {
		return h.takeWhole(s.Fork.From, source, r)
	}
	r.puts = append(r.puts, source.put(s.Fork.From))
	return nil
}
