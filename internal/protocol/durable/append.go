package durable

import (
	"context"
	"fmt"
	"net/http"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

// maxSeq is the longest Stream-Seq, in bytes.
const maxSeq = 255

// An addition is what a POST wants to do to a stream.
type addition struct {
	contentType string
	data        []byte // empty: close only
	close       bool
	seq         string    // Stream-Seq; "" if there is none
	by          *sequence // nil: no idempotent producer
	visitor     *gate.Visitor
}

// post serves POST: append, close, or both.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	if _, err := h.find(name); err != nil {
		return err
	}
	a, err := h.addition(w, r)
	if err != nil {
		return err
	}
	defer h.locks.lock(name)()
	// Once more: what is stored after the readers were told to go is lost to them.
	if h.writing.Over() {
		return errStopping
	}
	s, err := h.live(name)
	if err != nil {
		return err
	}
	h.expiry.use(name)
	if s.Closed {
		return h.closedAlready(w, s, a)
	}
	a.visitor = v
	return h.append(context.WithoutCancel(r.Context()), w, name, s, a)
}

// addition reads a POST.
func (h *Handler) addition(w http.ResponseWriter, r *http.Request) (a addition, err error) {
	if a.by, err = producerHeaders(r.Header); err != nil {
		return a, err
	}
	a.close = closedHeader(r.Header)
	if a.seq = r.Header.Get("Stream-Seq"); len(a.seq) > maxSeq {
		return a, problem.BadRequest("bad_seq", fmt.Sprintf("Stream-Seq has %d bytes, limit %d", len(a.seq), maxSeq))
	}
	if a.data, err = h.body(w, r); err != nil {
		return a, err
	}
	if len(a.data) == 0 && !a.close {
		return a, problem.BadRequest("empty_body", "the body is empty: nothing to append; to close the stream, send Stream-Closed: true")
	}
	if len(a.data) > 0 {
		a.contentType, err = contentType(r.Header)
		if err == nil && a.contentType == "" {
			err = problem.BadRequest("bad_content_type", "Content-Type is missing: want that of the stream")
		}
	}
	return a, err
}

// body reads the whole body. One that says that it is too large is not read.
func (h *Handler) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, problem.Document{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type", Detail: "Content-Encoding is " + problem.Quote(coding) + ": send the body as it is"}
	}
	return problem.ReadBody(w, r, "body", h.opts.MaxBytes, h.opts.BodyTimeout)
}

// closedAlready answers what comes too late. Closing once more is fine, and so is
// the very request that closed the stream.
func (h *Handler) closedAlready(w http.ResponseWriter, s *state, a addition) error {
	head := h.answerHeader(w, s, place{after: h.tail(s)})
	setClosed(head, true)
	again := a.by != nil && s.ClosedBy != nil && *a.by == *s.ClosedBy
	if again {
		setProducer(head, a.by.Epoch, a.by.Seq)
	}
	if again || a.by == nil && len(a.data) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return problem.Conflict("closed", "the stream is closed")
}

// append stores what a wants. The stream is open and its lock is held.
func (h *Handler) append(ctx context.Context, w http.ResponseWriter, name string, s *state, a addition) error {
	puts, err := h.accept(w.Header(), name, s, a)
	if err == errDuplicate {
		h.answerHeader(w, s, place{after: h.tail(s)})
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err != nil {
		return err
	}
	ms, err := a.messages(name, s)
	if err == nil {
		err = a.visitor.Publish(max(1, len(ms)))
	}
	if err != nil {
		return err
	}
	tail, err := h.store(ctx, name, s, a, puts, ms)
	if err != nil {
		return err
	}
	h.answerAppend(w, s, a, tail)
	return nil
}

// accept decides about a, but for its data: errDuplicate, another error, or what is
// to be stored about who has sent it.
func (h *Handler) accept(head http.Header, name string, s *state, a addition) ([]eventlog.Put, error) {
	if len(a.data) > 0 && mediaType(a.contentType) != mediaType(s.Type) {
		return nil, problem.Conflict("content_type", "Content-Type is "+problem.Quote(a.contentType)+", but that of the stream is "+problem.Quote(s.Type))
	}
	puts, err := h.admit(head, name, a.by)
	if err != nil || a.seq == "" {
		return puts, err
	}
	if before := string(h.hub.Log().Value(writerKey + name)); a.seq <= before {
		return nil, problem.Conflict("stream_seq", "Stream-Seq is "+problem.Quote(a.seq)+", not after the last one, "+problem.Quote(before))
	}
	return append(puts, eventlog.Put{Key: writerKey + name, Value: []byte(a.seq)}), nil
}

// store appends messages and closes the stream if a wants that. It returns where the
// stream ends then.
func (h *Handler) store(ctx context.Context, name string, s *state, a addition, puts []eventlog.Put, ms []hub.Message) (tail uint64, err error) {
	tail = h.tail(s)
	if a.close {
		s.Closed, s.ClosedBy = true, a.by
		puts = append(puts, s.put(name))
	}
	receipts, err := h.hub.Commit(ctx, puts, ms...)
	if err != nil {
		return 0, err
	}
	tail = last(receipts, tail)
	if a.close {
		h.ended(ctx, name, s, tail)
	}
	return tail, nil
}

// messages turns a body into messages of a stream's topic. An empty body has none.
func messages(name string, s *state, body []byte) ([]hub.Message, error) {
	if len(body) == 0 {
		return nil, nil
	}
	parts := [][]byte{body}
	if s.isJSON() {
		var err error
		if parts, err = splitJSON(body); err != nil {
			return nil, err
		}
	}
	ms := make([]hub.Message, len(parts))
	for i, p := range parts {
		ms[i] = hub.Message{Topics: []string{name}, Data: p}
	}
	return ms, nil
}

// messages returns what is to be appended; that may be nothing only if the body is
// empty.
func (a *addition) messages(name string, s *state) ([]hub.Message, error) {
	if len(a.data) == 0 {
		return nil, nil
	}
	ms, err := messages(name, s, a.data)
	if err == nil && len(ms) == 0 {
		err = problem.BadRequest("empty_body", "the JSON array is empty: nothing to append")
	}
	return ms, err
}

func (h *Handler) answerAppend(w http.ResponseWriter, s *state, a addition, tail uint64) {
	head := h.answerHeader(w, s, place{after: tail})
	setClosed(head, s.Closed)
	status := http.StatusNoContent
	if a.by != nil {
		setProducer(head, a.by.Epoch, a.by.Seq)
		if len(a.data) > 0 {
			status = http.StatusOK
		}
	}
	w.WriteHeader(status)
}
