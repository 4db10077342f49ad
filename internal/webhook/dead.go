package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/weirstream/weir/hub"
)

const (
	deadType = "webhook-dead-letter" // event type of dead letters
	deadData = 64 << 10              // how much of an event's data a dead letter holds, in bytes
)

// A letter is the data of a dead letter, in JSON.
type letter struct {
	Webhook string `json:"webhook"`
	Reason  string `json:"reason"`
	Cut     bool   `json:"cut,omitempty"` // the event's data is not all there was
	Event   event  `json:"event"`
}

// bury gives the batch up.
func (r *runner) bury(reason error) error {
	var letters []hub.Message
	if r.spec.DeadLetter != "" {
		for _, e := range r.batch.events {
			if m, err := r.letter(e, reason); err == nil {
				letters = append(letters, m)
			}
		}
	}
	err := r.giveUp(letters, reason)
	if errors.Is(err, hub.ErrTooLarge) || errors.Is(err, hub.ErrTopic) { // of all of them together
		letters, err = nil, r.giveUp(nil, reason)
	}
	return err
}

// giveUp ends the batch with those of its events that are dead letters.
func (r *runner) giveUp(letters []hub.Message, reason error) error {
	n := len(r.batch.events)
	if err := r.finish(letters); err != nil {
		return err
	}
	r.dead.Add(int64(len(letters)))
	r.dropped.Add(int64(n - len(letters)))
	r.log.Warn("webhook: events were not accepted in time", "dead_letters", len(letters), "dropped", n-len(letters), "error", reason)
	return nil
}

// letter makes a dead letter of e, with as much of its data as there is room for.
func (r *runner) letter(e event, reason error) (hub.Message, error) {
	l := letter{Webhook: r.spec.Name, Reason: reason.Error(), Event: e}
	for room := deadData; ; room /= 2 {
		l.Event.Data, l.Cut = cut(e.Data, room, l.Cut)
		l.Event.DataBase64, l.Cut = cut(e.DataBase64, room, l.Cut)
		if room == 0 && e.Info != nil {
			l.Event.Info, l.Cut = json.RawMessage("null"), true
		}
		data, err := encode(l)
		if err != nil {
			return hub.Message{}, err
		}
		m := hub.Message{Topics: []string{r.spec.DeadLetter}, Type: deadType, Data: data, IdempotencyKey: fmt.Sprintf("webhook/%s/%s", r.spec.Name, e.ID)}
		if err = r.opts.Hub.Check(m); err == nil || room == 0 {
			return m, err
		}
	}
}

// cut returns the first n bytes of text or fewer, which is still text or base64, and
// whether something was cut now or before.
func cut(text *string, n int, before bool) (*string, bool) {
	if text == nil || len(*text) <= n {
		return text, before
	}
	n -= n % 4 // of base64
	return new(strings.ToValidUTF8((*text)[:n], "")), true
}
