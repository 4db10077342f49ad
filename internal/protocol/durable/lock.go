package durable

import "sync"

// locks has a lock for each stream that is being changed, and none for others.
type locks struct {
	mu     sync.Mutex
	byName map[string]*streamLock // guarded by mu
}

type streamLock struct {
	sync.Mutex
	users int // that have it or wait for it; guarded by locks.mu
}

// lock locks a stream. Whoever locks a second one must hold Handler.structure.
func (ls *locks) lock(name string) (unlock func()) {
	ls.mu.Lock()
	if ls.byName == nil {
		ls.byName = make(map[string]*streamLock)
	}
	l := ls.byName[name]
	if l == nil {
		l = new(streamLock)
		ls.byName[name] = l
	}
	l.users++
	ls.mu.Unlock()
	l.Lock()
	return func() { ls.unlock(name, l) }
}

func (ls *locks) unlock(name string, l *streamLock) {
	l.Unlock()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(ls.byName, name)
	}
}
