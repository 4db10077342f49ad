package hub

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/topic"
	"github.com/weirstream/weir/sse"
)

// Publish gives m a position in the log and returns its event ID when the log's
// durability policy is met. It does not wait for readers. It takes ownership of
// m.Data and m.Topics.
//
// The error wraps ErrTopic, ErrID or ErrType, or is a [*LimitError], if m is at fault.
func (h *Hub) Publish(ctx context.Context, m Message) (id string, err error) {
	ids, err := h.PublishAll(ctx, m)
	if err != nil {
		return "", err
	}
	return ids[0], nil
}

// PublishAll publishes messages at consecutive positions, or none of them if one
// is at fault, and returns their IDs. A message whose idempotency key was used
// before has the ID of the first.
func (h *Hub) PublishAll(ctx context.Context, ms ...Message) (ids []string, err error) {
	receipts, err := h.Commit(ctx, nil, ms...)
	if err != nil {
		return nil, err
	}
	ids = make([]string, len(receipts))
	for i := range receipts {
		ids[i] = receipts[i].ID
	}
	return ids, nil
}

// A Receipt says what became of a message.
type Receipt struct {
	ID        string // event ID
	Seq       uint64 // position
	Time      time.Time
	Duplicate bool // not stored again: its idempotency key was used before
}

// Commit is PublishAll that also sets values of the log, all or nothing: see
// [eventlog.Log].
func (h *Hub) Commit(ctx context.Context, puts []eventlog.Put, ms ...Message) ([]Receipt, error) {
	entries, err := h.entries(ms)
	if err == nil {
		err = h.log.Commit(ctx, puts, entries...)
	}
	return h.receipts(entries, err)
}

// A Change is what CommitIf stores: see [eventlog.Change].
type Change struct {
	Expect   []eventlog.Put // values as they must be
	Puts     []eventlog.Put
	Forget   []string // topics
	Messages []Message
}

// CommitIf is Commit if some values of the log are as expected, and [ErrChanged]
// otherwise. The log must be an [eventlog.Conditional], as those of this module are;
// otherwise the error wraps [errors.ErrUnsupported].
func (h *Hub) CommitIf(ctx context.Context, c Change) ([]Receipt, error) {
	log, ok := h.log.(eventlog.Conditional)
	if !ok {
		return nil, fmt.Errorf("hub: commit on a condition: %w", errors.ErrUnsupported)
	}
	entries, err := h.entries(c.Messages)
	if err == nil {
		err = log.CommitIf(ctx, eventlog.Change{Expect: c.Expect, Puts: c.Puts, Forget: c.Forget, Entries: entries})
	}
	return h.receipts(entries, err)
}

// entries checks messages and makes entries of them.
func (h *Hub) entries(ms []Message) ([]*eventlog.Entry, error) {
	entries := make([]*eventlog.Entry, len(ms))
	for i := range ms {
		if err := h.Check(ms[i]); err != nil {
			return nil, err
		}
		entries[i] = &eventlog.Entry{Message: ms[i]}
	}
	return entries, nil
}

// receipts counts what was stored, unless err is why it was not.
func (h *Hub) receipts(entries []*eventlog.Entry, err error) ([]Receipt, error) {
	if err != nil {
		return nil, publishError(err)
	}
	receipts := make([]Receipt, len(entries))
	stored := int64(0)
	for i, e := range entries {
		receipts[i] = Receipt{h.enc.ID(e), e.Seq, e.Time, e.Duplicate}
		if !e.Duplicate {
			stored++
		}
	}
	h.published.Add(stored)
	if twice := int64(len(entries)) - stored; twice > 0 {
		h.duplicates.Add(twice)
	}
	return receipts, nil
}

// Check reports why m cannot be published, or nil.
func (h *Hub) Check(m Message) error {
	switch {
	case len(m.Topics) == 0:
		return fmt.Errorf("%w: a message needs one", ErrTopic)
	case len(m.Topics) > h.opts.MaxTopics:
		return &LimitError{"message has", "topics", len(m.Topics), h.opts.MaxTopics}
	case len(m.Data) > h.opts.MaxBytes:
		return &LimitError{"message is", "bytes", len(m.Data), h.opts.MaxBytes}
	case fieldBytes(&m) > maxFields:
		return &LimitError{"ID, type, key and idempotency key have", "bytes", fieldBytes(&m), maxFields}
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
	if strings.HasPrefix(m.Type, reservedType) {
		return fmt.Errorf("%w: %q: types that begin with %s are the server's own", ErrType, m.Type, reservedType)
	}
	return nil
}

// reservedType begins the types of events that are not messages, such as GapEvent.
const reservedType = "weir."

// maxFields bounds ID, type, key and idempotency key of a message together, in bytes.
const maxFields = 1024

func fieldBytes(m *Message) int {
	return len(m.ID) + len(m.Type) + len(m.Key) + len(m.IdempotencyKey)
}

// A LimitError says which part of a message is too large. It is an ErrTooLarge.
type LimitError struct {
	What  string // what was measured, with its verb: "message is"
	Unit  string // of Value and Limit: "bytes" or "topics"
	Value int
	Limit int
}

// Error is like "hub: too large: message is 70000 bytes, limit 65536".
func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s %d %s, limit %d", ErrTooLarge, e.What, e.Value, e.Unit, e.Limit)
}

// Is reports whether target is ErrTooLarge.
func (e *LimitError) Is(target error) bool { return target == ErrTooLarge }

// publishError gives the log's errors the hub's names.
func publishError(err error) error {
	switch {
	case errors.Is(err, eventlog.ErrClosed):
		return ErrClosed
	case errors.Is(err, eventlog.ErrID):
		return fmt.Errorf("%w: %v", ErrID, err)
	case errors.Is(err, eventlog.ErrTooLarge):
		return fmt.Errorf("%w: %v", ErrTooLarge, err)
	}
	return err
}
