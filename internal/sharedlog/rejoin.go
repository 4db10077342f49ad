package sharedlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
)

// jumpBy is how many positions are left out after messages may have been lost: more
// than any node can have seen of those.
const jumpBy = 1 << 20

// rejoin finds the way back to a list that is not what this node knows. In the order of
// what is lost: it puts the records back that the list has lost, or reads the list
// anew. If other nodes may have given positions again that this one has seen, all
// positions up to one beyond them are given up.
func (l *Log) rejoin(cause error) error {
	head, err := l.ensure(l.ctx, l.epoch)
	if err != nil {
		return err
	}
	if head.Epoch != l.epoch {
		return fmt.Errorf("%w: its epoch is %q, this node's %q", errFatal, head.Epoch, l.epoch)
	}
	n, err := l.putBack(head)
	if err != nil {
		return err
	}
	if n > 0 {
		l.options.Logger.Warn("the engine of the log had lost its newest records: this node has put them back", "records", n)
		l.hold(settleFor) // others may have more
		l.resume(nil)
		return nil
	}
	l.options.Logger.Error("the shared log is not what this node knows: reading it anew", "error", cause)
	return l.load(l.ctx, l.state, cause)
}

// resume goes on, with another state if s is not nil. The follower is told what it has
// not got.
func (l *Log) resume(s *state) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s != nil {
		if l.state != nil {
			l.state.index.Follow(nil)
		}
		before := l.state
		l.state = s
		l.current.Store(s)
		if before != nil {
			l.tellValues(before.index, s.index)
		}
		for _, e := range s.fresh {
			if l.follow != nil {
				l.follow(e)
			}
		}
		s.fresh = nil
		s.index.Follow(l.follow)
		s.index.FollowValues(l.tellPuts)
	}
	l.cause, l.ready = nil, l.failed == nil
	l.changed()
}

// tellValues tells who follows values how those of another index differ. mu is held.
func (l *Log) tellValues(before, now *eventlog.Index) {
	var puts []eventlog.Put
	for key := range before.Values("") {
		if now.Value(key) == nil {
			puts = append(puts, eventlog.Put{Key: key})
		}
	}
	for key, value := range now.Values("") {
		if !bytes.Equal(before.Value(key), value) || before.Value(key) == nil {
			puts = append(puts, eventlog.Put{Key: key, Value: value})
		}
	}
	if len(puts) > 0 {
		l.tellPuts(puts)
	}
}

// putBack adds the records that the list has lost, if this node has them all at hand,
// and returns how many. Other nodes may be doing the same.
func (l *Log) putBack(head Head) (n int, err error) {
	l.mu.Lock()
	recent, own := recent{list: slices.Clone(l.state.recent.list)}, l.state.mark
	l.mu.Unlock()
	for head.Pos > 0 && head.Pos <= own.Pos {
		list, ok := recent.after(head.Mark)
		if !ok {
			return 0, nil
		}
		for _, r := range list {
			ctx, cancel := context.WithTimeout(l.ctx, l.options.Wait)
			_, err = l.engine.Append(ctx, l.epoch, head.Mark, r.mark.Tag, r.data, false)
			cancel()
			if err != nil {
				break
			}
			head.Mark = r.mark
			n++
		}
		if err == nil {
			return max(n, 1), nil
		}
		if !errors.Is(err, ErrConflict) {
			return n, err
		}
		if head, err = l.engine.Head(l.ctx); err != nil {
			return n, err
		}
	}
	return 0, nil
}

// load reads the whole list and goes on from there. before is what was known until
// now, nil at first, and cause why that cannot be continued.
func (l *Log) load(ctx context.Context, before *state, cause error) error {
	start := time.Now()
	s, damage, err := l.restore(ctx, before)
	if err != nil {
		return err
	}
	if damage != nil {
		l.options.Logger.Error("the list has lost records: readers are told of a gap", "error", damage)
		l.kickClean() // a checkpoint says that they need not be there
		if err := l.leap(ctx, s, s.seq); err != nil {
			return err
		}
	}
	if before != nil && s.lost < before.seq && (!errors.Is(cause, errHole) || s.seq < before.seq) {
		if err := l.leap(ctx, s, before.seq); err != nil {
			return err
		}
	}
	l.options.Logger.Info("shared log read", "records", len(s.places.records), "record", s.mark.Pos, "head", s.seq, "took", time.Since(start).Round(time.Millisecond))
	l.resume(s)
	if before != nil {
		l.options.Lapsed()
	}
	return nil
}

// leap adds a record which says that all positions up to one well beyond seq may be
// lost, unless another node has done so.
func (l *Log) leap(ctx context.Context, s *state, seq uint64) error {
	for s.lost < seq || seq == 0 && s.lost == 0 {
		to := max(seq, s.seq) + jumpBy
		r := &record{nonce: random(), before: s.nonce, head: to, time: max(s.last, time.Now().UnixNano()), jump: to}
		rec := Record{s.mark.Pos + 1, r.encode(s.mark.Pos + 1)}
		came, err := l.engine.Append(ctx, l.epoch, s.mark, r.tag(), rec.Data, false)
		switch {
		case err == nil:
			_, err = s.apply(r, rec, nil)
			return err
		case !errors.Is(err, ErrConflict):
			return err
		}
		if len(came) == 0 {
			if came, err = l.engine.Next(ctx, s.mark.Pos); err != nil {
				return err
			}
		}
		if err := s.replay(came); err != nil {
			return err
		}
	}
	return nil
}
