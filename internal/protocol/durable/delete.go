package durable

import (
	"context"
	"net/http"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// delete serves DELETE.
func (h *Handler) delete(w http.ResponseWriter, r *http.Request, name string) error {
	err := h.remove(context.WithoutCancel(r.Context()), name, func(v *view) error {
		_, err := h.live(v, name)
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
	err := h.remove(context.Background(), name, func(v *view) error {
		s, err := v.load(name)
		v.value(deadlineKey + name) // it may be put off meanwhile
		if err == nil && (s.Deleted || !h.over(name, s)) {
			err = errNotFound
		}
		return err
	})
	if err == errNotFound { // it is used again, or somebody else has deleted it
		return nil
	}
	return err
}

// remove deletes a stream, if may has nothing against it. While it has forks it is only
// hidden, since they need its messages.
func (h *Handler) remove(ctx context.Context, name string, may func(v *view) error) error {
	_, err := h.commit(ctx, func(v *view) (c hub.Change, err error) {
		if err = may(v); err == nil {
			err = v.take(name, &c)
		}
		return c, err
	})
	return err
}

// take adds to c that a stream is deleted, and its ancestors if they had been deleted and
// were here only for it.
func (v *view) take(name string, c *hub.Change) error {
	s, err := v.load(name)
	if err != nil {
		return err
	}
	c.Puts = append(c.Puts, eventlog.Put{Key: deadlineKey + name}, eventlog.Put{Key: writerKey + name})
	c.Puts = append(c.Puts, v.forgetProducers(name)...)
	if s.Forks > 0 {
		s.Deleted = true
		c.Puts = append(c.Puts, s.put(name))
		return nil
	}
	return v.takeWhole(name, s, c)
}

// takeWhole adds a stream without forks. It is the last one of its source, perhaps.
func (v *view) takeWhole(name string, s *state, c *hub.Change) error {
	c.Puts = append(c.Puts, eventlog.Put{Key: stateKey + name})
	c.Forget = append(c.Forget, name)
	if s.Fork == nil {
		return nil
	}
	source, err := v.load(s.Fork.From)
	if err != nil {
		return err
	}
	source.Forks--
	if source.Deleted && source.Forks == 0 {
		return v.takeWhole(s.Fork.From, source, c)
	}
	c.Puts = append(c.Puts, source.put(s.Fork.From))
	return nil
}
