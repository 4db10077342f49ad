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
	eventlog.Conditional
	ReadNow(sel *eventlog.Selector, after, upTo uint64, lim eventlog.Limit) (p eventlog.Page, ok bool, err error)
}

// Log returns l with a Commit and a CommitIf that make a span if their context is that of
// a request which is traced.
func (t *Tracer) Log(l Log) Log {
	if t == nil {
		return l
	}
	return watchedLog{l}
}

type watchedLog struct{ Log }

// Commit implements [eventlog.Log].
func (l watchedLog) Commit(ctx context.Context, puts []eventlog.Put, es ...*eventlog.Entry) error {
	return watch(ctx, es, func() error { return l.Log.Commit(ctx, puts, es...) })
}

// CommitIf implements [eventlog.Conditional].
func (l watchedLog) CommitIf(ctx context.Context, c eventlog.Change) error {
	return watch(ctx, c.Entries, func() error { return l.Log.CommitIf(ctx, c) })
}

// watch makes a span of a commit of entries.
func watch(ctx context.Context, es []*eventlog.Entry, commitEntries func() error) error {
	s, ok := ctx.Value(spanKey{}).(*span)
	if !ok {
		return commitEntries()
	}
	s.sees(es)
	start := time.Now()
	err := commitEntries()
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
	case errors.Is(err, eventlog.ErrChanged):
		return "changed"
	}
	return "_OTHER"
}
