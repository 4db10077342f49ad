package durable

import (
	"context"
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
	visitor     *gate.Visitor
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
	want.visitor = v
	if want.fork != nil {
		if err := v.MaySubscribe(want.fork.from); err != nil {
			return err
		}
	}
	data, err := h.body(w, r)
	if err != nil {
		return err
	}
	unlock, err := h.lockFresh(name, want)
	if err != nil {
		return err
	}
	defer unlock()
	if h.writing.Over() {
		return errStopping
	}
	s, err := h.live(name)
	created := err == errNotFound
	switch {
	case err == errDeleted:
		return problem.Conflict("deleted", "the name belongs to a deleted stream until its forks are gone")
	case created:
		s, err = h.create(context.WithoutCancel(r.Context()), name, want, data)
	case err == nil:
		h.expiry.use(name)
		err = want.check(s)
	}
	if err != nil {
		return err
	}
	h.answerPut(w, r, name, s, created)
	return nil
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

// lockFresh locks what creating a stream changes. What is left of one whose time is
// over is deleted first.
func (h *Handler) lockFresh(name string, want wish) (unlock func(), err error) {
	for {
		unlock := h.lockFor(name, want)
		s, err := h.load(name)
		if err == errNotFound || err == nil && (s.Deleted || !h.expiry.over(name, s, time.Now())) {
			return unlock, nil
		}
		unlock()
		if err == nil {
			err = h.expire(name)
		}
		if err != nil {
			return nil, err
		}
	}
}

func (h *Handler) lockFor(name string, want wish) (unlock func()) {
	if want.fork == nil || want.fork.from == name {
		return h.locks.lock(name)
	}
	h.structure.Lock()
	own, source := h.locks.lock(name), h.locks.lock(want.fork.from)
	return func() {
		source()
		own()
		h.structure.Unlock()
	}
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

// create makes a stream that does not exist. Its lock is held, and that of the
// stream that it is to be a fork of.
func (h *Handler) create(ctx context.Context, name string, want wish, data []byte) (*state, error) {
	head := h.hub.Log().Head()
	s := &state{ID: newID(), Type: want.contentType, First: head, TTL: want.ttl, Expires: want.expires, Closed: want.closed}
	var puts []eventlog.Put
	var ms []hub.Message
	if want.fork != nil {
		source, prefix, err := h.fork(ctx, s, want)
		if err != nil {
			return nil, err
		}
		puts = append(puts, source)
		if len(prefix) > 0 {
			ms = append(ms, hub.Message{Topics: []string{name}, Data: prefix})
		}
	}
	s.Parts = append(s.Parts, part{Topic: name, After: head})
	content, err := messages(name, s, data)
	if err == nil {
		err = want.visitor.Publish(max(1, len(content)))
	}
	if err != nil {
		return nil, err
	}
	return s, h.begin(ctx, name, s, puts, append(ms, content...))
}

// begin stores a new stream.
func (h *Handler) begin(ctx context.Context, name string, s *state, puts []eventlog.Put, ms []hub.Message) error {
	due := newDeadline(name, s, time.Now())
	if due != nil {
		puts = append(puts, due.put())
	}
	receipts, err := h.hub.Commit(ctx, append(puts, s.put(name)), ms...)
	if err != nil {
		return err
	}
	if due != nil {
		h.expiry.add(due)
	}
	if s.Closed {
		h.ended(ctx, name, s, last(receipts, s.own().After))
	}
	return nil
}

// last returns the position of the last message, or none if there is no message.
func last(receipts []hub.Receipt, none uint64) uint64 {
	if n := len(receipts); n > 0 {
		return receipts[n-1].Seq
	}
	return none
}

// ended notes where a stream ends that has just been closed: its last message has
// got its position only now. If this cannot be stored, the worst is that what is
// published to the topic by other means belongs to the stream, too.
func (h *Handler) ended(ctx context.Context, name string, s *state, end uint64) {
	s.End = &end
	if _, err := h.hub.Commit(ctx, []eventlog.Put{s.put(name)}); err != nil {
		h.opts.Log.Warn("the end of a closed stream is not stored", "stream", name, "error", err)
	}
	h.hub.Wake(name)
}
