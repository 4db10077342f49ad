package sse_test

import (
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/weirstream/weir/sse"
)

// decoded is all that a stream says.
type decoded struct {
	events   []sse.Event
	comments []string
	lastID   string
	retry    time.Duration
	hasRetry bool
	err      string
}

// model decodes a whole stream the slow, obvious way: line by line as in WHATWG
// HTML, "Server-sent events", "Interpreting an event stream". It has no limit.
func model(stream string) decoded {
	var out decoded
	var lastID string
	stream = strings.TrimPrefix(stream, "\uFEFF")
	stream = strings.ReplaceAll(stream, "\r\n", "\n")
	stream = strings.ReplaceAll(stream, "\r", "\n")
	lines := strings.Split(stream, "\n")
	var block []string
	for _, line := range lines[:len(lines)-1] {
		switch {
		case line == "":
			if e, ok := modelBlock(block, &lastID); ok {
				out.events = append(out.events, e)
			}
			out.lastID, block = lastID, nil
		case line[0] == ':':
			out.comments = append(out.comments, strings.TrimPrefix(line[1:], " "))
		default:
			block = append(block, line)
			if name, value := modelField(line); name == "retry" && modelDigits(value) {
				out.retry, out.hasRetry = modelRetry(value), true
			}
		}
	}
	return out
}

func modelBlock(lines []string, lastID *string) (e sse.Event, ok bool) {
	for _, line := range lines {
		switch name, value := modelField(line); name {
		case "event":
			e.Type = value
		case "data":
			if e.Data == nil {
				e.Data = []byte(value)
			} else {
				e.Data = []byte(string(e.Data) + "\n" + value)
			}
		case "id":
			if !strings.Contains(value, "\x00") {
				e.ID, e.ResetID = value, value == ""
				*lastID = value
			}
		case "retry":
			if modelDigits(value) {
				e.Retry = modelRetry(value)
			}
		}
	}
	return e, e.Type != "" || e.Data != nil || e.ID != "" || e.ResetID || e.Retry != 0
}

func modelField(line string) (name, value string) {
	name, value, _ = strings.Cut(line, ":")
	return name, strings.TrimPrefix(value, " ")
}

func modelDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func modelRetry(digits string) time.Duration {
	ms, _ := new(big.Int).SetString(digits, 10)
	if most := big.NewInt(math.MaxInt64 / int64(time.Millisecond)); ms.Cmp(most) > 0 {
		ms = most
	}
	return time.Duration(ms.Int64()) * time.Millisecond
}
