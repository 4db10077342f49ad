package durable

import (
	"context"
	"errors"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// readLimit bounds the answer to one read, and followLimit one event. A larger
// message still goes out.
var (
	readLimit   = eventlog.Limit{Entries: 1000, Bytes: 1 << 20}
	followLimit = eventlog.Limit{Entries: 1000, Bytes: 64 << 10}
)

// A page is what a reader gets in one go.
type page struct {
	entries  []*eventlog.Entry
	bytes    int
	next     place // where the reader stands after it
	upToDate bool  // there was no more
	closed   bool  // nor will there be
	trimmed  bool  // the reader began at the start, and what was there first is no longer kept
}

// read reads on from a place, at most lim, both fields of which are positive.
// errTrimmed means that something is no longer kept which the reader has not seen,
// and does not know to be lost.
func (h *Handler) read(ctx context.Context, s *state, at place, lim eventlog.Limit) (page, error) {
	p := page{upToDate: true}
	if at.start {
		at.told = h.lost(s)
		p.trimmed = at.told > 0
	} else if at.after < s.First {
		return p, errTrimmed // it belongs to an earlier stream of the name
	}
	tail := h.tail(s) // before the head: what comes in between is read
	head := h.hub.Log().Head()
	var err error
	for i := 0; i < len(s.Parts) && p.upToDate && err == nil; i++ {
		err = h.readPart(ctx, s.part(i, head), at, lim, &p)
	}
	p.next = place{after: at.after, told: at.told}
	if n := len(p.entries); n > 0 {
		p.next.after = p.entries[n-1].Seq
	}
	if p.upToDate {
		p.next.after = max(p.next.after, tail)
		p.closed = s.Closed
	}
	if gone := h.check(s); gone != nil {
		err = gone // whatever was read, or not, may be of another stream
	}
	return p, err
}

// part returns part i of what there is of s up to a position.
func (s *state) part(i int, head uint64) part {
	p := s.Parts[i]
	if p.UpTo == 0 && s.End != nil {
		head = min(head, *s.End)
	}
	if p.UpTo == 0 || p.UpTo > head {
		p.UpTo = head
	}
	return p
}

// readPart adds what follows at in one part, until the page is full: then it is not
// up to date.
func (h *Handler) readPart(ctx context.Context, part part, at place, lim eventlog.Limit, p *page) error {
	for from := max(at.after, part.After); from < part.UpTo; {
		left := eventlog.Limit{Entries: lim.Entries - len(p.entries), Bytes: lim.Bytes - p.bytes}
		if left.Entries <= 0 || left.Bytes <= 0 {
			p.upToDate = false
			return nil
		}
		got, err := h.hub.Log().Read(ctx, selector(part.Topic), from, part.UpTo, left)
		if errors.Is(err, eventlog.ErrClosed) {
			return hub.ErrClosed
		}
		if err == nil && got.Lost > at.told {
			err = errTrimmed
		}
		if err != nil {
			return err
		}
		for _, e := range got.Entries {
			p.bytes += len(e.Data)
		}
		p.entries = append(p.entries, got.Entries...)
		if from = got.Next; len(got.Entries) > 0 && from < part.UpTo {
			p.upToDate = false
			return nil
		}
	}
	return nil
}

// lost is the highest position of a message of s that is no longer kept, or 0.
func (h *Handler) lost(s *state) (lost uint64) {
	for _, p := range s.Parts {
		l := h.hub.Log().Bounds(selector(p.Topic)).Lost
		if p.UpTo > 0 {
			l = min(l, p.UpTo)
		}
		if l > p.After {
			lost = max(lost, l)
		}
	}
	return lost
}

// check returns errNotFound if s has been deleted meanwhile. Another stream may have
// its name by now.
func (h *Handler) check(s *state) error {
	now, err := h.view().load(s.own().Topic)
	if err == nil && now.ID != s.ID {
		err = errNotFound
	}
	return err
}
