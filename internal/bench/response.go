package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// maxHeadLine bounds a status line or header field.
const maxHeadLine = 16 << 10

// A part says what the next byte of a response belongs to.
type part uint8

const (
	partStatus     part = iota // the status line
	partHeader                 // a header field, or the empty line after them
	partChunkSize              // hexadecimal digits
	partChunkExt               // the rest of that line
	partChunk                  // data of a chunk
	partChunkEnd               // the line end after it
	partTrailer                // the first byte of a line after the last chunk
	partTrailField             // the rest of such a line
	partLength                 // content of known length
	partRest                   // content until the connection ends
	partDone                   // the response is complete
)

// A response takes one HTTP/1.1 response apart, as its bytes come in, cut
// anywhere. The zero value waits for a status line.
//
// Source: RFC 9112, sections 4, 6 and 7.1.
type response struct {
	part    part
	status  uint16
	events  bool // the content is an event stream
	chunked bool
	sized   bool // a Content-Length was given
	ends    bool // the connection cannot be used again
	left    int64
	line    []byte // the begin of a head line that a read has cut
}

var errMalformed = errors.New("malformed HTTP response")

// headDone reports whether the head is complete.
func (r *response) headDone() bool { return r.part > partHeader }

// next takes a piece of content off p. It returns an empty body when p is used up
// or the response is done; the rest then belongs to the next response.
//
// Hot path: a few times per read; no allocation once the head is complete.
func (r *response) next(p []byte) (body, rest []byte, err error) {
	for len(p) > 0 {
		switch r.part {
		case partChunk, partLength:
			n := int(min(r.left, int64(len(p))))
			if r.left -= int64(n); r.left == 0 {
				r.part = r.after()
			}
			return p[:n], p[n:], nil
		case partRest:
			return p, nil, nil
		case partDone:
			return nil, p, nil
		case partStatus, partHeader:
			p, err = r.head(p)
		default:
			p, err = r.frame(p)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, nil
}

func (r *response) after() part {
	if r.part == partChunk {
		return partChunkEnd
	}
	return partDone
}

// frame takes bytes of chunked coding that are not content.
func (r *response) frame(p []byte) ([]byte, error) {
	for i, b := range p {
		switch r.part {
		case partChunkSize:
			if d := hexDigit(b); d < 0 {
				r.part = partChunkExt
			} else if r.left = r.left<<4 | d; r.left > 1<<50 {
				return nil, fmt.Errorf("%w: chunk of %d bytes or more", errMalformed, r.left)
			}
		case partChunkEnd:
			if b != '\r' && b != '\n' {
				return nil, fmt.Errorf("%w: byte %q after a chunk", errMalformed, b)
			}
		case partTrailer:
			if b != '\r' && b != '\n' {
				r.part = partTrailField
			}
		}
		if b == '\n' {
			if r.endLine(); r.part == partChunk || r.part == partDone {
				return p[i+1:], nil
			}
		}
	}
	return nil, nil
}

// endLine goes on after a line of chunked coding.
func (r *response) endLine() {
	switch r.part {
	case partChunkEnd:
		r.part, r.left = partChunkSize, 0
	case partTrailer:
		r.part = partDone
	case partTrailField:
		r.part = partTrailer
	case partChunkExt:
		r.part = partChunk
		if r.left == 0 {
			r.part = partTrailer
		}
	}
}

func hexDigit(b byte) int64 {
	switch {
	case '0' <= b && b <= '9':
		return int64(b - '0')
	case 'a' <= b|0x20 && b|0x20 <= 'f':
		return int64(b|0x20-'a') + 10
	}
	return -1
}

// head takes a line of the head, or the begin of one.
func (r *response) head(p []byte) ([]byte, error) {
	i := bytes.IndexByte(p, '\n')
	if len(r.line)+max(i, 0) > maxHeadLine || i < 0 && len(r.line)+len(p) > maxHeadLine {
		return nil, fmt.Errorf("%w: a head line is longer than the limit %d", errMalformed, maxHeadLine)
	}
	if i < 0 {
		r.line = append(r.line, p...)
		return nil, nil
	}
	line := p[:i]
	if len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	err := r.headLine(line)
	r.line = r.line[:0]
	if r.headDone() {
		r.line = nil
	}
	return p[i+1:], err
}

func (r *response) headLine(line []byte) error {
	if r.part == partStatus {
		return r.statusLine(line)
	}
	if len(line) == 0 {
		r.endHead()
		return nil
	}
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("%w: header line %.40q", errMalformed, line)
	}
	return r.field(name, bytes.TrimSpace(value))
}

// statusLine reads "HTTP/1.1 200 OK".
func (r *response) statusLine(line []byte) error {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' {
		return fmt.Errorf("%w: status line %.40q", errMalformed, line)
	}
	status, err := strconv.ParseUint(string(line[9:12]), 10, 16)
	if err != nil || status < 100 {
		return fmt.Errorf("%w: status %q", errMalformed, line[9:12])
	}
	r.status = uint16(status)
	r.ends = line[7] == '0'
	r.part = partHeader
	return nil
}

func (r *response) field(name, value []byte) error {
	switch {
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		r.chunked = bytes.EqualFold(value, []byte("chunked"))
	case bytes.EqualFold(name, []byte("Content-Type")):
		const events = "text/event-stream"
		r.events = len(value) >= len(events) && bytes.EqualFold(value[:len(events)], []byte(events))
	case bytes.EqualFold(name, []byte("Connection")):
		r.ends = r.ends && !bytes.EqualFold(value, []byte("keep-alive")) || bytes.EqualFold(value, []byte("close"))
	case bytes.EqualFold(name, []byte("Content-Length")):
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%w: Content-Length %.40q", errMalformed, value)
		}
		r.left, r.sized = n, true
	}
	return nil
}

// endHead decides how the content is delimited.
func (r *response) endHead() {
	switch {
	case r.status < 200: // another head follows
		*r = response{line: r.line}
	case r.status == 204 || r.status == 304:
		r.part = partDone
	case r.chunked:
		r.part, r.left = partChunkSize, 0
	case r.sized && r.left == 0:
		r.part = partDone
	case r.sized:
		r.part = partLength
	default:
		r.part, r.ends = partRest, true
	}
}
