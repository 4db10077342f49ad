package tracing

import (
	"net/http"
	"regexp"
	"strings"
)

// A parent is the span of a publisher, as its request tells.
type parent struct {
	trace traceID
	span  spanID
	flags byte
	state string // tracestate; "": none, or one that cannot be used
}

const (
	flagSampled = 1
	flagRandom  = 2 // the trace ID is random
)

func (p *parent) sampled() bool { return p.flags&flagSampled != 0 }

// readParent reads traceparent and, of publishes that are traced, tracestate. ok is
// false if there is no traceparent, if there are several, or if it is malformed.
//
// Source: W3C Trace Context, sections 3.2 and 4.3.
func readParent(h http.Header) (p parent, ok bool) {
	values := h["Traceparent"]
	if len(values) != 1 {
		return parent{}, false
	}
	if p, ok = parseParent(values[0]); ok && p.sampled() {
		p.state = readState(h["Tracestate"])
	}
	return p, ok
}

const parentLen = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// parseParent reads a traceparent. Of a version that is not known it reads what is as
// in version 0, and wants nothing but a further field after that.
func parseParent(text string) (p parent, ok bool) {
	if len(text) < parentLen || text[2] != '-' || text[35] != '-' || text[52] != '-' {
		return parent{}, false
	}
	var version, flags [1]byte
	for _, field := range []struct {
		to []byte
		at int
	}{{version[:], 0}, {p.trace[:], 3}, {p.span[:], 36}, {flags[:], 53}} {
		if !readHex(field.to, text[field.at:]) {
			return parent{}, false
		}
	}
	p.flags = flags[0]
	longer := len(text) > parentLen && (version[0] == 0 || text[parentLen] != '-')
	if version[0] == 0xff || longer || p.trace == (traceID{}) || p.span == (spanID{}) {
		return parent{}, false
	}
	return p, true
}

// readHex fills dst from the lower-case hexadecimal digits that text begins with.
func readHex(dst []byte, text string) bool {
	for i := range dst {
		high, low := digit(text[2*i]), digit(text[2*i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

// digit returns more than 15 for what is no digit.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

const maxMembers = 32 // of a tracestate

// stateMember is key=value, where the value does not end with a space.
var stateMember = regexp.MustCompile(`^[a-z0-9][a-z0-9_*/@-]{0,255}=[ -+\--<>-~]{0,255}[!-+\--<>-~]$`)

// readState returns a tracestate in one line, or "" if any of it is bad or it is too
// long: the trace holds without it.
func readState(lines []string) string {
	text := strings.Join(lines, ",")
	if len(text) > maxText || strings.Count(text, ",") >= maxMembers {
		return ""
	}
	for member := range strings.SplitSeq(text, ",") {
		if member = strings.Trim(member, " \t"); member != "" && !stateMember.MatchString(member) {
			return ""
		}
	}
	return cut(text)
}
