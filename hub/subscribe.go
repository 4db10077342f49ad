package hub

import (
	"net/http"
	"time"

	"github.com/weirstream/weir/internal/fanout"
	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// Serve answers a request with a stream of sub. An error means that sub is at
// fault, or the hub closed, and the request has not been answered.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, sub Subscription) error {
	p, err := h.resolve(sub)
	if err != nil {
		return err
	}
	h.openers[p.form].Serve(w, r, h.opening(p), func(c *stream.Conn, _ *http.Request) { h.follow(c, p) })
	return nil
}

// Subscribe makes a stream follow topics, besides what the program sends on it.
// The stream must carry the form: SSE for Events and Envelope. A stream follows
// one subscription only; that is used up, too, if the first bytes do not fit into
// the send buffer.
func (h *Hub) Subscribe(c *stream.Conn, sub Subscription) error {
	p, err := h.resolve(sub)
	if err != nil {
		return err
	}
	if !c.Claim() {
		return ErrTaken
	}
	if first := h.opening(p); len(first) > 0 {
		if _, err := c.Write(first); err != nil {
			return err
		}
	}
	h.follow(c, p)
	return nil
}

// opening returns the first bytes of a stream: where it stands, or the gap notice.
// The notice comes before any new ID: a reader that drops before it has read the
// notice must come back with its old ID, and be told again.
func (h *Hub) opening(p place) []byte {
	if p.gap == nil {
		return h.enc.Ready(p.form, p.after)
	}
	b := h.enc.Gap(p.form, *p.gap)
	if p.form == Lines { // where the notice has no ID of its own
		b = append(b, h.enc.Ready(Lines, p.gap.After)...)
	}
	return b
}

// follow puts c into the table of its loop.
func (h *Hub) follow(c *stream.Conn, p place) {
	lc := c.Engine()
	after := p.after
	if p.gap != nil {
		after = p.gap.After // as the reader has been told
	}
	join := fanout.Join{Selector: p.selector, Form: p.form, Framed: c.Framed(), After: after, Told: p.told, Policy: p.policy, Slow: p.slow, Replayed: p.replayed}
	lc.Loop().Do(func() {
		if t := h.table(lc.Loop()); t != nil {
			t.Join(lc, join)
		} else {
			lc.End(loop.Shutdown)
		}
	})
}

// format returns the stream format of a form.
func format(f Form) stream.Format {
	farewell := func(retry time.Duration) []byte { return fanout.Farewell(f, retry) }
	notice := func(event string, data []byte) []byte { return fanout.Notice(f, event, data) }
	switch f {
	case Lines:
		return stream.Format{ContentType: "application/x-ndjson", Beat: []byte("\n"), Farewell: farewell, Notice: notice}
	case Text:
		return stream.Format{ContentType: "text/plain; charset=utf-8"}
	}
	events := stream.EventStream
	events.Farewell, events.Notice = farewell, notice
	events.Begin = func(o *stream.Options) []byte { // the blank line comes with Ready
		if o.Retry == 0 {
			return nil
		}
		return sse.AppendRetry(nil, stream.Jitter(o.Retry))
	}
	return events
}
