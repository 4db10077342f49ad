package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"unicode/utf8"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/problem"
)

// maxBatch is how many messages one request may append, as elements of an array.
const maxBatch = 10_000

// splitJSON returns the messages of a body: the elements of an array, or any other
// value as the only one, without the space around tokens.
func splitJSON(body []byte) ([][]byte, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil, problem.BadRequest("bad_json", "the body is not JSON: it is blank")
	}
	if !utf8.Valid(body) {
		return nil, problem.BadRequest("bad_json", "the body is not UTF-8")
	}
	elements := []json.RawMessage{body}
	if body[0] == '[' {
		elements = nil
		if err := json.Unmarshal(body, &elements); err != nil {
			return nil, badJSON(err)
		}
	}
	if n := len(elements); n > maxBatch {
		return nil, problem.TooLarge(fmt.Sprintf("the array has %d elements, limit %d", n, maxBatch), maxBatch)
	}
	list := make([][]byte, len(elements))
	for i, e := range elements {
		var b bytes.Buffer
		if err := json.Compact(&b, e); err != nil {
			return nil, badJSON(err)
		}
		list[i] = b.Bytes()
	}
	return list, nil
}

func badJSON(err error) problem.Document {
	detail := "the body is not JSON: " + err.Error()
	if e, ok := errors.AsType[*json.SyntaxError](err); ok {
		detail = fmt.Sprintf("the body is not JSON: %v at byte %d", e, e.Offset)
	}
	return problem.Document{Status: http.StatusBadRequest, Code: "bad_json", Detail: detail}
}

// appendJSON adds messages to the pieces of an array. A message that was published
// to the topic by other means may be no JSON: it appears as a string.
func appendJSON(pieces [][]byte, entries []*eventlog.Entry) [][]byte {
	between := []byte("[")
	for _, e := range entries {
		pieces = append(pieces, between, asJSON(e.Data))
		between = []byte(",")
	}
	if len(entries) == 0 {
		pieces = append(pieces, between)
	}
	return append(pieces, []byte("]"))
}

func asJSON(data []byte) []byte {
	if json.Valid(data) && utf8.Valid(data) {
		return data
	}
	b, err := json.Marshal(string(data))
	if err != nil {
		panic("durable: " + err.Error())
	}
	return b
}
