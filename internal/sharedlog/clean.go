package sharedlog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	cleanEvery  = time.Second
	forcedEvery = 10 * time.Second
	leaseFor    = 30 * time.Second
	deleteBatch = 1000 // records
	moveEntries = 4096 // in one go
)

// clean deletes what nothing keeps, until Close.
func (l *Log) clean() {
	ticker := time.NewTicker(cleanEvery)
	defer ticker.Stop()
	kicked, last := false, time.Now()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.kick:
			kicked = true
			continue
		case <-ticker.C:
		}
		force := kicked && time.Since(last) > forcedEvery
		if stored, _ := l.tidy(l.ctx, force, l.leased); stored {
			kicked, last = false, time.Now()
		}
	}
}

// Clean deletes now what nothing keeps, as far as that is possible: the newest record
// stays, and what this call stores itself.
func (l *Log) Clean(ctx context.Context) error {
	_, err := l.tidy(ctx, true, func(context.Context) bool { return true })
	return err
}

// tidy deletes records, and stores a checkpoint if there is enough to delete, or force
// is true. It reports whether it has stored one. mine says whether this node may.
func (l *Log) tidy(ctx context.Context, force bool, mine func(context.Context) bool) (stored bool, err error) {
	l.cleaning.Lock()
	defer l.cleaning.Unlock()
	l.mu.Lock()
	s, ready, checkpoint := l.state, l.ready, l.state.bytes
	l.mu.Unlock()
	if !ready {
		return false, eventlog.ErrUnavailable
	}
	if err := l.bury(ctx, s); err != nil {
		return false, err
	}
	s.index.Sweep()
	garbage, kept := s.places.sizes()
	wasted := s.places.waste() > max(l.options.Garbage, kept/2)
	full := garbage >= max(l.options.Garbage, checkpoint)+checkpoint // its own records are garbage, too
	if !wasted && !full && !force || !mine(ctx) {
		return false, nil
	}
	if wasted || force {
		if err := l.compact(ctx, s); err != nil {
			return false, err
		}
	}
	if !full && !force {
		return false, nil
	}
	if err := l.storeCheckpoint(ctx); err != nil {
		return false, err
	}
	return true, l.bury(ctx, s)
}

func (l *Log) leased(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, l.options.Wait)
	defer cancel()
	ok, err := l.engine.Lease(ctx, l.name, leaseFor)
	return ok && err == nil || errors.Is(err, eventlog.ErrFull) // then it is needed most
}

// bury deletes the records that a complete checkpoint says are not needed. Every node
// does so: the first may have died.
func (l *Log) bury(ctx context.Context, s *state) error {
	ctx, cancel := context.WithTimeout(ctx, l.options.Wait)
	defer cancel()
	for {
		l.mu.Lock()
		list := s.doomed[:min(deleteBatch, len(s.doomed))]
		ready := l.ready && l.state == s
		l.mu.Unlock()
		if len(list) == 0 || !ready {
			return nil
		}
		if err := l.engine.Delete(ctx, list); err != nil {
			return err
		}
		l.mu.Lock()
		if s.doomed = s.doomed[len(list):]; len(s.doomed) == 0 {
			s.doomed = nil
		}
		l.mu.Unlock()
	}
}

// storeCheckpoint stores what this node knows.
func (l *Log) storeCheckpoint(ctx context.Context) error {
	l.mu.Lock()
	c := l.state.snapshot()
	l.mu.Unlock()
	for _, part := range split(c.pos, random(), c.encode()) {
		if err := l.submit(&request{ctx: ctx, chunks: []chunk{part}}); err != nil {
			return err // the parts are forgotten when a later checkpoint is complete
		}
	}
	return nil
}

// snapshot returns a checkpoint. Log.mu is held.
func (s *state) snapshot() *checkpoint {
	c := &checkpoint{pos: s.mark.Pos, head: s.seq, time: s.last, lost: s.lost, Snapshot: s.index.Snapshot()}
	oldest := s.seq + 1
	if len(c.Kept) > 0 {
		oldest = c.Kept[0]
	}
	for name, upTo := range s.forgot {
		if upTo < oldest {
			delete(s.forgot, name)
		}
	}
	c.forgot = maps.Clone(s.forgot)
	return c
}

// compact stores kept entries anew whose records have many that are not kept.
func (l *Log) compact(ctx context.Context, s *state) error {
	list := s.places.sparse(moveEntries)
	slices.Sort(list)
	for len(list) > 0 {
		n := min(coldAtOnce, len(list))
		load, cancel := context.WithTimeout(ctx, l.options.Wait)
		data, err := l.engine.Load(load, list[:n])
		cancel()
		if err != nil {
			return err
		}
		for i, pos := range list[:n] {
			if err := l.move(ctx, s, pos, data[i]); err != nil {
				return err
			}
		}
		list = list[n:]
	}
	return nil
}

// move stores the kept entries of one record anew.
func (l *Log) move(ctx context.Context, s *state, pos uint64, data []byte) error {
	entries, err := entriesOf(pos, data)
	if err != nil {
		return err
	}
	var es []*eventlog.Entry
	for seq, e := range entries {
		if at, _ := s.places.find(seq); at == pos && s.index.Keeps(seq) {
			es = append(es, e)
		}
	}
	slices.SortFunc(es, func(a, b *eventlog.Entry) int { return int(a.Seq) - int(b.Seq) })
	for len(es) > 0 { // moved entries say where they stand, so not all may have room in one record
		n := l.together(es)
		if err := l.submit(&request{ctx: ctx, moved: es[:n]}); err != nil {
			return err
		}
		es = es[n:]
	}
	return nil
}

// together returns how many entries go into one record, 1 at least.
func (l *Log) together(es []*eventlog.Entry) (n int) {
	for size := 0; n < len(es) && size < groupBytes; n++ {
		if size += entrySize(es[n]); size > l.largest && n > 0 {
			break
		}
	}
	return n
}
