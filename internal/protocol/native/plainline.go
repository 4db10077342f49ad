package native

import (
	"bytes"
	"unicode/utf8"

	"github.com/weirstream/weir/hub"
)

// parsePlain reads a line of the commonest form fast: a flat object whose fields
// topic, type, id, key, idempotency_key and data are strings without escapes. For any other line
// it returns false, and encoding/json decides. On lines that it reads, the two
// agree; a fuzz test holds that true.
func parsePlain(line []byte) (m hub.Message, ok bool) {
	p, ok := bytes.CutPrefix(line, []byte("{"))
	if !ok {
		return m, false
	}
	var seen fieldSet // topic and data must be among them
	for {
		var name, value []byte
		if name, p, ok = cutString(p); !ok {
			return m, false
		}
		if p, ok = cutByte(p, ':'); !ok {
			return m, false
		}
		if value, p, ok = cutString(p); !ok || !seen.set(&m, name, value) {
			return m, false
		}
		if next, more := cutByte(p, ','); more {
			p = next
			continue
		}
		p, ok = cutByte(p, '}')
		return m, ok && seen&3 == 3 && len(bytes.TrimLeft(p, " \t\r\n")) == 0
	}
}

// A fieldSet has a bit for each field seen.
type fieldSet uint8

// set stores one field. It is false for fields it does not know and for the second
// of a kind.
func (s *fieldSet) set(m *hub.Message, name, value []byte) bool {
	bit := fieldSet(0)
	switch string(name) {
	case "topic":
		bit = 1
		m.Topics = []string{string(value)}
	case "data":
		bit = 2
		m.Data = append([]byte{}, value...)
	case "type":
		bit = 4
		m.Type = string(value)
	case "id":
		bit = 8
		m.ID = string(value)
	case "key":
		bit = 16
		m.Key = string(value)
	case keyParam:
		if !isKey(value) {
			return false
		}
		bit = 32
		m.IdempotencyKey = string(value)
	}
	fresh := bit != 0 && *s&bit == 0
	*s |= bit
	return fresh && (bit != 1 || len(value) > 0)
}

// cutByte returns what follows c, which may have blanks before it.
func cutByte(p []byte, c byte) (rest []byte, ok bool) {
	for len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		p = p[1:]
	}
	if len(p) == 0 || p[0] != c {
		return p, false
	}
	return p[1:], true
}

// cutString returns the text of a string without escapes, and what follows it.
func cutString(p []byte) (text, rest []byte, ok bool) {
	if p, ok = cutByte(p, '"'); !ok {
		return nil, p, false
	}
	end := bytes.IndexByte(p, '"')
	if end < 0 {
		return nil, p, false
	}
	text = p[:end]
	if bytes.IndexByte(text, '\\') >= 0 || hasControl(text) || !utf8.Valid(text) {
		return nil, p, false
	}
	return text, p[end+1:], true
}

// hasControl reports whether p has a byte below a space, which JSON wants escaped.
func hasControl(p []byte) bool {
	for _, c := range p {
		if c < ' ' {
			return true
		}
	}
	return false
}
