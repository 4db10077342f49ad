package intake

import "bytes"

// maxRequest bounds a request with head and body, and maxHead its head with the
// empty line. Larger ones are net/http's, which never allows less than maxHead:
// it adds as much to http.Server.MaxHeaderBytes.
const (
	maxRequest = 64 << 10
	maxHead    = 4 << 10
)

// A Request is one HTTP/1.1 request. Its bytes belong to the worker.
type Request struct {
	Method []byte
	Path   []byte // as sent, before any '?'; without percent-encoding
	Query  []byte // as sent, after '?'; nil if there is none
	Body   []byte

	IdempotencyKey []byte // the header as sent, not empty; nil if there is none
}

type verdict uint8

const (
	complete   verdict = iota // one request was read
	incomplete                // more bytes are needed
	strange                   // net/http should see this
)

// plainHeaders are the headers that do not change what a request means here.
// Content-Length is handled apart. Everything else, and everything about access,
// is for net/http.
var plainHeaders = [][]byte{
	[]byte("host"), []byte("user-agent"), []byte("accept"), []byte("accept-encoding"), []byte("accept-language"), []byte("content-type"),
}

// parse reads one request from the begin of p and returns how many bytes it took.
// It accepts only the plainest form that RFC 9112 allows; there is nothing
// ambiguous in what it accepts, so it and net/http cannot disagree about where a
// request ends.
func parse(p []byte, r *Request) (n int, v verdict) {
	head := bytes.Index(p, []byte("\r\n\r\n"))
	if head < 0 {
		if len(p) >= maxHead {
			return 0, strange
		}
		return 0, incomplete
	}
	if head+4 > maxHead {
		return 0, strange
	}
	line, lines, _ := bytes.Cut(p[:head+2], []byte("\r\n"))
	if !r.requestLine(line) {
		return 0, strange
	}
	length, ok := r.headers(lines)
	if !ok || length > maxRequest-head-4 {
		return 0, strange
	}
	n = head + 4 + length
	if len(p) < n {
		return 0, incomplete
	}
	r.Body = p[head+4 : n]
	return n, complete
}

// requestLine reads "METHOD path?query HTTP/1.1".
func (r *Request) requestLine(line []byte) bool {
	method, rest, ok := bytes.Cut(line, []byte(" "))
	target, ok2 := bytes.CutSuffix(rest, []byte(" HTTP/1.1"))
	if !ok || !ok2 || !upper(method) || len(target) == 0 || target[0] != '/' || !visible(target) {
		return false
	}
	r.Method = method
	r.Path, r.Query, ok = bytes.Cut(target, []byte("?"))
	if !ok {
		r.Query = nil
	}
	return bytes.IndexByte(r.Path, '%') < 0
}

// upper reports whether p is a word of capital letters.
func upper(p []byte) bool {
	for _, c := range p {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(p) > 0
}

// visible reports whether p is printable ASCII without spaces.
func visible(p []byte) bool {
	for _, c := range p {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// headers reads the header lines, each with its CRLF, and returns Content-Length.
// ok is false unless there are one Host, one Content-Length, at most one
// Idempotency-Key, and otherwise only plain headers.
func (r *Request) headers(lines []byte) (length int, ok bool) {
	length, hosts := -1, 0
	r.IdempotencyKey = nil
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
		lines = rest
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found || !printable(line) {
			return 0, false
		}
		switch value = bytes.Trim(value, " \t"); {
		case bytes.EqualFold(name, []byte("content-length")):
			if length >= 0 {
				return 0, false
			}
			if length, ok = decimal(value); !ok {
				return 0, false
			}
		case bytes.EqualFold(name, []byte("connection")):
			if !bytes.EqualFold(value, []byte("keep-alive")) {
				return 0, false
			}
		case bytes.EqualFold(name, []byte("host")):
			if hosts++; !isHost(value) {
				return 0, false
			}
		case isPlain(name):
		case bytes.EqualFold(name, []byte("idempotency-key")):
			if r.IdempotencyKey != nil || len(value) == 0 {
				return 0, false
			}
			r.IdempotencyKey = value
		default:
			return 0, false
		}
	}
	return length, length >= 0 && hosts == 1
}

// printable reports whether p is ASCII without control characters but tabs. That
// also keeps letters out that bytes.EqualFold takes for ASCII ones, as U+017F for s.
func printable(p []byte) bool {
	for _, c := range p {
		if (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether p is a plain name or address, perhaps with a port.
func isHost(p []byte) bool {
	for _, c := range p {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case bytes.IndexByte([]byte("-._:[]"), c) >= 0:
		default:
			return false
		}
	}
	return true
}

func isPlain(name []byte) bool {
	for _, h := range plainHeaders {
		if bytes.EqualFold(name, h) {
			return true
		}
	}
	return false
}

// decimal reads 1 to 7 digits.
func decimal(p []byte) (n int, ok bool) {
	if len(p) == 0 || len(p) > 7 {
		return 0, false
	}
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
