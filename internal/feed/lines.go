package feed

import (
	"bytes"
	"fmt"
)

// Lines cuts bytes that arrive in pieces into lines.
type Lines struct {
	Max int // bytes of a line that are kept; 0: 1 MiB

	begun []byte // the line that has not ended; at most Max bytes of it
	size  int    // bytes it has
}

// Cut returns the lines that end in p, without their line ends (LF, or CR LF), and
// keeps the beginning of another. A line of more than Max bytes is cut, with a Fault.
// p may be used again.
func (l *Lines) Cut(p []byte) []Message {
	var lines []Message
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.add(p)
			return lines
		}
		l.add(p[:i])
		lines = append(lines, l.take(true))
		p = p[i+1:]
	}
}

// Rest returns the line that has not ended, if there is one.
func (l *Lines) Rest() []Message {
	if l.size == 0 {
		return nil
	}
	return []Message{l.take(false)}
}

// Begun is how many bytes the line has that has not ended.
func (l *Lines) Begun() int { return l.size }

func (l *Lines) max() int {
	if l.Max == 0 {
		return 1 << 20
	}
	return l.Max
}

func (l *Lines) add(p []byte) {
	room := max(l.max()+1-len(l.begun), 0) // and the CR
	l.begun = append(l.begun, p[:min(len(p), room)]...)
	l.size += len(p)
}

func (l *Lines) take(ended bool) Message {
	body, size := l.begun, l.size
	l.begun, l.size = nil, 0
	if ended && size > 0 && size == len(body) && body[size-1] == '\r' {
		body, size = body[:size-1], size-1
	}
	if size > l.max() {
		return Message{Body: body[:l.max()], Fault: fmt.Errorf("line is %d bytes, limit %d", size, l.max())}
	}
	return Message{Body: body}
}
