package webhook

import (
	"context"
	"fmt"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/fanout"
)

const (
	// storeEvery is how often the position is stored while there is nothing to send.
	storeEvery = time.Minute
	// patience is how long the receiver is tried in each Run before something is given up.
	patience = 10 * time.Minute
)

// Keys of values in the log: the position up to which everything was accepted, as an event
// ID, and the time since when the receiver has accepted nothing.
func (h *Hook) positionKey() string { return "webhook/" + h.spec.Name }
func (h *Hook) failingKey() string  { return "webhook/" + h.spec.Name + "/failing" }

// begin finds out where to start: where the hook was, or where New has found the log if
// it is new.
func (r *runner) begin(ctx context.Context) error {
	if r.opts.Sync != nil {
		if err := r.opts.Sync(ctx); err != nil {
			return fmt.Errorf("find out what other nodes have sent: %w", err)
		}
	}
	log := r.opts.Hub.Log()
	value := log.Value(r.positionKey())
	if value == nil {
		r.after, r.told = r.born, r.born
		if err := r.store(nil); err != nil {
			return fmt.Errorf("store the position: %w", err)
		}
	} else {
		r.resume(string(value))
	}
	if since, err := time.Parse(time.RFC3339, string(log.Value(r.failingKey()))); err == nil {
		r.failing = since
	}
	r.begun = true
	r.change(Running, nil)
	return nil
}

// resume goes on after the position that id stands for. If it stands for none, the
// receiver is told so, and gets everything that is kept.
func (r *runner) resume(id string) {
	log := r.opts.Hub.Log()
	reason, head := "", log.Head()
	switch epoch, seq, ok := eventlog.ParseID(id); {
	case !ok || epoch != log.Epoch():
		reason = fanout.ReasonForeign
	case seq > head:
		reason = fanout.ReasonFuture
	default:
		r.after, r.told = seq, seq
	}
	r.stored, r.storedAt = r.after, time.Now()
	if reason != "" {
		r.told = log.Bounds(r.filter.selector).Lost
		r.gap = new(gapEvent(reason, id, r.id(r.told)))
	}
}

// store puts the position into the log, with messages.
func (r *runner) store(letters []hub.Message) error {
	puts := []eventlog.Put{{Key: r.positionKey(), Value: []byte(r.id(r.after))}}
	accepted := r.batch != nil && r.batch.accepted
	if accepted && !r.failing.IsZero() {
		puts = append(puts, eventlog.Put{Key: r.failingKey()})
	}
	if _, err := r.opts.Hub.Commit(r.hard, puts, letters...); err != nil {
		return err
	}
	r.stored, r.storedAt = r.after, time.Now()
	if accepted {
		r.failing, r.tried = time.Time{}, time.Time{}
	}
	return nil
}

// fail notes since when the receiver has accepted nothing.
func (r *runner) fail(now time.Time) {
	if r.tried.IsZero() {
		r.tried = now
	}
	if !r.failing.IsZero() {
		return
	}
	r.failing = now
	value := now.UTC().Format(time.RFC3339Nano)
	if _, err := r.opts.Hub.Commit(r.hard, []eventlog.Put{{Key: r.failingKey(), Value: []byte(value)}}); err != nil {
		r.log.Debug("since when the receiver has accepted nothing is not stored", "error", err) // the next Run then counts anew
	}
}

// late reports whether the batch is to be given up.
func (r *runner) late(now time.Time) bool {
	return now.Sub(r.failing) >= r.spec.GiveUp && now.Sub(r.batch.newest()) >= r.spec.GiveUp &&
		now.Sub(r.tried) >= min(r.spec.GiveUp, patience)
}
