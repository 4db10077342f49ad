package sharedlog_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirstream/weir/internal/sharedlog"
)

// A list is an engine in memory, which does what servers do only now and then: it loses
// answers, and its newest records.
type list struct {
	mu       sync.Mutex
	head     sharedlog.Head     // guarded by mu
	records  []sharedlog.Record // guarded by mu
	came     chan struct{}      // guarded by mu: closed with the next record
	appended int                // guarded by mu: calls of Append
	loads    int                // guarded by mu: records asked for by Load

	// before is called by Append, without the lock. If it returns an error Append does
	// nothing and returns that.
	before func(n int) error
	// after is called by Append when it has stored a record. If it returns an error that
	// is the answer.
	after func(n int) error
	// late is called by Append, without the lock. If it returns true the record is on its
	// way until the next call of Append, and this one has no answer.
	late  func(n int) bool
	onWay func() // guarded by mu
}

func newList() *list { return &list{came: make(chan struct{})} }

func (l *list) Head(context.Context) (sharedlog.Head, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head, nil
}

func (l *list) Create(_ context.Context, epoch, settings string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head.Epoch == "" {
		l.head = sharedlog.Head{Epoch: epoch, Settings: settings}
	}
	return nil
}

func (l *list) Append(_ context.Context, epoch string, after sharedlog.Mark, tag string, record []byte, frees bool) ([]sharedlog.Record, error) {
	l.mu.Lock()
	l.appended++
	n := l.appended
	l.mu.Unlock()
	if l.before != nil && !frees {
		if err := l.before(n); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if arrives := l.onWay; arrives != nil {
		l.onWay = nil
		arrives()
	}
	if l.late != nil && l.late(n) {
		l.onWay = func() { _ = l.add(epoch, after, tag, record) }
		return nil, errLost
	}
	err := l.add(epoch, after, tag, record)
	if err == nil && l.after != nil {
		err = l.after(n)
	}
	return nil, err
}

// add adds a record. mu is held.
func (l *list) add(epoch string, after sharedlog.Mark, tag string, record []byte) error {
	if l.head.Epoch != epoch || l.head.Mark != after {
		return sharedlog.ErrConflict
	}
	l.head.Mark = sharedlog.Mark{Pos: after.Pos + 1, Tag: tag}
	l.records = append(l.records, sharedlog.Record{Pos: after.Pos + 1, Data: slices.Clone(record)})
	close(l.came)
	l.came = make(chan struct{})
	return nil
}

func (l *list) Next(ctx context.Context, after uint64) ([]sharedlog.Record, error) {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	for {
		l.mu.Lock()
		var found []sharedlog.Record
		for _, r := range l.records {
			if r.Pos > after && len(found) < 10 {
				found = append(found, r)
			}
		}
		came := l.came
		l.mu.Unlock()
		if len(found) > 0 {
			return found, nil
		}
		select {
		case <-came:
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *list) Load(_ context.Context, positions []uint64) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loads += len(positions)
	data := make([][]byte, len(positions))
	for i, pos := range positions {
		for _, r := range l.records {
			if r.Pos == pos {
				data[i] = r.Data
			}
		}
	}
	return data, nil
}

func (l *list) Delete(_ context.Context, positions []uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pos := range positions {
		if pos == l.head.Pos {
			return errors.New("the newest record is to be deleted")
		}
	}
	l.records = slices.DeleteFunc(l.records, func(r sharedlog.Record) bool { return slices.Contains(positions, r.Pos) })
	return nil
}

func (l *list) Lease(context.Context, string, time.Duration) (bool, error) { return true, nil }

func (l *list) Close() {}

// A line to a list can be cut.
type line struct {
	*list
	cut atomic.Bool
}

func (l *line) Head(ctx context.Context) (sharedlog.Head, error) {
	if l.cut.Load() {
		return sharedlog.Head{}, errLost
	}
	return l.list.Head(ctx)
}

func (l *line) Append(ctx context.Context, epoch string, after sharedlog.Mark, tag string, record []byte, frees bool) ([]sharedlog.Record, error) {
	if l.cut.Load() {
		return nil, errLost
	}
	return l.list.Append(ctx, epoch, after, tag, record, frees)
}

func (l *line) Next(ctx context.Context, after uint64) ([]sharedlog.Record, error) {
	list, err := l.list.Next(ctx, after)
	if l.cut.Load() {
		return nil, errLost
	}
	return list, err
}

// A copy of a list is what it was at a moment.
type snapshot struct {
	head    sharedlog.Head
	records []sharedlog.Record
}

func (l *list) copy() snapshot {
	l.mu.Lock()
	defer l.mu.Unlock()
	return snapshot{l.head, slices.Clone(l.records)}
}

func (l *list) restore(s snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head, l.records = s.head, slices.Clone(s.records)
}

func (l *list) size() (records, bytes, loads int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		bytes += len(r.Data)
	}
	return len(l.records), bytes, l.loads
}
