package native

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/weirstream/weir/hub"
)

// batchLines is how many lines that have arrived together are published at once.
const batchLines = 256

// A lineReader publishes JSON lines as they arrive.
type lineReader struct {
	h         *Handler
	in        *bufio.Reader
	read      int // lines read
	published int
	lastID    string
	batch     []hub.Message // checked, not yet published
}

// publishLines publishes a body of JSON lines and answers with the count. Lines
// before a bad one stay published.
func (h *Handler) publishLines(w http.ResponseWriter, r *http.Request) error {
	if err := h.mayPublish(); err != nil {
		return err
	}
	_ = http.NewResponseController(w).EnableFullDuplex() // an early answer must not stop the client's sending
	lr := &lineReader{h: h, in: bufio.NewReaderSize(r.Body, 64<<10)}
	err := lr.all(r.Context())
	if err != nil {
		p := asProblem(err)
		p.Line, p.Published, p.LastID = lr.read, &lr.published, lr.lastID
		return p
	}
	writeJSON(w, http.StatusOK, struct {
		Published int    `json:"published"`
		LastID    string `json:"last_id,omitempty"`
	}{lr.published, lr.lastID})
	return nil
}

// all reads to the end. On an error, lr.read is the number of the bad line.
func (lr *lineReader) all(ctx context.Context) error {
	for {
		line, err := lr.line()
		if err == io.EOF {
			return lr.flush(ctx)
		}
		if err == nil && len(line) > 0 {
			err = lr.add(line)
		}
		if err != nil {
			if failed := lr.flush(ctx); failed != nil {
				return failed
			}
			return err
		}
		if len(lr.batch) == batchLines || !lr.moreBuffered() {
			if err := lr.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// moreBuffered reports whether a whole further line has arrived.
func (lr *lineReader) moreBuffered() bool {
	p, _ := lr.in.Peek(lr.in.Buffered())
	return bytes.IndexByte(p, '\n') >= 0
}

// line returns the next line without its end, valid until the next call.
func (lr *lineReader) line() ([]byte, error) {
	line, err := lr.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = lr.longLine(bytes.Clone(line))
	}
	if err == io.EOF && len(line) == 0 {
		return nil, io.EOF
	}
	lr.read++
	if err != nil && err != io.EOF {
		var p problem
		if errors.As(err, &p) {
			return nil, p
		}
		return nil, badRequest("bad_body", "the body ended within a line, which is not published")
	}
	return bytes.TrimSpace(line), nil
}

// longLine reads the rest of a line that is longer than the buffer.
func (lr *lineReader) longLine(begin []byte) ([]byte, error) {
	limit := 6*lr.h.opts.MaxBytes + 64<<10 // data may be all escapes
	for {
		more, err := lr.in.ReadSlice('\n')
		begin = append(begin, more...)
		if len(begin) > limit {
			lr.read++
			return nil, lr.h.tooLarge("line is larger than the limit", limit)
		}
		if err != bufio.ErrBufferFull {
			return begin, err
		}
	}
}

// add checks a line and puts it into the batch.
func (lr *lineReader) add(line []byte) error {
	m, err := parseLine(line)
	if err != nil {
		return err
	}
	if err := lr.h.mayPublish(m.Topics...); err != nil {
		return err
	}
	if err := lr.h.hub.Check(m); err != nil {
		return err
	}
	lr.batch = append(lr.batch, m)
	return nil
}

// flush publishes the batch.
func (lr *lineReader) flush(ctx context.Context) error {
	if len(lr.batch) == 0 {
		return nil
	}
	ids, err := lr.h.hub.PublishAll(ctx, lr.batch...)
	if err != nil {
		return err
	}
	lr.published += len(ids)
	lr.lastID = ids[len(ids)-1]
	lr.batch = lr.batch[:0]
	return nil
}

// A wireMessage is one JSON line of a publisher.
type wireMessage struct {
	Topic  string          `json:"topic"`
	Topics []string        `json:"topics"`
	Data   json.RawMessage `json:"data"`
	Base64 bool            `json:"base64"`
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	Key    string          `json:"key"`
	Retry  int64           `json:"retry"`
}

// parseLine reads one message. The result does not share memory with line.
func parseLine(line []byte) (hub.Message, error) {
	var w wireMessage
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return hub.Message{}, badRequest("bad_json", err.Error())
	}
	if _, err := dec.Token(); err != io.EOF {
		return hub.Message{}, badRequest("bad_json", "more than one JSON value in a line")
	}
	return w.message()
}

func (w *wireMessage) message() (m hub.Message, err error) {
	if w.Topic != "" {
		w.Topics = append([]string{w.Topic}, w.Topics...)
	}
	if w.Retry < 0 || w.Retry > maxRetry.Milliseconds() {
		return m, badRequest("bad_parameter", fmt.Sprintf("retry is %d: want milliseconds from 0 to %d", w.Retry, maxRetry.Milliseconds()))
	}
	m = hub.Message{Topics: w.Topics, Type: w.Type, ID: w.ID, Key: w.Key, Retry: time.Duration(w.Retry) * time.Millisecond}
	m.Data, err = w.data()
	return m, err
}

// data returns the payload: the text of a JSON string, its bytes if base64 is
// set, or any other JSON value as compact text.
func (w *wireMessage) data() ([]byte, error) {
	if len(w.Data) == 0 || w.Data[0] != '"' {
		var b bytes.Buffer
		if len(w.Data) > 0 {
			_ = json.Compact(&b, w.Data) // it was decoded, so it is valid
		}
		return b.Bytes(), nil
	}
	var s string
	if err := json.Unmarshal(w.Data, &s); err != nil {
		return nil, badRequest("bad_json", err.Error())
	}
	if !w.Base64 {
		return []byte(s), nil
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, badRequest("bad_json", "data is not base64: "+err.Error())
	}
	return data, nil
}
