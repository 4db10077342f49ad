package sharedlog

import (
	"slices"
	"sort"
	"sync"

	"github.com/weirstream/weir/eventlog"
)

// places know which record of the list has which entry, and how many entries of each
// record are kept. Any goroutine may ask.
type places struct {
	mu      sync.Mutex
	spans   []span    // guarded by mu; by first
	records []carrier // guarded by mu; by pos: all that the list has
	garbage int64     // guarded by mu: bytes of the records without kept entries
	kept    int64     // guarded by mu: bytes of the others
}

// A span is a run of entries that are in one record, or were before they were trimmed.
type span struct {
	first uint64
	n     uint32
	live  uint32 // how many of them are kept
	pos   uint64 // of the record
}

// A carrier is a record of the list.
type carrier struct {
	pos   uint64
	bytes int
	all   int // entries that it has
	live  int // of them kept
}

// add notes a record, which is the newest, and the entries in it, which are kept until
// trimmed says otherwise.
func (p *places) add(pos uint64, bytes int, es []*eventlog.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records = append(p.records, carrier{pos: pos, bytes: bytes, all: len(es), live: len(es)})
	if len(es) == 0 {
		p.garbage += int64(bytes)
		return
	}
	p.kept += int64(bytes)
	p.spans = append(p.spans, span{first: es[0].Seq, n: uint32(len(es)), live: uint32(len(es)), pos: pos})
}

// move notes that a record has entries that were elsewhere.
func (p *places) move(pos uint64, es []*eventlog.Entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	to := p.record(pos)
	for _, e := range es {
		s := p.span(e.Seq)
		if s == nil || s.pos == pos {
			continue
		}
		live := int(s.live)
		p.grow(p.record(s.pos), -live)
		to.all += live
		p.grow(to, live)
		s.pos = pos
	}
}

// trimmed notes that an entry is not kept any more.
func (p *places) trimmed(seq uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.span(seq); s != nil && s.live > 0 {
		s.live--
		p.grow(p.record(s.pos), -1)
	}
}

// grow counts n more kept entries of a record. mu is held.
func (p *places) grow(c *carrier, n int) {
	if c == nil || n == 0 {
		return
	}
	was := c.live > 0
	c.live += n
	switch is := c.live > 0; {
	case was && !is:
		p.kept, p.garbage = p.kept-int64(c.bytes), p.garbage+int64(c.bytes)
	case !was && is:
		p.kept, p.garbage = p.kept+int64(c.bytes), p.garbage-int64(c.bytes)
	}
}

// find returns the record that has an entry.
func (p *places) find(seq uint64) (pos uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.span(seq); s != nil {
		return s.pos, true
	}
	return 0, false
}

// span returns the span of an entry, or nil. mu is held.
func (p *places) span(seq uint64) *span {
	i := sort.Search(len(p.spans), func(i int) bool { return p.spans[i].first > seq }) - 1
	if i < 0 || seq >= p.spans[i].first+uint64(p.spans[i].n) {
		return nil
	}
	return &p.spans[i]
}

// record returns a record, or nil. mu is held.
func (p *places) record(pos uint64) *carrier {
	i, ok := slices.BinarySearchFunc(p.records, pos, func(c carrier, pos uint64) int {
		switch {
		case c.pos < pos:
			return -1
		case c.pos > pos:
			return 1
		}
		return 0
	})
	if !ok {
		return nil
	}
	return &p.records[i]
}

// deletable returns the records up to pos that have none of these entries, which rise.
func (p *places) deletable(pos uint64, kept []uint64) (list []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	needed := make(map[uint64]bool)
	for i := 0; i < len(kept); {
		s := p.span(kept[i])
		if s == nil {
			i++
			continue
		}
		needed[s.pos] = true
		for i < len(kept) && kept[i] < s.first+uint64(s.n) {
			i++
		}
	}
	for _, c := range p.records {
		if c.pos <= pos && !needed[c.pos] {
			list = append(list, c.pos)
		}
	}
	return list
}

// remove forgets records that the list does not have any more.
func (p *places) remove(list []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := make(map[uint64]bool, len(list))
	for _, pos := range list {
		gone[pos] = true
		if c := p.record(pos); c != nil {
			p.grow(c, -c.live)
			p.garbage -= int64(c.bytes)
		}
	}
	p.records = slices.DeleteFunc(p.records, func(c carrier) bool { return gone[c.pos] })
	p.spans = slices.DeleteFunc(p.spans, func(s span) bool { return gone[s.pos] })
}

// sizes returns how many bytes the records without kept entries have, and the others.
func (p *places) sizes() (garbage, kept int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.garbage, p.kept
}

// sparse returns records of which less than half of the entries are kept, those with
// the fewest first, up to a number of kept entries.
func (p *places) sparse(limit int) (list []uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var some []carrier
	for _, c := range p.records {
		if c.live > 0 && 2*c.live < c.all {
			some = append(some, c)
		}
	}
	sort.Slice(some, func(i, j int) bool { return some[i].live*some[j].all < some[j].live*some[i].all })
	for _, c := range some {
		if limit -= c.live; limit < 0 {
			break
		}
		list = append(list, c.pos)
	}
	return list
}

// waste is about how many bytes entries take that are not kept, in records with others
// that are.
func (p *places) waste() (n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.records {
		if c.live > 0 && 2*c.live < c.all {
			n += int64(c.bytes) * int64(c.all-c.live) / int64(c.all)
		}
	}
	return n
}
