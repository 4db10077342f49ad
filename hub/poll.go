package hub

import (
	"context"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// pollLimit bounds the answer to one poll.
var pollLimit = eventlog.Limit{Entries: 1000, Bytes: 1 << 20}

// Poll answers one long poll: it returns the messages after the start, encoded,
// waiting at most wait for the first, and the ID to resume from. Nothing is
// returned if none came; a gap notice counts as something.
func (h *Hub) Poll(ctx context.Context, sub Subscription, wait time.Duration) (body []byte, lastID string, err error) {
	p, err := h.resolve(sub)
	if err != nil {
		return nil, "", err
	}
	w := h.watchers.add(p.selector)
	defer h.watchers.remove(w)
	if p.gap != nil {
		body = h.enc.Gap(p.form, *p.gap)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		if body, err = h.pollOnce(&p, body); err != nil || len(body) > 0 {
			break
		}
		if err := w.wait(ctx); err == ErrClosed {
			return nil, "", err
		} else if err != nil {
			break // the time is over: that is an answer, too
		}
	}
	return body, eventlog.FormatID(h.log.Epoch(), p.after), err
}

// pollOnce appends what there is now after p.
func (h *Hub) pollOnce(p *place, body []byte) ([]byte, error) {
	head := h.log.Head()
	for p.after < head {
		page, err := h.log.Read(context.Background(), p.selector, p.after, head, pollLimit)
		if err != nil {
			return body, publishError(err)
		}
		if page.Lost > p.told {
			body = append(body, h.enc.Gap(p.form, h.lostOnTheWay(p, page))...)
		}
		for _, e := range page.Entries {
			body = append(body, h.enc.Frame(e, p.form, false)...)
		}
		p.after = page.Next
		if len(body) > 0 {
			break
		}
	}
	return body, nil
}
