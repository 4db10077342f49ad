package sharedlog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// An asker asks the engine where the list ends. There is one question at a time: all who
// come meanwhile have the next one in common.
type asker struct {
	turn chan struct{} // capacity 1: holds who asks

	mu   sync.Mutex
	next *question // guarded by mu: not asked yet; nil if nobody has come
}

// A question is to be asked by one of those who have it, and answered to all.
type question struct {
	answered chan struct{}
	state    *state // of the log when it was asked
	pos      uint64 // of the newest record of the list
	err      error
}

func newAsker() asker { return asker{turn: make(chan struct{}, 1)} }

// Sync waits until this node knows everything that was stored before the call. It fails
// at once, with [eventlog.ErrUnavailable], while the engine is known not to answer.
func (l *Log) Sync(ctx context.Context) error {
	if l.lost() {
		return fmt.Errorf("%w: the engine of the log does not answer", eventlog.ErrUnavailable)
	}
	q, err := l.ask(ctx)
	if err != nil {
		return err
	}
	if q.err != nil {
		return fmt.Errorf("%w: %v", eventlog.ErrUnavailable, q.err)
	}
	return l.reach(ctx, q.state, q.pos)
}

// lost reports whether the tailer has found out that the engine does not answer.
func (l *Log) lost() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Until(l.settled) > settleFor
}

// ask returns the answer to a question that was asked after the call.
func (l *Log) ask(ctx context.Context) (*question, error) {
	q := l.asker.join()
	select {
	case <-q.answered:
		return q, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case l.asker.turn <- struct{}{}:
	}
	defer func() { <-l.asker.turn }()
	select {
	case <-q.answered: // both were possible
		return q, nil
	default:
	}
	l.asker.close()
	l.mu.Lock()
	q.state = l.state
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.options.Wait) // it is for all
	defer cancel()
	var head Head
	head, q.err = l.engine.Head(ctx)
	q.pos = head.Pos
	close(q.answered)
	return q, nil
}

// join returns the question that will be asked next.
func (a *asker) join() *question {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.next == nil {
		a.next = &question{answered: make(chan struct{})}
	}
	return a.next
}

// close lets those who come from now on have another question.
func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.next = nil
}
