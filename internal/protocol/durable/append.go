package durable

import (
	"context"
	"errors"
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
	bill        bill
}

// A bill is what a visitor pays once for a change, however often that is decided.
type bill struct {
	visitor *gate.Visitor
	paid    bool
}

func (b *bill) pay(messages int) error {
	if b.paid {
		return nil
	}
	err := b.visitor.Publish(max(1, messages))
	b.paid = err == nil
	return err
}

// post serves POST: append, close, or both.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, v *gate.Visitor, name string) error {
	if err := h.exists(r.Context(), name); err != nil {
		return err
	}
	a, err := h.addition(w, r)
	if err != nil {
		return err
	}
	a.bill.visitor = v
	if a.by != nil || a.seq != "" {
		unlock, err := h.locks.lock(r.Context(), name)
		if err != nil {
			return errStopping // nobody reads it
		}
		defer unlock()
	}
	return h.append(context.WithoutCancel(r.Context()), w, name, a)
}

// exists reports why there is no stream of this name, before a body is read for it.
func (h *Handler) exists(ctx context.Context, name string) error {
	_, err := h.find(name)
	if err == nil || !h.hub.Shared() {
		return err
	}
	if err := h.sync(ctx); err != nil {
		return err
	}
	_, err = h.find(name)
	return err
}

// addition reads a POST.
func (h *Handler) addition(w http.ResponseWriter, r *http.Request) (a *addition, err error) {
	a = new(addition)
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
func (h *Handler) closedAlready(w http.ResponseWriter, s *state, a *addition) error {
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

// errClosed means that a stream is closed.
var errClosed = errors.New("durable: closed")

// append stores what a wants, and answers.
func (h *Handler) append(ctx context.Context, w http.ResponseWriter, name string, a *addition) error {
	var s *state
	receipts, err := h.commit(ctx, func(v *view) (c hub.Change, err error) {
		s, c, err = h.decide(v, name, a)
		return c, err
	})
	if s != nil {
		h.use(name, s, 0)
	}
	tell(w.Header(), err)
	switch {
	case err == nil:
		h.answerAppend(w, s, a, h.stored(ctx, name, s, a, receipts))
	case errors.Is(err, errDuplicate):
		h.answerHeader(w, s, place{after: h.tail(s)})
		w.WriteHeader(http.StatusNoContent)
	case err == errClosed:
		return h.closedAlready(w, s, a)
	default:
		return err
	}
	return nil
}

// decide returns what a changes, and the stream, as it will be, if there is one.
func (h *Handler) decide(v *view, name string, a *addition) (s *state, c hub.Change, err error) {
	if h.writing.Over() { // what is stored after the readers were told to go is lost to them
		return nil, c, errStopping
	}
	if s, err = h.live(v, name); err != nil {
		return nil, c, err
	}
	if !h.expiry.use(name, s, 0) {
		return nil, c, errNotFound
	}
	if s.Closed {
		return s, c, errClosed
	}
	if c.Puts, err = v.accept(name, s, a); err != nil {
		return s, c, err
	}
	if c.Messages, err = a.messages(name, s); err == nil {
		err = a.bill.pay(len(c.Messages))
	}
	if a.close {
		s.Closed, s.ClosedBy = true, a.by
		c.Puts = append(c.Puts, s.put(name))
	}
	c.Puts = append(c.Puts, h.renewal(v, name, s, false)...)
	return s, c, err
}

// accept decides about a, but for its data: errDuplicate, another error, or what is
// to be stored about who has sent it.
func (v *view) accept(name string, s *state, a *addition) ([]eventlog.Put, error) {
	if len(a.data) > 0 && mediaType(a.contentType) != mediaType(s.Type) {
		return nil, problem.Conflict("content_type", "Content-Type is "+problem.Quote(a.contentType)+", but that of the stream is "+problem.Quote(s.Type))
	}
	puts, err := v.admit(name, a.by)
	if err != nil || a.seq == "" {
		return puts, err
	}
	if before := string(v.value(writerKey + name)); a.seq <= before {
		return nil, problem.Conflict("stream_seq", "Stream-Seq is "+problem.Quote(a.seq)+", not after the last one, "+problem.Quote(before))
	}
	return append(puts, eventlog.Put{Key: writerKey + name, Value: []byte(a.seq)}), nil
}

// stored does what remains after a has been stored, and returns where the stream ends.
func (h *Handler) stored(ctx context.Context, name string, s *state, a *addition, receipts []hub.Receipt) (tail uint64) {
	if n := len(receipts); n > 0 {
		tail = receipts[n-1].Seq
	} else {
		tail = h.tail(s)
	}
	if a.close {
		h.ended(ctx, name, s, tail)
	}
	return tail
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

func (h *Handler) answerAppend(w http.ResponseWriter, s *state, a *addition, tail uint64) {
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
