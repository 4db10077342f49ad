package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/fanout"
)

// maxBytes is how many bytes of data a request has; one event may have more.
const maxBytes = 1 << 20

// A batch is what is sent in one request.
type batch struct {
	id       string // the same whenever it is sent
	body     []byte
	events   []event
	bytes    int // of data
	accepted bool
}

func (b *batch) add(e event, bytes int) {
	b.events = append(b.events, e)
	b.bytes += bytes
}

// gather makes a batch of the events that come next, if there are any. It moves the
// position behind them.
func (r *runner) gather(ctx context.Context) error {
	b := new(batch)
	if r.gap != nil {
		b.add(*r.gap, 0)
	}
	after, told, err := r.fill(ctx, b)
	if err != nil {
		return err
	}
	if len(b.events) > 0 {
		if err := b.seal(r.spec.Name); err != nil {
			return err
		}
		r.batch = b
		r.oldest.Store(b.events[0].time.UnixMilli())
	}
	r.after, r.told, r.gap = after, told, nil
	return nil
}

// fill adds what there is room for, and returns the position up to which it has looked,
// and that up to which losses are told.
func (r *runner) fill(ctx context.Context, b *batch) (after, told uint64, err error) {
	log := r.opts.Hub.Log()
	after, told = r.after, r.told
	for head, full := log.Head(), len(b.events) >= r.spec.Batch; after < head && !full && ctx.Err() == nil; {
		lim := eventlog.Limit{Entries: r.spec.Batch - len(b.events), Bytes: maxBytes - b.bytes}
		page, err := log.Read(ctx, r.filter.selector, after, head, lim)
		if err != nil {
			return after, told, err
		}
		if page.Lost > told {
			told = fanout.Told(page, log.Bounds(r.filter.selector))
			b.add(gapEvent(fanout.ReasonExpired, r.id(after), r.id(told)), 0)
		}
		after = r.take(b, page)
		full = after < page.Next || len(b.events) >= r.spec.Batch || b.bytes >= maxBytes
	}
	return after, told, nil
}

// take adds the events of a page, as far as there is room, and returns the position up to
// which it has looked.
func (r *runner) take(b *batch, page eventlog.Page) uint64 {
	for _, entry := range page.Entries {
		e, wanted := r.filter.event(entry, r.opts.Hub.Log().Epoch())
		if !wanted {
			continue
		}
		full := len(b.events) >= r.spec.Batch || b.bytes+len(entry.Data) > maxBytes
		if full && len(b.events) > 0 {
			return entry.Seq - 1
		}
		b.add(e, len(entry.Data))
	}
	return page.Next
}

// id names a position.
func (r *runner) id(seq uint64) string { return eventlog.FormatID(r.opts.Hub.Log().Epoch(), seq) }

// seal makes the request.
func (b *batch) seal(name string) (err error) {
	b.id = name + "_" + b.events[0].ID + "_" + b.events[len(b.events)-1].ID
	b.body, err = encode(map[string]any{"events": b.events})
	return err
}

// newest is when the last of the events happened.
func (b *batch) newest() time.Time { return b.events[len(b.events)-1].time }

// encode writes JSON in one line, with <, > and & as they are.
func encode(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}
