package native

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/gate"
	"github.com/weirstream/weir/internal/problem"
)

// batchLines is how many lines that have arrived together are published at once, and
// batchBytes how many bytes of data, unless a single one has more: a log may bound what
// is stored together.
const (
	batchLines = 256
	batchBytes = 256 << 10
)

var linesParams = []string{keyParam}

// A lineReader publishes JSON lines as they arrive.
type lineReader struct {
	h          *Handler
	visitor    *gate.Visitor
	in         *bufio.Reader
	key        string // of the whole request, or ""
	number     int    // of the line read last, from 1
	bad        int    // number of the first line that is not published, after an error
	published  int
	duplicates int // of those that are published: how many had been before
	lastID     string
	began      time.Time     // when the first part of the line that is being read came; zero: none has
	batch      []hub.Message // checked, not yet published
	bytes      int           // of data in batch
	first      int           // number of the first line of batch
}

// publishLines publishes a body of JSON lines and answers with the count. Lines
// before a bad one stay published.
func (h *Handler) publishLines(w http.ResponseWriter, r *http.Request, v *gate.Visitor, q url.Values) error {
	if err := onlyParams(q, linesParams); err != nil {
		return err
	}
	key, err := requestKey(q, r.Header[keyHeader])
	if err != nil {
		return err
	}
	if h.Draining() {
		return errStopping
	}
	defer h.unblock(w)()
	lr := &lineReader{h: h, visitor: v, key: key}
	lr.in = bufio.NewReaderSize(&lineBody{lr: lr, body: r.Body, rc: http.NewResponseController(w)}, 64<<10)
	// A client that is gone does not undo the lines that it has sent.
	if err := lr.all(context.WithoutCancel(r.Context())); err != nil {
		p := asProblem(err)
		p.Line, p.Published, p.Duplicates, p.LastID = lr.bad, &lr.published, lr.duplicates, lr.lastID
		return p
	}
	if lr.duplicates > 0 && lr.duplicates == lr.published {
		w.Header().Set(replayedHeader, "true")
	}
	writeJSON(w, http.StatusOK, struct {
		Published  int    `json:"published"`
		Duplicates int    `json:"duplicates,omitempty"`
		LastID     string `json:"last_id,omitempty"`
	}{lr.published, lr.duplicates, lr.lastID})
	return nil
}

// unblock lets reading of the body fail once the server drains: its next line may
// be hours away. The returned function ends that; w is not touched afterwards.
func (h *Handler) unblock(w http.ResponseWriter) (end func()) {
	done := make(chan struct{})
	stop := context.AfterFunc(h.publishing, func() {
		defer close(done)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // if it cannot, the server cuts the connection
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

// A lineBody reads a body of lines. The next line may be hours away, but one that
// has begun must come.
type lineBody struct {
	lr   *lineReader
	body io.Reader
	rc   *http.ResponseController
}

func (b *lineBody) Read(p []byte) (int, error) {
	if timeout := b.lr.h.opts.BodyTimeout; timeout > 0 {
		b.arm(timeout)
	}
	return b.body.Read(p)
}

func (b *lineBody) arm(timeout time.Duration) {
	lr := b.lr
	if lr.in.Buffered() == 0 && lr.began.IsZero() {
		_ = b.rc.SetReadDeadline(time.Time{})
	} else {
		if lr.began.IsZero() {
			lr.began = time.Now()
		}
		_ = b.rc.SetReadDeadline(lr.began.Add(timeout))
	}
	if lr.h.Draining() { // unblock may have been before
		_ = b.rc.SetReadDeadline(time.Now())
	}
}

// all reads to the end.
func (lr *lineReader) all(ctx context.Context) error {
	for {
		line, err := lr.next()
		if err == nil && len(line) > 0 {
			err = lr.add(ctx, line)
		}
		if err != nil || len(lr.batch) == batchLines || !lr.moreBuffered() {
			if failed := lr.flush(ctx); failed != nil {
				return failed
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			lr.bad = lr.number
			return err
		}
	}
}

// moreBuffered reports whether a whole further line has arrived.
func (lr *lineReader) moreBuffered() bool {
	p, _ := lr.in.Peek(lr.in.Buffered())
	return bytes.IndexByte(p, '\n') >= 0
}

// next returns the next line without its end, valid until the next call, or
// io.EOF. The last line need not end with LF.
func (lr *lineReader) next() ([]byte, error) {
	lr.began = time.Time{}
	line, err := lr.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = lr.long(bytes.Clone(line))
	}
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	lr.number++
	switch _, known := errors.AsType[problem.Document](err); {
	case err == nil, err == io.EOF:
		return bytes.TrimSpace(line), nil
	case known:
		return nil, err
	case errors.Is(err, os.ErrDeadlineExceeded) && lr.h.Draining():
		return nil, errStopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem.TooSlow("line", lr.h.opts.BodyTimeout)
	case len(line) == 0:
		return nil, problem.BadRequest("bad_body", "the body ended early")
	}
	return nil, problem.BadRequest("bad_body", "the body ended within a line, which is not published")
}

// long reads the rest of a line that is longer than the buffer.
func (lr *lineReader) long(line []byte) ([]byte, error) {
	limit := 6*lr.h.opts.MaxBytes + 64<<10 // each byte of data may be an escape of six
	for {
		more, err := lr.in.ReadSlice('\n')
		line = append(line, more...)
		if len(line) > limit {
			return nil, problem.TooLarge(fmt.Sprintf("line is more than %d bytes, the limit", limit), limit)
		}
		if err != bufio.ErrBufferFull {
			return line, err
		}
	}
}

// add checks a line and puts it into the batch, or into a new one if the batch has no
// room for it.
func (lr *lineReader) add(ctx context.Context, line []byte) error {
	m, err := parseLine(line)
	if err != nil {
		return err
	}
	if err := lr.h.mayPublish(lr.visitor, m.Topics...); err != nil {
		return err
	}
	switch {
	case m.IdempotencyKey != "":
		m.IdempotencyKey = logKey(m.Topics[0], m.IdempotencyKey, 0)
	case lr.key != "":
		m.IdempotencyKey = logKey(m.Topics[0], lr.key, lr.number)
	}
	if err := lr.h.hub.Check(m); err != nil {
		return err
	}
	if lr.bytes+len(m.Data) > batchBytes {
		if err := lr.flush(ctx); err != nil {
			return err
		}
	}
	if len(lr.batch) == 0 {
		lr.first = lr.number
	}
	lr.batch, lr.bytes = append(lr.batch, m), lr.bytes+len(m.Data)
	return nil
}

// flush publishes the batch, or fails and publishes nothing of it.
func (lr *lineReader) flush(ctx context.Context) error {
	if len(lr.batch) == 0 {
		return nil
	}
	err := lr.visitor.Publish(len(lr.batch))
	var receipts []hub.Receipt
	if err == nil {
		receipts, err = lr.h.hub.Commit(ctx, nil, lr.batch...)
	}
	if err != nil {
		lr.bad = lr.first
		return err
	}
	for i := range receipts {
		if receipts[i].Duplicate {
			lr.duplicates++
		}
	}
	lr.published += len(receipts)
	lr.lastID = receipts[len(receipts)-1].ID
	lr.batch, lr.bytes = lr.batch[:0], 0
	return nil
}
