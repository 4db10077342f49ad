package sharedlog

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/weirstream/weir/eventlog"
)

const (
	coldBytes   = 8 << 20 // of records that were loaded and stay for the next reader
	coldAtOnce  = 16      // records in one call of the engine
	coldMinimum = 512     // bytes that a record counts at least

	coldWait = 30 * time.Second // for an engine that does not answer: an error would end the reader
)

// cold are records that have been loaded, or are being loaded. Who asks for a record
// that another asks for waits for that one's answer, so that a thousand readers of the
// same messages are one question.
type cold struct {
	mu      sync.Mutex
	records map[uint64]*coldRecord // guarded by mu
	order   []uint64               // guarded by mu: those that are loaded, the oldest first
	bytes   int                    // guarded by mu: of those
}

// A coldRecord is valid when loaded is closed.
type coldRecord struct {
	loaded  chan struct{}
	entries map[uint64]*eventlog.Entry // nil: the list does not have the record
	bytes   int
	err     error
}

// get returns records at some positions, which rise.
func (c *cold) get(ctx context.Context, l *Log, positions []uint64) ([]*coldRecord, error) {
	list, mine := c.claim(positions)
	for len(mine) > 0 {
		n := min(coldAtOnce, len(mine))
		c.load(l, mine[:n])
		mine = mine[n:]
	}
	for _, r := range list {
		select {
		case <-r.loaded:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if r.err != nil {
			return nil, r.err
		}
	}
	return list, nil
}

// claim returns the places of records, and those that the caller must load.
func (c *cold) claim(positions []uint64) (list []*coldRecord, mine []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.records == nil {
		c.records = make(map[uint64]*coldRecord)
	}
	for _, pos := range positions {
		r := c.records[pos]
		if r == nil {
			r = &coldRecord{loaded: make(chan struct{})}
			c.records[pos] = r
			mine = append(mine, pos)
		}
		list = append(list, r)
	}
	return list, mine
}

// load loads some records, for all who wait for them.
func (c *cold) load(l *Log, positions []uint64) {
	data, err := l.loadPatiently(positions)
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, pos := range positions {
		r := c.records[pos]
		if r.err = err; err == nil && data[i] != nil {
			r.entries, r.err = entriesOf(pos, data[i])
			r.bytes = max(len(data[i]), coldMinimum)
		}
		close(r.loaded)
		if r.entries == nil {
			delete(c.records, pos)
			continue
		}
		c.order = append(c.order, pos)
		c.bytes += r.bytes
	}
	for c.bytes > coldBytes {
		c.bytes -= c.records[c.order[0]].bytes
		delete(c.records, c.order[0])
		c.order = c.order[1:]
	}
}

// loadPatiently loads records, from an engine that may be away for a while.
func (l *Log) loadPatiently(positions []uint64) (data [][]byte, err error) {
	end, cancel := context.WithTimeout(l.ctx, coldWait)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		ctx, cancel := context.WithTimeout(end, l.options.Wait)
		data, err = l.engine.Load(ctx, positions)
		cancel()
		if err == nil {
			return data, nil
		}
		select {
		case <-time.After(pause):
		case <-end.Done():
			return nil, fmt.Errorf("%w: %v", eventlog.ErrUnavailable, err)
		}
	}
}

func entriesOf(pos uint64, data []byte) (map[uint64]*eventlog.Entry, error) {
	r, err := parseRecord(pos, data)
	if err != nil {
		return nil, err
	}
	entries := make(map[uint64]*eventlog.Entry, len(r.entries)+len(r.moved))
	for _, e := range r.entries {
		entries[e.Seq] = e
	}
	for _, e := range r.moved {
		entries[e.Seq] = e
	}
	return entries, nil
}

// Load implements [eventlog.Store].
func (s *state) Load(ctx context.Context, seqs []uint64) ([]*eventlog.Entry, error) {
	at := make([]uint64, len(seqs)) // 0: nowhere
	var positions []uint64
	index := make(map[uint64]int)
	for i, seq := range seqs {
		pos, ok := s.places.find(seq)
		if !ok {
			continue // trimmed this moment
		}
		at[i] = pos
		if _, ok := index[pos]; !ok {
			index[pos] = len(positions)
			positions = append(positions, pos)
		}
	}
	records, err := s.cold.get(ctx, s.log, positions)
	if err != nil {
		return nil, err
	}
	es := make([]*eventlog.Entry, len(seqs))
	for i, seq := range seqs {
		if at[i] != 0 {
			es[i] = records[index[at[i]]].entries[seq]
		}
		if es[i] == nil {
			return es, s.missed(ctx, seq, at[i])
		}
	}
	return es, nil
}

// missed is for an entry that its record does not have, or whose record is gone. That
// must be because another node has cleaned up, which this one is about to learn.
// Otherwise the entry is lost.
func (s *state) missed(ctx context.Context, seq, pos uint64) error {
	head, err := s.log.engine.Head(ctx)
	if err != nil {
		return fmt.Errorf("%w: %v", eventlog.ErrUnavailable, err)
	}
	if err := s.log.reach(ctx, s, head.Pos); err != nil {
		return err
	}
	if at, _ := s.places.find(seq); at == pos && s.index.Keeps(seq) {
		s.log.options.Logger.Error("a message is not where it was stored: it counts as lost", "position", seq, "record", pos)
		s.index.Lose(seq)
	}
	return nil
}
