package durable

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

const (
	defaultType = "application/octet-stream"
	maxType     = 255                   // bytes in a content type
	maxTTL      = 100 * 365 * 24 * 3600 // seconds
)

// A wish is what a request wants a stream to be.
type wish struct {
	bill        bill
	contentType string // "" if the request does not say
	ttl         *int64 // as in state
	expires     int64
	closed      bool
	fork        *forkWish // nil: no fork
}

// put serves PUT: create a stream, or make sure that it is as wanted.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	want, err := h.wished(r.Header)
	if err != nil {
		return err
	}
	want.bill.visitor = v
	if want.fork != nil {
		if err := v.MaySubscribe(want.fork.from); err != nil {
			return err
		}
	}
	data, err := h.body(w, r)
	if err != nil {
		return err
	}
	s, created, err := h.ensure(context.WithoutCancel(r.Context()), name, want, data)
	if err != nil {
		return err
	}
	h.answerPut(w, r, name, s, created)
	return nil
}

// errOver means that the time of a stream is over which has not been deleted yet.
var errOver = errors.New("durable: over")

// ensure returns the stream, and whether it was created for want. What is left of one
// whose time is over is deleted first.
func (h *Handler) ensure(ctx context.Context, name string, want wish, data []byte) (s *state, created bool, err error) {
	if err := h.sync(ctx); err != nil { // what other nodes had published is not in the stream
		return nil, false, err
	}
	for {
		receipts, err := h.commit(ctx, func(v *view) (c hub.Change, err error) {
			s, c, err = h.decidePut(v, name, &want, data)
			return c, err
		})
		switch err {
		case nil:
			h.begun(ctx, name, s, receipts)
			return s, true, nil
		case errExists:
			h.use(name, s, 0)
			return s, false, want.check(s)
		case errOver:
			err = h.expire(name)
		}
		if err != nil {
			return nil, false, err
		}
	}
}

// errExists means that there is a stream of the name.
var errExists = errors.New("durable: exists")

// decidePut returns a new stream and what stores it, or the stream that is there and an
// error.
func (h *Handler) decidePut(v *view, name string, want *wish, data []byte) (s *state, c hub.Change, err error) {
	if h.writing.Over() {
		return nil, c, errStopping
	}
	s, err = v.load(name)
	switch {
	case err == errNotFound:
		return h.create(v, name, want, data)
	case err != nil:
		return nil, c, err
	case s.Deleted:
		return nil, c, problem.Conflict("deleted", "the name belongs to a deleted stream until its forks are gone")
	case h.over(name, s):
		return nil, c, errOver
	}
	return s, c, errExists
}

func (h *Handler) answerPut(w http.ResponseWriter, r *http.Request, name string, s *state, created bool) {
	head := h.answerHeader(w, s, place{after: h.tail(s)})
	head.Set("Content-Type", s.Type)
	head.Set("Content-Security-Policy", sandbox)
	setClosed(head, s.Closed)
	if !created {
		w.WriteHeader(http.StatusOK)
		return
	}
	head.Set("Location", h.location(r, name))
	w.WriteHeader(http.StatusCreated)
}

// wished reads the headers of a PUT.
func (h *Handler) wished(header http.Header) (want wish, err error) {
	if want.contentType, err = contentType(header); err != nil {
		return want, err
	}
	if want.ttl, err = ttlHeader(header); err != nil {
		return want, err
	}
	if want.expires, err = expiresHeader(header); err != nil {
		return want, err
	}
	if want.ttl != nil && want.expires != 0 {
		return want, problem.BadRequest("bad_expiry", "Stream-TTL and Stream-Expires-At are both given: want one of them")
	}
	want.closed = closedHeader(header)
	want.fork, err = h.forkWished(header)
	if want.fork == nil && want.contentType == "" {
		want.contentType = defaultType
	}
	return want, err
}

// contentType returns the header, or "" if there is none.
func contentType(header http.Header) (string, error) {
	text := strings.TrimSpace(header.Get("Content-Type"))
	if text == "" {
		return "", nil
	}
	if _, _, err := mime.ParseMediaType(text); err != nil || len(text) > maxType {
		return "", problem.BadRequest("bad_content_type", "Content-Type is "+problem.Quote(text)+": want a media type of at most "+strconv.Itoa(maxType)+" bytes")
	}
	return text, nil
}

// mediaType is what counts of a content type: parameters do not.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(t))
}

func (s *state) isJSON() bool { return mediaType(s.Type) == "application/json" }

func (s *state) isText() bool { return s.isJSON() || strings.HasPrefix(mediaType(s.Type), "text/") }

func ttlHeader(header http.Header) (*int64, error) {
	text := header.Get("Stream-TTL")
	if text == "" {
		return nil, nil
	}
	n, ok := wholeNumber(text, maxTTL)
	if !ok {
		return nil, problem.BadRequest("bad_expiry", "Stream-TTL is "+problem.Quote(text)+": want whole seconds from 0 to "+strconv.FormatInt(maxTTL, 10))
	}
	return &n, nil
}

// wholeNumber reads a number that is written in the one way that the protocol
// allows: no sign, no leading zeros.
func wholeNumber(text string, most int64) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && n >= 0 && n <= most && strconv.FormatInt(n, 10) == text
}

func expiresHeader(header http.Header) (int64, error) {
	text := header.Get("Stream-Expires-At")
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UnixMilli() <= 0 {
		return 0, problem.BadRequest("bad_expiry", "Stream-Expires-At is "+problem.Quote(text)+": want a time of RFC 3339, such as 2030-01-31T12:00:00Z")
	}
	return t.UnixMilli(), nil
}

// closedHeader reads Stream-Closed. What is not "true" counts as absent.
func closedHeader(header http.Header) bool {
	return strings.EqualFold(header.Get("Stream-Closed"), "true")
}

// check reports how a stream that exists differs from what is wanted.
func (want wish) check(s *state) error {
	differs := func(what string) error {
		return problem.Conflict("exists", "the stream exists, and its "+what+" differs")
	}
	switch {
	case want.contentType != "" && mediaType(want.contentType) != mediaType(s.Type):
		return differs("content type, " + problem.Quote(s.Type) + ",")
	case !want.sameLife(s):
		return differs("TTL or expiry")
	case want.closed != s.Closed:
		return differs("state, open or closed,")
	case !want.fork.same(s.Fork):
		return differs("origin as a fork")
	}
	return nil
}

func (want wish) sameLife(s *state) bool {
	if want.ttl == nil && want.expires == 0 && s.Fork != nil && s.Fork.Inherited {
		return true
	}
	return (want.ttl == nil) == (s.TTL == nil) && (want.ttl == nil || *want.ttl == *s.TTL) && want.expires == s.Expires
}

// create returns a stream that is not there yet, and what stores it.
func (h *Handler) create(v *view, name string, want *wish, data []byte) (s *state, c hub.Change, err error) {
	head := v.log.Head() // after the view knows that there is no stream: nothing of an earlier one follows
	s = &state{ID: newID(), Type: want.contentType, First: head, TTL: want.ttl, Expires: want.expires, Closed: want.closed}
	if want.fork != nil {
		source, prefix, err := h.fork(v, s, want)
		if err != nil {
			return nil, c, err
		}
		c.Puts = append(c.Puts, source)
		if len(prefix) > 0 {
			c.Messages = append(c.Messages, hub.Message{Topics: []string{name}, Data: prefix})
		}
	}
	s.Parts = append(s.Parts, part{Topic: name, After: head})
	content, err := messages(name, s, data)
	if err == nil {
		err = want.bill.pay(len(content))
	}
	c.Messages = append(c.Messages, content...)
	if at, ok := firstDeadline(s, time.Now()); ok {
		c.Puts = append(c.Puts, putDeadline(name, s.ID, at))
	}
	c.Puts = append(c.Puts, s.put(name))
	return s, c, err
}

// begun does what remains after a stream has been stored.
func (h *Handler) begun(ctx context.Context, name string, s *state, receipts []hub.Receipt) {
	h.expiry.use(name, s, 0)
	if !s.Closed {
		return
	}
	end := s.own().After
	if n := len(receipts); n > 0 {
		end = receipts[n-1].Seq
	}
	h.ended(ctx, name, s, end)
}

// ended notes where a stream ends that has just been closed: its last message has
// got its position only now. If this cannot be stored, the worst is that what is
// published to the topic by other means belongs to the stream, too.
func (h *Handler) ended(ctx context.Context, name string, s *state, end uint64) {
	s.End = &end
	_, err := h.commit(ctx, func(v *view) (c hub.Change, err error) {
		now, err := v.load(name)
		if err != nil || now.ID != s.ID {
			return c, errNotFound
		}
		now.End = &end
		return hub.Change{Puts: []eventlog.Put{now.put(name)}}, nil
	})
	if err != nil && err != errNotFound {
		h.opts.Log.Warn("the end of a closed stream is not stored", "stream", name, "error", err)
	}
}
