package tracing

import (
	"context"
	"errors"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// A Log is what a Tracer may stand around: a log that can be read without waiting,
// which readers that catch up do.
type Log interface {
	eventlog.Log
	ReadNow(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (p eventlog.Page, ok bool, err error)
}

// Log returns l with a Commit that makes a span if its context is that of a request
// which is traced.
func (t *Tracer) Log(l Log) Log {
	if t == nil {
		return l
	}
	return watchedLog{l}
}

type watchedLog struct{ Log }

// Commit implements [eventlog.Log].
func (l watchedLog) Commit(ctx context.Context, puts []eventlog.Put, es ...*eventlog.Entry) error {
	s, ok := ctx.Value(spanKey{}).(*span)
	if !ok {
		return l.Log.Commit(ctx, puts, es...)
	}
	s.sees(es)
	start := time.Now()
	err := l.Log.Commit(ctx, puts, es...)
	s.committed(commit{newSpanID(), start, time.Since(start), len(es), commitFailure(err)})
	return err
}

// commitFailure is the class of an error of a log, or "". There are few of them: the text
// of an error may hold what a client sent.
func commitFailure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, eventlog.ErrFull):
		return "full"
	case errors.Is(err, eventlog.ErrFailed):
		return "failed"
	case errors.Is(err, eventlog.ErrClosed):
		return "closed"
	}
	return "_OTHER"
}
