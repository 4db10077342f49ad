package durable

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/problem"
)

const (
	maxParts = 32 // topics of one stream: a fork of a fork of a fork …
	maxDepth = 64 // ancestors of a fork, also those of which it has nothing
)

// A fork says what a stream was when it began, as far as a second request to create
// it must say the same.
type fork struct {
	From      string `json:"from"`          // stream
	At        uint64 `json:"at"`            // position up to which its messages are there
	Sub       int64  `json:"sub,omitempty"` // and so many bytes, or JSON messages, of what follows
	Implied   bool   `json:"implied,omitempty"`
	Inherited bool   `json:"inherited,omitempty"` // TTL or expiry are those of the source
	Depth     int    `json:"depth"`               // number of ancestors
}

// A forkWish is what a request says of a fork.
type forkWish struct {
	from    string
	at      uint64
	implied bool // the request leaves at to the server: the source's end
	sub     int64
}

// same reports whether a fork that exists, or nil, is as wanted.
func (want *forkWish) same(f *fork) bool {
	if want == nil || f == nil {
		return want == nil && f == nil
	}
	at := want.implied && f.Implied || !want.implied && want.at == f.At
	return want.from == f.From && want.sub == f.Sub && at
}

// forkWished reads the headers of a fork, or returns nil if it is to be none.
func (h *Handler) forkWished(header http.Header) (*forkWish, error) {
	from, at, sub := header.Get("Stream-Forked-From"), header.Get("Stream-Fork-Offset"), header.Get("Stream-Fork-Sub-Offset")
	if from == "" {
		if at != "" || sub != "" {
			return nil, problem.BadRequest("bad_fork", "Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From")
		}
		return nil, nil
	}
	want := &forkWish{implied: at == "" || at == wordNow}
	path, err := url.PathUnescape(from)
	if err != nil {
		return nil, problem.BadRequest("bad_fork", "Stream-Forked-From is "+problem.Quote(from)+": want the path of a stream")
	}
	if want.from, err = h.name(path); err != nil {
		return nil, err
	}
	if !want.implied && at != wordStart {
		p, foreign, ok := h.parseOffset(at)
		if !ok || foreign {
			return nil, badOffset("Stream-Fork-Offset", at)
		}
		want.at = p.after
	}
	if sub != "" {
		var ok bool
		if want.sub, ok = wholeNumber(sub, 1<<53-1); !ok {
			return nil, problem.BadRequest("bad_fork", "Stream-Fork-Sub-Offset is "+problem.Quote(sub)+": want a whole number, without sign or leading zeros")
		}
	}
	return want, nil
}

// fork makes s, which is new, a fork. It returns what stores that the source has one
// more, and the beginning of s's own messages.
func (h *Handler) fork(v *view, s *state, want *wish) (put eventlog.Put, prefix []byte, err error) {
	source, err := h.live(v, want.fork.from)
	if err == errDeleted {
		return put, nil, problem.Conflict("deleted", "the stream to fork has been deleted")
	}
	if err != nil {
		return put, nil, err
	}
	if want.contentType != "" && mediaType(want.contentType) != mediaType(source.Type) {
		return put, nil, problem.Conflict("content_type", "Content-Type is "+problem.Quote(want.contentType)+", but that of the stream to fork is "+problem.Quote(source.Type))
	}
	f := &fork{From: want.fork.from, At: want.fork.at, Sub: want.fork.sub, Implied: want.fork.implied}
	tail := h.tail(source)
	if f.Implied {
		f.At = tail
	}
	if f.At > tail || f.At != 0 && f.At < source.First {
		return put, nil, problem.BadRequest("bad_offset", "Stream-Fork-Offset is not within the stream to fork")
	}
	s.Type, s.First, s.Fork = source.Type, source.First, f
	if want.ttl == nil && want.expires == 0 {
		f.Inherited = true
		s.TTL, s.Expires = source.TTL, source.Expires
	}
	upTo, prefix, err := h.refine(source, f)
	if err != nil {
		return put, nil, err
	}
	if err := s.inherit(source, upTo); err != nil {
		return put, nil, err
	}
	source.Forks++
	return source.put(f.From), prefix, nil
}

// inherit gives s the messages of a stream up to a position.
func (s *state) inherit(source *state, upTo uint64) error {
	for _, p := range source.Parts {
		if p.After < upTo {
			if p.UpTo == 0 || p.UpTo > upTo {
				p.UpTo = upTo
			}
			s.Parts = append(s.Parts, p)
		}
	}
	if source.Fork != nil {
		s.Fork.Depth = source.Fork.Depth + 1
	}
	if len(s.Parts) >= maxParts || s.Fork.Depth >= maxDepth {
		return problem.BadRequest("bad_fork", fmt.Sprintf("a fork may have the messages of %d others, limit %d, and %d ancestors, limit %d",
			len(s.Parts), maxParts-1, s.Fork.Depth+1, maxDepth))
	}
	return nil
}

// refine applies the sub-offset: it returns the position up to which a fork has the
// source's messages, and the beginning of the one that follows.
func (h *Handler) refine(source *state, f *fork) (upTo uint64, prefix []byte, err error) {
	if f.Sub == 0 {
		return f.At, nil, nil
	}
	overshot := problem.BadRequest("bad_fork", fmt.Sprintf("Stream-Fork-Sub-Offset is %d, which is beyond the data that follows Stream-Fork-Offset", f.Sub))
	n := int64(1)
	if source.isJSON() {
		n = f.Sub
	}
	if n > maxBatch {
		return 0, nil, overshot
	}
	entries, err := h.next(source, f.At, int(n))
	if err != nil {
		return 0, nil, err
	}
	if int64(len(entries)) < n {
		return 0, nil, overshot
	}
	e := entries[n-1]
	if source.isJSON() || int64(len(e.Data)) == f.Sub {
		return e.Seq, nil, nil
	}
	if int64(len(e.Data)) < f.Sub {
		return 0, nil, overshot
	}
	return f.At, bytes.Clone(e.Data[:f.Sub]), nil
}

// next returns the n messages that follow a position, or fewer if there are not as
// many.
func (h *Handler) next(s *state, after uint64, n int) (entries []*eventlog.Entry, err error) {
	at := place{after: after, start: after == 0}
	for len(entries) < n {
		p, err := h.read(context.Background(), s, at, eventlog.Limit{Entries: n - len(entries), Bytes: readLimit.Bytes})
		if err != nil {
			return nil, err
		}
		entries = append(entries, p.entries...)
		if p.upToDate {
			break
		}
		at = p.next
	}
	return entries, nil
}
