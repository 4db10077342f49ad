package hub

import (
	"context"
	"errors"
	"fmt"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
	"github.com/weirstream/weir/sse"
)

// Publish gives m a position in the log and returns its event ID when the log's
// durability policy is met. It does not wait for readers. It takes ownership of
// m.Data and m.Topics.
//
// The error wraps ErrTopic, ErrID, ErrType or ErrTooLarge if m is at fault.
func (h *Hub) Publish(ctx context.Context, m Message) (id string, err error) {
	ids, err := h.PublishAll(ctx, m)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// PublishAll publishes messages at consecutive positions, or none of them if one
// is at fault, and returns their IDs.
func (h *Hub) PublishAll(ctx context.Context, ms ...Message) (ids []string, err error) {
	entries := make([]*eventlog.Entry, len(ms))
	for i := range ms {
		if err := h.Check(ms[i]); err != nil {
			return nil, err
		}
		entries[i] = &eventlog.Entry{Message: ms[i]}
	}
	if err := h.log.Append(ctx, entries...); err != nil {
		return nil, publishError(err)
	}
	h.published.Add(int64(len(ms)))
	ids = make([]string, len(entries))
	for i, e := range entries {
		ids[i] = h.enc.ID(e)
	}
	return ids, nil
}

// Check reports why m cannot be published, or nil.
func (h *Hub) Check(m Message) error {
	switch {
	case len(m.Topics) == 0:
		return fmt.Errorf("%w: a message needs one", ErrTopic)
	case len(m.Topics) > h.opts.MaxTopics:
		return fmt.Errorf("%w: message has %d topics, limit %d", ErrTooLarge, len(m.Topics), h.opts.MaxTopics)
	case len(m.Data) > h.opts.MaxBytes:
		return fmt.Errorf("%w: message is %d bytes, limit %d", ErrTooLarge, len(m.Data), h.opts.MaxBytes)
	case len(m.ID)+len(m.Type)+len(m.Key) > maxFields:
		return fmt.Errorf("%w: ID, type and key have %d bytes, limit %d", ErrTooLarge, len(m.ID)+len(m.Type)+len(m.Key), maxFields)
	case m.Retry < 0:
		return fmt.Errorf("%w: retry is %v, at least 0", ErrType, m.Retry)
	}
	for _, name := range m.Topics {
		if err := topic.Check(name); err != nil {
			return fmt.Errorf("%w: %v", ErrTopic, err)
		}
	}
	if err := sse.CheckID(m.ID); err != nil {
		return fmt.Errorf("%w: %v", ErrID, err)
	}
	if _, _, ok := eventlog.ParseID(m.ID); ok {
		return fmt.Errorf("%w: %q has the form of the server's own IDs", ErrID, m.ID)
	}
	if err := sse.CheckType(m.Type); err != nil {
		return fmt.Errorf("%w: %v", ErrType, err)
	}
	return nil
}

// maxFields bounds ID, type and key of a message together, in bytes.
const maxFields = 1024

// publishError gives the log's errors the hub's names.
func publishError(err error) error {
	switch {
	case errors.Is(err, eventlog.ErrClosed):
		return ErrClosed
	case errors.Is(err, eventlog.ErrID):
		return fmt.Errorf("%w: %v", ErrID, err)
	}
	return err
}
