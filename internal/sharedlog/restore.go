package sharedlog

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/weirstream/weir/eventlog"
)

// replay applies records of which nobody is told.
func (s *state) replay(list []Record) error {
	for _, rec := range list {
		r, err := s.check(rec)
		if err != nil {
			return err
		}
		if _, err := s.apply(r, rec, r.entries); err != nil {
			return err
		}
		s.log.recognise(r)
		s.fresh = append(s.fresh, r.entries...)
	}
	return nil
}

// A reading is the list as it was read, with the data of the newest entries only.
type reading struct {
	log     *Log
	records []readRecord
	hot     []*eventlog.Entry // with their data, the oldest first
	bytes   int64             // of those
	chunks  chunks
	newest  *checkpoint // of those that are complete the one that knows most
	size    int64       // its size
}

type readRecord struct {
	*record
	pos   uint64
	bytes int
	sizes []int // of the data of entries
	data  []byte
}

// restore reads the list. damage says that records are missing that should be there.
func (l *Log) restore(ctx context.Context, before *state) (s *state, damage, err error) {
	rd := &reading{log: l, chunks: make(chunks)}
	head, err := rd.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	if s, err = l.newState(); err != nil {
		return nil, nil, err
	}
	if damage = rd.build(s, head); damage == nil {
		damage = rd.missing(s, head)
	}
	s.mark = head.Mark
	var seq uint64
	if s.nonce, seq, err = parseTag(head.Tag); err != nil {
		return nil, nil, err
	}
	s.seq = max(s.seq, seq)
	s.index.RestoreHead(s.seq, 0)
	rd.rest(s, before)
	for _, r := range rd.records {
		l.recognise(r.record)
	}
	return s, damage, nil
}

// recognise notes that the list has r, if that is what the writer has sent without
// getting an answer.
func (l *Log) recognise(r *record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g := l.inflight; g != nil && g.record.nonce == r.nonce {
		g.applied, l.inflight = true, nil
	}
}

// read reads all records.
func (rd *reading) read(ctx context.Context) (Head, error) {
	after := uint64(0)
	for {
		head, err := rd.log.engine.Head(ctx)
		if err != nil || after >= head.Pos {
			return head, err
		}
		for after < head.Pos {
			list, err := rd.log.engine.Next(ctx, after)
			if err != nil {
				return head, err
			}
			if len(list) == 0 {
				return head, nil // missing tells
			}
			for _, rec := range list {
				if rec.Pos > head.Pos {
					break // it comes with the next head
				}
				if err := rd.add(rec); err != nil {
					return head, err
				}
				after = rec.Pos
			}
			if list[0].Pos > head.Pos {
				break
			}
		}
	}
}

func (rd *reading) add(rec Record) error {
	r, err := parseRecord(rec.Pos, rec.Data)
	if err != nil {
		return fmt.Errorf("%w: %w", errFatal, err)
	}
	read := readRecord{record: r, pos: rec.Pos, bytes: len(rec.Data), data: rec.Data}
	for _, e := range r.entries {
		read.sizes = append(read.sizes, len(e.Data))
		rd.heat(e)
	}
	for _, e := range r.moved {
		read.sizes = append(read.sizes, len(e.Data))
		e.Data = nil
	}
	rd.records = append(rd.records, read)
	for _, c := range r.chunks {
		cp, err := rd.chunks.add(c)
		if err != nil {
			return fmt.Errorf("%w: %w", errFatal, err)
		}
		if cp != nil && (rd.newest == nil || cp.pos > rd.newest.pos) {
			rd.newest, rd.size = cp, int64(c.count-1)*chunkBytes+int64(len(c.data))
		}
	}
	rd.cool()
	return nil
}

// heat keeps the data of an entry, and lets go of that of the oldest.
func (rd *reading) heat(e *eventlog.Entry) {
	rd.hot = append(rd.hot, e)
	rd.bytes += int64(len(e.Data)) + 384
	for rd.bytes > rd.log.options.HotBytes && len(rd.hot) > 0 {
		old := rd.hot[0]
		rd.bytes -= int64(len(old.Data)) + 384
		old.Data = nil
		rd.hot[0] = nil
		rd.hot = rd.hot[1:]
	}
}

// cool lets go of the bytes of records that are not recent.
func (rd *reading) cool() {
	bytes := 0
	for i := len(rd.records) - 1; i >= 0 && rd.records[i].data != nil; i-- {
		if bytes += rd.records[i].bytes; bytes > recentBytes {
			rd.records[i].data = nil
		}
	}
}

// build fills s: first what the checkpoint knows, then record by record.
func (rd *reading) build(s *state, head Head) (damage error) {
	cp := rd.newest
	if cp == nil {
		cp = new(checkpoint)
	}
	damage = rd.restoreKept(s, cp)
	rd.restoreCheckpoint(s, cp)
	for _, r := range rd.records {
		if r.pos > cp.pos {
			r.restore(s)
		}
	}
	return damage
}

// An old entry is one from before the checkpoint.
type oldEntry struct {
	*eventlog.Entry
	size int
	pos  uint64
}

// restoreKept restores the entries that the checkpoint says are kept, and finds out
// where all entries are.
func (rd *reading) restoreKept(s *state, cp *checkpoint) (damage error) {
	old := rd.old(cp)
	for _, r := range rd.records {
		s.places.records = append(s.places.records, carrier{pos: r.pos, bytes: r.bytes, all: len(r.entries) + len(r.moved)})
		s.places.garbage += int64(r.bytes)
	}
	if len(old) < len(cp.Kept) {
		damage = fmt.Errorf("%d messages are kept, %d are there", len(cp.Kept), len(old))
	}
	for _, e := range old {
		s.places.restore(e.Seq, e.pos)
	}
	for _, e := range old {
		s.index.Restore(e.Entry, e.size)
	}
	return damage
}

// old returns the entries that cp says are kept, each once, in order.
func (rd *reading) old(cp *checkpoint) (list []oldEntry) {
	kept := func(e *eventlog.Entry) bool {
		_, found := slices.BinarySearch(cp.Kept, e.Seq)
		return found
	}
	for _, r := range rd.records {
		for i, e := range slices.Concat(r.entries, r.moved) {
			if kept(e) {
				list = append(list, oldEntry{e, r.sizes[i], r.pos})
			}
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Seq < list[j].Seq })
	last := list[:0]
	for _, e := range list { // of those that were moved the newest place counts, and the data if it is there
		if n := len(last); n > 0 && last[n-1].Seq == e.Seq {
			if last[n-1].Data != nil {
				e.Data = last[n-1].Data
			}
			last[n-1] = e
			continue
		}
		last = append(last, e)
	}
	return last
}

// restore notes where a kept entry is. Entries come in order. mu is not needed yet.
func (p *places) restore(seq, pos uint64) {
	if n := len(p.spans); n > 0 && p.spans[n-1].pos == pos && p.spans[n-1].first+uint64(p.spans[n-1].n) == seq {
		p.spans[n-1].n++
		p.spans[n-1].live++
	} else {
		p.spans = append(p.spans, span{first: seq, n: 1, live: 1, pos: pos})
	}
	p.grow(p.record(pos), 1)
}

// restoreCheckpoint restores all but entries.
func (rd *reading) restoreCheckpoint(s *state, cp *checkpoint) {
	known := make(map[string]bool, len(cp.Topics))
	for _, t := range cp.Topics {
		known[t.Name] = true
		s.index.RestoreTopic(t.Name, t.Gone, t.Floor, cp.forgot[t.Name])
	}
	if cp.Forgotten > 0 { // topics that were not known then, although some of their entries are kept
		for _, name := range s.index.Names() {
			if !known[name] {
				s.index.RestoreTopic(name, cp.Forgotten, cp.Forgotten, cp.Forgotten)
			}
		}
	}
	for _, k := range cp.Keys {
		s.index.RestoreKey(k.Key, k.Seq, k.Time)
	}
	s.index.RestoreValues(cp.Values)
	s.index.RestoreHead(cp.head, cp.Forgotten)
	for name, upTo := range cp.forgot {
		s.forgot[name] = upTo
	}
	s.seq, s.last = cp.head, cp.time
	s.jump(cp.lost)
	s.checkpoint, s.bytes = cp.pos, rd.size
}

// restore applies a record from after the checkpoint.
func (r readRecord) restore(s *state) {
	for _, e := range r.entries {
		s.places.restore(e.Seq, r.pos)
	}
	for i, e := range r.entries {
		s.index.Restore(e, r.sizes[i])
		if e.IdempotencyKey != "" {
			s.index.RestoreKey(e.IdempotencyKey, e.Seq, e.Time)
		}
	}
	s.places.move(r.pos, r.moved)
	s.index.RestoreValues(r.puts)
	for _, f := range r.forgets {
		s.forget(f)
	}
	s.jump(r.jump)
	s.seq, s.last = max(s.seq, r.head), max(s.last, r.time)
}

// missing says which records should be there and are not: all after the checkpoint
// must be, one after the other.
func (rd *reading) missing(s *state, head Head) error {
	next, nonce := s.checkpoint+1, uint64(0)
	for _, r := range rd.records {
		if r.pos <= s.checkpoint {
			continue
		}
		if r.pos != next {
			return fmt.Errorf("record %d is missing", next)
		}
		if next > s.checkpoint+1 && r.before != nonce {
			return fmt.Errorf("record %d does not follow %d", r.pos, r.pos-1)
		}
		next, nonce = r.pos+1, r.nonce
	}
	if next <= head.Pos {
		return fmt.Errorf("record %d is missing", next)
	}
	return nil
}

// rest is what remains to be done with what was read: unfinished checkpoints, recent
// records, and entries that the follower has not got.
func (rd *reading) rest(s *state, before *state) {
	s.chunks = rd.chunks
	s.chunks.expire(s.checkpoint)
	for _, r := range rd.records {
		if r.data != nil {
			s.recent.add(Mark{r.pos, r.tag()}, r.data)
		}
		for _, e := range r.entries {
			if before != nil && e.Seq > before.seq && e.Data != nil {
				s.fresh = append(s.fresh, e)
			}
		}
	}
}
