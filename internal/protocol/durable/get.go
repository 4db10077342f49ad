package durable

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

// trimmedHeader tells a reader who began at the start that the stream had more: what
// was first is no longer kept.
const trimmedHeader = "Weir-Trimmed"

// sandbox keeps a browser that shows a stream as a page from running what is in it:
// whoever may append would otherwise write pages of this origin.
const sandbox = "sandbox"

// A request is a GET that has been understood.
type request struct {
	w      http.ResponseWriter
	r      *http.Request
	v      *gate.Visitor
	name   string
	at     place
	now    bool // at is where the stream ends
	cursor string
	read   func(bytes int64) // is told how much history was read; nil: nothing is
}

// charge tells how much history was read.
func (rq *request) charge(bytes int) {
	if rq.read != nil {
		rq.read(int64(bytes))
	}
}

// get serves GET.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return problem.BadRequest("bad_parameter", "the query cannot be read: "+err.Error())
	}
	rq := request{w: w, r: r, v: v, name: name, cursor: q.Get("cursor")}
	s, err := h.locate(&rq, q)
	if err != nil {
		return err
	}
	h.use(name, s, 0)
	switch live := q.Get("live"); {
	case live == "":
		err = h.catchUp(rq, s)
	case live != "long-poll" && live != "sse":
		err = problem.BadRequest("bad_parameter", "live is "+problem.Quote(live)+": want long-poll or sse")
	case !q.Has("offset"):
		err = problem.BadRequest("bad_offset", "offset is missing: live="+live+" needs it")
	default:
		err = h.wait(rq, s, live)
	}
	if r.Context().Err() != nil {
		return nil // nobody is there to read an error
	}
	return err
}

// locate finds the stream and where to start. If this node cannot know what others have
// stored, readers get what it has; but that something is not there it does not say then.
func (h *Handler) locate(rq *request, q url.Values) (*state, error) {
	unsure := h.sync(rq.r.Context())
	s, err := h.find(rq.name)
	if err == nil {
		rq.at, rq.now, err = h.start(q, s)
	}
	if err != nil && unsure != nil {
		err = unsure
	}
	return s, err
}

// wait serves a live read.
func (h *Handler) wait(rq request, s *state, live string) error {
	lease, err := rq.v.Open(!rq.now)
	if err != nil {
		return err
	}
	defer lease.Abandon()
	rq.read = lease.Replayed()
	if live == "sse" {
		return h.follow(rq, s)
	}
	return h.poll(rq, s)
}

// until returns the time d from now, or when the visitor's right to read ends.
func (rq *request) until(d time.Duration) time.Time {
	at := time.Now().Add(d)
	if end := rq.v.Expires(); !end.IsZero() && end.Before(at) {
		return end
	}
	return at
}

// start reads where to start.
func (h *Handler) start(q url.Values, s *state) (at place, now bool, err error) {
	given := q["offset"]
	switch {
	case len(given) == 0:
		return place{start: true}, false, nil
	case len(given) > 1:
		return place{}, false, problem.BadRequest("bad_offset", fmt.Sprintf("offset is given %d times: want it once", len(given)))
	case given[0] == wordStart:
		return place{start: true}, false, nil
	case given[0] == wordNow:
		return place{after: h.tail(s)}, true, nil
	}
	at, foreign, ok := h.parseOffset(given[0])
	switch {
	case !ok || !foreign && max(at.after, at.told) > h.hub.Log().Head():
		return at, false, badOffset("offset", given[0])
	case foreign:
		return at, false, errTrimmed
	}
	return at, false, nil
}

// catchUp answers with what there is.
func (h *Handler) catchUp(rq request, s *state) error {
	if rq.now {
		h.answer(rq, s, page{next: rq.at, upToDate: true, closed: s.Closed}, "no-store")
		return nil
	}
	var err error
	if rq.read, err = rq.v.Replay(); err != nil {
		return err
	}
	p, err := h.read(rq.r.Context(), s, rq.at, readLimit)
	if err != nil {
		return err
	}
	tag := etag(s, rq.at, p)
	rq.w.Header().Set("ETag", tag)
	if matches(rq.r.Header["If-None-Match"], tag) {
		h.answerHeader(rq.w, s, p.next)
		setPage(rq.w.Header(), p)
		rq.w.Header().Set("Cache-Control", caching(rq, s))
		rq.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.answer(rq, s, p, caching(rq, s))
	return nil
}

// etag names what a page has: the bytes between two offsets never change, but those
// from the start on are trimmed.
func etag(s *state, at place, p page) string {
	end := ""
	if p.closed {
		end = ":c"
	}
	return fmt.Sprintf(`"%s:%d:%d:%d%s"`, s.ID, at.after, p.next.told, p.next.after, end)
}

// matches reports whether If-None-Match names a tag.
//
// Source: RFC 9110, section 13.1.2.
func matches(header []string, tag string) bool {
	for _, line := range header {
		for one := range strings.SplitSeq(line, ",") {
			one = strings.TrimSpace(one)
			if one == "*" || strings.TrimPrefix(one, "W/") == tag {
				return true
			}
		}
	}
	return false
}

// caching says how long a page may be kept by caches, which is not longer than the
// stream is certainly there.
func caching(rq request, s *state) string {
	scope, age := "public", int64(60)
	if rq.v.Private() || rq.r.Header.Get("Authorization") != "" || rq.r.Header.Get("Cookie") != "" {
		scope = "private"
	}
	switch {
	case s.TTL != nil:
		age = min(age, *s.TTL)
	case s.Expires != 0:
		age = max(0, min(age, (s.Expires-time.Now().UnixMilli())/1000))
	default:
		return scope + ", max-age=60, stale-while-revalidate=300"
	}
	return scope + ", max-age=" + strconv.FormatInt(age, 10)
}

// answer sends a page.
func (h *Handler) answer(rq request, s *state, p page, caching string) {
	body := encode(s, p.entries)
	if !rq.now {
		rq.charge(size(body))
	}
	head := h.answerHeader(rq.w, s, p.next)
	setPage(head, p)
	head.Set("Content-Type", s.Type)
	head.Set("Content-Security-Policy", sandbox)
	head.Set("Content-Length", strconv.Itoa(size(body)))
	head.Set("Cache-Control", caching)
	rc := http.NewResponseController(rq.w)
	_ = rc.SetWriteDeadline(time.Now().Add(writePatience))
	defer rc.SetWriteDeadline(time.Time{}) // the connection goes on
	for _, piece := range body {
		if _, err := rq.w.Write(piece); err != nil {
			return // the client is gone
		}
	}
}

// encode returns the pieces of what messages are in a body.
func encode(s *state, entries []*eventlog.Entry) (pieces [][]byte) {
	if s.isJSON() {
		return appendJSON(make([][]byte, 0, 2*len(entries)+2), entries)
	}
	for _, e := range entries {
		pieces = append(pieces, e.Data)
	}
	return pieces
}

// size returns how many bytes pieces have.
func size(pieces [][]byte) (n int) {
	for _, piece := range pieces {
		n += len(piece)
	}
	return n
}

// answerHeader sets what most answers have.
func (h *Handler) answerHeader(w http.ResponseWriter, s *state, next place) http.Header {
	head := w.Header()
	head.Set("Stream-Next-Offset", h.offset(next))
	head.Set("Cache-Control", "no-store")
	return head
}

func setClosed(head http.Header, closed bool) {
	if closed {
		head.Set("Stream-Closed", "true")
	}
}

func setPage(head http.Header, p page) {
	setClosed(head, p.closed)
	if p.upToDate {
		head.Set("Stream-Up-To-Date", "true")
	}
	if p.trimmed {
		head.Set(trimmedHeader, "true")
	}
}

// describe serves HEAD.
func (h *Handler) describe(w http.ResponseWriter, r *http.Request, name string) error {
	unsure := h.sync(r.Context())
	s, err := h.find(name)
	if err != nil && unsure != nil {
		err = unsure
	}
	if err != nil {
		return err
	}
	head := h.answerHeader(w, s, place{after: h.tail(s)})
	head.Set("Content-Type", s.Type)
	if s.TTL != nil {
		head.Set("Stream-TTL", strconv.FormatInt(*s.TTL, 10))
	}
	if s.Expires != 0 {
		head.Set("Stream-Expires-At", time.UnixMilli(s.Expires).UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	setClosed(head, s.Closed)
	if h.lost(s) > 0 {
		head.Set(trimmedHeader, "true")
	}
	w.WriteHeader(http.StatusOK)
	return nil
}
