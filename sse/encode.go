package sse

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// AppendEvent appends the wire form of e to dst and returns the extended slice.
//
//	event: price
//	id: 41
//	retry: 2000
//	data: first line
//	data: second line
//
// Lines come in this order and end in LF; a blank line ends the event. A line is
// left out if its field is unset. An empty data line keeps the space ("data: "),
// since some readers look for it; ResetID writes "id:". The zero Event is a lone
// blank line.
//
// e.Data may hold any line ends: LF, CR and CRLF each start a new data line.
// e.Retry is rounded down to milliseconds and left out when that gives zero.
//
// If e.Type or e.ID fails [CheckType] or [CheckID], if both e.ID and e.ResetID
// are set, or if e.Retry is negative, it returns dst unchanged and an error that
// wraps [ErrField].
//
// Hot path: it does not allocate if dst has room for [EncodedLen] bytes, and
// looks for line ends with [bytes.IndexByte] only.
//
// Source: WHATWG HTML, "Server-sent events", section "Parsing an event stream".
func AppendEvent(dst []byte, e Event) ([]byte, error) {
	if err := e.check(); err != nil {
		return dst, err
	}
	if e.Type != "" {
		dst = appendField(dst, "event: ", e.Type)
	}
	if e.ID != "" {
		dst = appendField(dst, "id: ", e.ID)
	}
	if e.ResetID {
		dst = append(dst, "id:\n"...)
	}
	if e.Retry >= time.Millisecond {
		dst = AppendRetry(dst, e.Retry)
	}
	if e.Data != nil {
		dst = appendData(dst, e.Data)
	}
	return append(dst, '\n'), nil
}

// AppendComment appends a comment, one line ": text" for each line of text, and
// returns the extended slice. LF, CR and CRLF each end a line of text; an empty
// line is a lone colon. No blank line follows, so it may stand anywhere between
// events.
func AppendComment(dst []byte, text string) []byte {
	for more := true; more; {
		var line string
		line, text, more = cutLine(text)
		dst = append(dst, ':')
		if line != "" {
			dst = append(dst, ' ')
			dst = append(dst, line...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// AppendRetry appends the line "retry: N", N being d in milliseconds, rounded
// down and at least 0, and returns the extended slice. Readers obey the line at
// once; no blank line follows.
func AppendRetry(dst []byte, d time.Duration) []byte {
	dst = append(dst, "retry: "...)
	dst = strconv.AppendInt(dst, max(0, d.Milliseconds()), 10)
	return append(dst, '\n')
}

// EncodedLen returns the length of the wire form of e in bytes: what
// [AppendEvent] appends if it accepts e.
func EncodedLen(e Event) int {
	n := len("\n")
	if e.Type != "" {
		n += len("event: \n") + len(e.Type)
	}
	if e.ID != "" {
		n += len("id: \n") + len(e.ID)
	}
	if e.ResetID {
		n += len("id:\n")
	}
	if e.Retry >= time.Millisecond {
		n += len("retry: \n") + digits(e.Retry.Milliseconds())
	}
	if e.Data != nil {
		lines, ends := countLines(e.Data)
		n += len(e.Data) - ends + lines*len("data: \n")
	}
	return n
}

func appendField(dst []byte, prefix, value string) []byte {
	dst = append(dst, prefix...)
	dst = append(dst, value...)
	return append(dst, '\n')
}

// appendData appends every line of p as a data line.
//
// It looks for CR within one LF-ended stretch at a time: looking for the nearer
// of both from every line anew would take quadratic time on a payload that holds
// only one kind.
func appendData(dst, p []byte) []byte {
	for more := true; more; {
		var part []byte
		part, p, more = cutByte(p, '\n')
		if more {
			part = bytes.TrimSuffix(part, cr)
		}
		for inner := true; inner; {
			var line []byte
			line, part, inner = cutByte(part, '\r')
			dst = append(dst, "data: "...)
			dst = append(dst, line...)
			dst = append(dst, '\n')
		}
	}
	return dst
}

var lf, cr, crlf = []byte("\n"), []byte("\r"), []byte("\r\n")

func cutByte(p []byte, c byte) (before, after []byte, found bool) {
	if i := bytes.IndexByte(p, c); i >= 0 {
		return p[:i], p[i+1:], true
	}
	return p, nil, false
}

func cutLine(s string) (line, rest string, found bool) {
	i := strings.IndexAny(s, "\r\n")
	if i < 0 {
		return s, "", false
	}
	line, rest = s[:i], s[i+1:]
	if s[i] == '\r' {
		rest = strings.TrimPrefix(rest, "\n")
	}
	return line, rest, true
}

// countLines counts the lines of p and the bytes that end them.
func countLines(p []byte) (lines, ends int) {
	crs := bytes.Count(p, cr)
	ends = bytes.Count(p, lf) + crs
	lines = ends + 1
	if crs > 0 {
		lines -= bytes.Count(p, crlf)
	}
	return lines, ends
}

func digits(n int64) int {
	count := 1
	for ; n >= 10; n /= 10 {
		count++
	}
	return count
}
