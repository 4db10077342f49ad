package durable

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

const (
	// commitTime is how long a change is tried again when others change the same.
	commitTime = 5 * time.Second
	// syncTime bounds how long a request waits to learn what other nodes have stored.
	syncTime = 5 * time.Second
)

// A view is what a change is decided from. The values that were read are those that the
// change rests on: it is stored only if they are still the same then, in the log that all
// nodes share.
type view struct {
	log  eventlog.Log
	read []eventlog.Put
	room [4]eventlog.Put // for what most changes read
}

// view returns a view in which nothing has been read.
func (h *Handler) view() *view {
	v := &view{log: h.hub.Log()}
	v.read = v.room[:0]
	return v
}

// value returns the value of a key, the same each time.
func (v *view) value(key string) []byte {
	for _, p := range v.read {
		if p.Key == key {
			return p.Value
		}
	}
	return v.first(key)
}

// first is value for a key that has not been asked for.
func (v *view) first(key string) []byte {
	p := eventlog.Put{Key: key, Value: v.log.Value(key)}
	v.read = append(v.read, p)
	return p.Value
}

// holds reports whether all values are still the same, as far as this node knows.
func (v *view) holds() bool {
	for _, p := range v.read {
		if !bytes.Equal(v.log.Value(p.Key), p.Value) {
			return false
		}
	}
	return true
}

// commit stores what decide returns, or returns its error. decide is called again when
// what it has read has changed meanwhile, here or on another node, and also before an
// error is final, when this node knows what others had stored: it must have no effect but
// on its own variables.
func (h *Handler) commit(ctx context.Context, decide func(v *view) (hub.Change, error)) ([]hub.Receipt, error) {
	synced := !h.hub.Shared()
	until := time.Now().Add(commitTime)
	for try := 0; ; try++ {
		v := h.view()
		c, err := decide(v)
		switch {
		case err == nil:
			c.Expect = v.read
			receipts, err := h.hub.CommitIf(ctx, c)
			if !errors.Is(err, hub.ErrChanged) {
				return receipts, err
			}
		case v.holds() && synced:
			return nil, err
		case v.holds():
			if err := h.sync(ctx); err != nil {
				return nil, err
			}
			synced = true
		}
		if time.Now().After(until) {
			return nil, errBusy
		}
		pause(try)
	}
}

// pause lets others through, the longer the more often they were faster.
func pause(try int) {
	if try > 2 {
		time.Sleep(rand.N(time.Duration(min(try, 20)) * 100 * time.Microsecond))
	}
}

// sync returns when this node knows what other nodes had stored before the call, or the
// reason why it cannot know.
func (h *Handler) sync(ctx context.Context) error {
	if !h.hub.Shared() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, syncTime)
	defer cancel()
	if h.hub.Sync(ctx) != nil {
		return hub.ErrUnavailable
	}
	return nil
}
