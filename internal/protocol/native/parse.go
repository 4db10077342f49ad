package native

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/problem"
)

// A wireMessage is one JSON line of a publisher.
type wireMessage struct {
	Topic  *string         `json:"topic"`
	Topics []string        `json:"topics"`
	Data   json.RawMessage `json:"data"`
	Base64 bool            `json:"base64"`
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	Key    string          `json:"key"`
	State  bool            `json:"state"`
	Retry  int64           `json:"retry"`

	IdempotencyKey *string `json:"idempotency_key"`
}

// parseLine reads one message, which the hub has yet to check. The result does
// not share memory with line.
func parseLine(line []byte) (hub.Message, error) {
	if m, ok := parsePlain(line); ok {
		return m, nil
	}
	return parseJSON(line)
}

// parseJSON reads a line of any form.
func parseJSON(line []byte) (hub.Message, error) {
	if !utf8.Valid(line) {
		return hub.Message{}, problem.BadRequest("bad_json", "the line is not UTF-8; send other bytes as base64")
	}
	if !bytes.HasPrefix(line, []byte("{")) {
		return hub.Message{}, problem.BadRequest("bad_json", fmt.Sprintf("the line is not a JSON object: it begins with %.16q", line))
	}
	var w wireMessage
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return hub.Message{}, problem.BadRequest("bad_json", jsonDetail(err))
	}
	end := dec.InputOffset()
	if _, err := dec.Token(); err != io.EOF {
		return hub.Message{}, problem.BadRequest("bad_json", fmt.Sprintf("more than one JSON object in a line: the first ends at byte %d", end))
	}
	return w.message()
}

// jsonDetail says what package json says, in terms of the line and shortened.
func jsonDetail(err error) string {
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Sprintf("%v at byte %d", e, e.Offset)
	}
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Sprintf("field %q is %.40s, want %s", e.Field, e.Value, wanted(e.Type))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "the line ends within its JSON object"
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if name, ok := strings.CutPrefix(text, "unknown field "); ok {
		if name, err := strconv.Unquote(name); err == nil {
			return "unknown field " + problem.Quote(name)
		}
	}
	return text
}

func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "array of strings"
	case reflect.Bool:
		return "bool"
	case reflect.Int64:
		return "whole number"
	}
	return "string"
}

func (w *wireMessage) message() (m hub.Message, err error) {
	if w.Topic != nil {
		w.Topics = append([]string{*w.Topic}, w.Topics...)
	}
	if len(w.Topics) == 0 {
		return m, problem.BadRequest("bad_topic", `no topic: want "topic" or "topics"`)
	}
	if w.Retry < 0 || w.Retry > maxRetry.Milliseconds() {
		return m, problem.BadRequest("bad_parameter", fmt.Sprintf("retry is %d: want milliseconds from 0 to %d", w.Retry, maxRetry.Milliseconds()))
	}
	m = hub.Message{Topics: w.Topics, Type: w.Type, ID: w.ID, Key: w.Key, State: w.State, Retry: time.Duration(w.Retry) * time.Millisecond}
	if w.IdempotencyKey != nil {
		m.IdempotencyKey = *w.IdempotencyKey
		if err := checkKey(keyParam, m.IdempotencyKey); err != nil {
			return m, err
		}
	}
	m.Data, err = w.data()
	return m, err
}

// data returns the payload: the text of a JSON string, its bytes if base64 is
// set, or any other JSON value as compact text.
func (w *wireMessage) data() ([]byte, error) {
	switch {
	case len(w.Data) == 0:
		return []byte{}, nil
	case w.Data[0] != '"' && w.Base64:
		return nil, problem.BadRequest("bad_json", "base64 is set, but data is not a string")
	case w.Data[0] != '"':
		var b bytes.Buffer
		err := json.Compact(&b, w.Data)
		return b.Bytes(), err
	}
	var s string
	if err := json.Unmarshal(w.Data, &s); err != nil {
		return nil, problem.BadRequest("bad_json", jsonDetail(err))
	}
	if !w.Base64 {
		return []byte(s), nil
	}
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, problem.BadRequest("bad_json", "data is not base64: "+err.Error())
	}
	return data, nil
}
