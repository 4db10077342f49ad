package sharedlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// tail applies what the list gets, until Close.
func (l *Log) tail() {
	pause := firstPause
	for l.ctx.Err() == nil {
		err := l.turn()
		if l.ctx.Err() != nil {
			return
		}
		if errors.Is(err, errFatal) {
			l.fail(err)
			return
		}
		l.report(err)
		if err == nil {
			pause = firstPause
			continue
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-l.ctx.Done():
		}
		pause = min(2*pause, longestPause)
	}
}

// report calls Options.Status when the engine answers no more, and when it does again.
// A connection that is cut and made again at once is nobody's business.
func (l *Log) report(err error) {
	if err == nil {
		if l.failures >= 2 {
			l.hold(settleFor)
			l.options.Logger.Info("the engine of the log answers again")
			l.options.Status(true, nil)
		}
		l.failures = 0
		return
	}
	if l.failures++; l.failures == 2 {
		l.hold(forever)
		l.options.Logger.Error("the engine of the log does not answer: publishing is refused, readers get what is in memory", "error", err)
		l.options.Status(false, err)
	}
}

const (
	settleFor = time.Second
	forever   = 1000 * time.Hour
)

// hold keeps the writer from writing for some time. When the engine comes back, maybe as
// another server, it may lack records that some nodes have seen. Those put them back,
// which works only as long as nobody has written anything else.
func (l *Log) hold(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = time.Now().Add(d)
}

// turn waits for records and applies them, or finds the way back to the list.
func (l *Log) turn() error {
	l.mu.Lock()
	cause, mark := l.cause, l.state.mark
	l.mu.Unlock()
	if cause != nil {
		return l.rejoin(cause)
	}
	ctx, cancel := context.WithTimeout(l.ctx, nextWait+min(l.options.Wait, silence))
	defer cancel()
	list, err := l.engine.Next(ctx, mark.Pos)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		err = l.compare(ctx, mark)
	} else {
		err = l.feed(list)
	}
	if isBranch(err) || errors.Is(err, errFatal) {
		return l.lose(err)
	}
	return err
}

const (
	nextWait = time.Second     // about how long Engine.Next waits
	silence  = 2 * time.Second // beyond that: then the engine counts as gone
)

// isBranch reports whether err says that the list is not what this node knows.
func isBranch(err error) bool {
	return errors.Is(err, errHole) || errors.Is(err, errDiverged) || errors.Is(err, errBack)
}

// errFatal means that this node can never go on.
var errFatal = errors.New("sharedlog: the list cannot be used")

// lose notes that the list is not what this node knows. The next turn goes on from here.
func (l *Log) lose(err error) error {
	if errors.Is(err, errFatal) {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.suspect(err)
	return nil
}

// suspect makes the tailer rejoin. mu is held.
func (l *Log) suspect(err error) {
	if l.cause == nil {
		l.cause, l.ready = err, false
	}
}

// compare looks whether the list still has the newest record that was known before.
func (l *Log) compare(ctx context.Context, mark Mark) error {
	head, err := l.engine.Head(ctx)
	switch {
	case err != nil:
		return err
	case head.Epoch != "" && head.Epoch != l.epoch:
		return fmt.Errorf("%w: its epoch is %q, this node's %q", errFatal, head.Epoch, l.epoch)
	case head.Epoch == "" || head.Pos < mark.Pos || head.Pos == mark.Pos && head.Tag != mark.Tag:
		return fmt.Errorf("%w: it ends at %d, %d was there", errBack, head.Pos, mark.Pos)
	case head.Pos > mark.Pos:
		return l.lacking(ctx, head)
	}
	return nil
}

// lacking is for a list that has a head but did not give the records up to it: has it
// lost them?
func (l *Log) lacking(ctx context.Context, head Head) error {
	list, err := l.engine.Load(ctx, []uint64{head.Pos})
	if err != nil || list[0] != nil {
		return err
	}
	now, err := l.engine.Head(ctx)
	if err == nil && now == head { // otherwise it may have been deleted properly
		err = fmt.Errorf("%w: record %d, the newest, is not there", errBack, head.Pos)
	}
	return err
}

// feed applies records, as far as they are new.
func (l *Log) feed(list []Record) error {
	for _, rec := range list {
		if err := l.take(rec); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) take(rec Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.state
	if rec.Pos <= s.mark.Pos {
		return nil
	}
	r, err := s.check(rec)
	if errors.Is(err, errRecord) {
		return fmt.Errorf("%w: %w", errFatal, err)
	}
	if err != nil {
		return err
	}
	defer l.changed()
	if g := l.inflight; g != nil && g.state == s && g.record.nonce == r.nonce {
		l.applyOwn(g, rec)
		return nil
	}
	if _, err = s.apply(r, rec, r.entries); errors.Is(err, errRecord) {
		err = fmt.Errorf("%w: %w", errFatal, err)
	}
	return err
}

// waitChange returns a channel that is closed when the state changes. mu is held.
func (l *Log) waitChange() <-chan struct{} {
	if l.wake == nil {
		l.wake = make(chan struct{})
	}
	return l.wake
}

// changed wakes all who wait for a change of the state. mu is held.
func (l *Log) changed() {
	if l.wake != nil {
		close(l.wake)
		l.wake = nil
	}
}

// reach waits until s, or a state that has replaced it, has applied the list up to pos.
func (l *Log) reach(ctx context.Context, s *state, pos uint64) error {
	timer := time.NewTimer(l.options.Wait)
	defer timer.Stop()
	for {
		l.mu.Lock()
		done, changed := l.state != s || s.mark.Pos >= pos, l.waitChange()
		l.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return fmt.Errorf("%w: record %d does not come", eventlog.ErrUnavailable, pos)
		case <-ctx.Done():
			return ctx.Err()
		case <-l.ctx.Done():
			return eventlog.ErrClosed
		}
	}
}

// fail ends publishing for good.
func (l *Log) fail(err error) {
	err = fmt.Errorf("%w: %w", eventlog.ErrFailed, err)
	l.mu.Lock()
	l.failed, l.ready = err, false
	l.changed()
	l.mu.Unlock()
	l.options.Logger.Error("the shared log cannot be used: nothing can be published until the server is restarted", "error", err)
	l.options.Failed(err)
}
