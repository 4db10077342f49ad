package bench

import "bytes"

// keepLine is how much of a line is kept when a read cuts it: enough for the
// fields before a payload in a JSON object, and the stamp.
const keepLine = 512

// A scanner finds messages in the content of one stream, which may come in cut
// anywhere. An event stream gives a message per event whose data begins with a
// payload; any other content gives one per line that contains a payload. The zero
// value reads lines.
//
// A lone CR is no line end here.
type scanner struct {
	tag    tag
	events bool
	wantID bool   // keep the last event ID in id
	id     []byte // grows once

	gaps uint32 // events that say that messages were lost

	found  bool // the event so far has a payload
	event  message
	cut    []byte // the begin of the line that a read has cut
	cutLen int    // its length so far, also of what is not kept; 0 at the start of a line
}

// next takes bytes off p up to the end of a message. It returns false when p is
// used up.
//
// Hot path: once per delivery; no allocation.
func (s *scanner) next(p []byte) (m message, rest []byte, ok bool) {
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			s.keep(p)
			return m, nil, false
		}
		line, length := p[:i], i
		p = p[i+1:]
		if s.cutLen > 0 {
			s.keep(line)
			line, length = s.cut, s.cutLen
			s.cut, s.cutLen = s.cut[:0], 0
		}
		if s.line(line, length) {
			return s.event, p, true
		}
	}
	return m, nil, false
}

// keep stores p as a part of the line that goes on with the next bytes.
func (s *scanner) keep(p []byte) {
	s.cutLen += len(p)
	if room := keepLine - len(s.cut); room > 0 {
		s.cut = append(s.cut, p[:min(room, len(p))]...)
	}
}

// line reads a line, or the begin of one that is length bytes long, and reports
// whether it completes a message, which is then in s.event.
func (s *scanner) line(line []byte, length int) bool {
	if n := len(line); n > 0 && n == length && line[n-1] == '\r' {
		line, length = line[:n-1], length-1
	}
	if !s.events {
		return s.search(line)
	}
	if len(line) == 0 {
		found := s.found
		s.found = false
		return found
	}
	switch line[0] {
	case 'd':
		s.data(line, length)
	case 'i':
		if s.wantID {
			s.keepID(line)
		}
	case 'e':
		if string(line) == "event: weir.gap" {
			s.gaps++
		}
	}
	return false
}

// data reads "data: PAYLOAD". The first such line of an event counts.
func (s *scanner) data(line []byte, length int) {
	const field = "data:"
	if s.found || len(line) < len(field) || string(line[:len(field)]) != field {
		return
	}
	line, length = line[len(field):], length-len(field)
	if len(line) > 0 && line[0] == ' ' {
		line, length = line[1:], length-1
	}
	if s.event, s.found = parsePayload(line, s.tag); s.found {
		s.event.size = length
		return
	}
	s.found = s.search(line)
}

// search looks for a payload anywhere in line.
func (s *scanner) search(line []byte) (ok bool) {
	for at := 0; ; at++ {
		i := bytes.Index(line[at:], []byte("w1-"))
		if i < 0 {
			return false
		}
		at += i
		if s.event, ok = parsePayload(line[at:], s.tag); ok {
			s.event.size = -1
			return true
		}
	}
}

func (s *scanner) keepID(line []byte) {
	const field = "id:"
	if len(line) >= len(field) && string(line[:len(field)]) == field {
		s.id = append(s.id[:0], bytes.TrimPrefix(line[len(field):], []byte(" "))...)
	}
}
