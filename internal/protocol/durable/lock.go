package durable

import (
	"context"
	"sync"
)

// locks has a lock for each stream to which numbered requests are appended, and none for
// others. What is stored does not rest on them, since other nodes have locks of their own:
// they let requests that come one after the other be decided in that order.
type locks struct {
	mu     sync.Mutex
	byName map[string]*streamLock // guarded by mu
}

type streamLock struct {
	held  chan struct{} // capacity 1; who waits longest is next
	users int           // that have it or wait for it; guarded by locks.mu
}

// lock locks a stream, unless ctx ends before.
func (ls *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l := ls.enter(name)
	select {
	case l.held <- struct{}{}:
		return func() {
			<-l.held
			ls.leave(name, l)
		}, nil
	case <-ctx.Done():
		ls.leave(name, l)
		return nil, ctx.Err()
	}
}

func (ls *locks) enter(name string) *streamLock {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.byName == nil {
		ls.byName = make(map[string]*streamLock)
	}
	l := ls.byName[name]
	if l == nil {
		l = &streamLock{held: make(chan struct{}, 1)}
		ls.byName[name] = l
	}
	l.users++
	return l
}

func (ls *locks) leave(name string, l *streamLock) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(ls.byName, name)
	}
}
