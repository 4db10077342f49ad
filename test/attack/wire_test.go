package attack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A wire is a connection to a server on which a test writes and reads bytes.
type wire struct {
	net.Conn
	t   *testing.T
	got []byte // all that was read and not taken
}

// dial opens a connection: network is tcp or unix.
func (s *server) dial(t *testing.T, network string) *wire {
	t.Helper()
	w, err := s.tryDial(t, network)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (s *server) tryDial(t *testing.T, network string) (*wire, error) {
	addr := s.addr
	if network == "unix" {
		addr = s.sock
	}
	nc, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nc.Close() })
	return &wire{Conn: nc, t: t}, nil
}

// send writes, and ignores that the server may have closed the connection.
func (w *wire) send(text string) {
	_ = w.SetWriteDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(w, text)
}

// sendPieces writes n bytes at a time. The server may get them in other pieces.
func (w *wire) sendPieces(text string, n int) {
	for len(text) > n {
		w.send(text[:n])
		text = text[n:]
	}
	w.send(text)
}

// shut says that nothing more will be sent.
func (w *wire) shut() {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // the server may have closed
	}
}

// read reads once, for at most d.
func (w *wire) read(d time.Duration) error {
	var buf [16 << 10]byte
	_ = w.SetReadDeadline(time.Now().Add(d))
	n, err := w.Read(buf[:])
	w.got = append(w.got, buf[:n]...)
	return err
}

// rest reads until the server closes the connection. It is an error if it does not.
func (w *wire) rest() ([]byte, error) {
	for deadline := time.Now().Add(soon); ; {
		switch err := w.read(time.Until(deadline)); {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return w.got, fmt.Errorf("the connection is still open after %v", soon)
		case err != nil: // closed, perhaps by a reset because of bytes that nobody wanted
			return w.got, nil
		}
	}
}

// until reads up to the first occurrence of text and takes it.
func (w *wire) until(text string) string {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		if head, tail, ok := bytes.Cut(w.got, []byte(text)); ok {
			taken := string(head) + text
			w.got = bytes.Clone(tail)
			return taken
		}
		if err := w.read(time.Until(deadline)); err != nil {
			w.t.Fatalf("waiting for %q after %q: %v", text, w.got, err)
		}
	}
}

// A reply is one response as it was on the wire.
type reply struct {
	status int
	header map[string][]string // by lower-case name
	body   string
}

func (r reply) get(name string) string { return strings.Join(r.header[name], "|") }

// reply reads one complete response to a request that is no HEAD.
func (w *wire) reply() reply {
	w.t.Helper()
	for deadline := time.Now().Add(soon); ; {
		r, rest, err := cutReply(w.got, false)
		if err == nil {
			w.got = bytes.Clone(rest)
			return r
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			w.t.Fatalf("response %q: %v", w.got, err)
		}
		if err := w.read(time.Until(deadline)); err != nil {
			w.t.Fatalf("no whole response, %q: %v", w.got, err)
		}
	}
}

// replies cuts bytes into responses. head says whether the first answers a HEAD.
func replies(p []byte, head bool) (all []reply, err error) {
	for len(p) > 0 {
		var r reply
		if r, p, err = cutReply(p, head); err != nil {
			return all, err
		}
		head = head && r.status < 200
		all = append(all, r)
	}
	return all, nil
}

var (
	statusLine = regexp.MustCompile(`^HTTP/1\.[01] ([1-5]\d\d) [ -~]+$`)
	fieldLine  = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ([\\t -~]*)$")
)

// cutReply reads a response more strictly than clients do, and returns what follows it.
// The error is io.ErrUnexpectedEOF if more bytes are needed.
func cutReply(p []byte, head bool) (r reply, rest []byte, err error) {
	top, rest, ok := bytes.Cut(p, []byte("\r\n\r\n"))
	if !ok {
		return r, nil, io.ErrUnexpectedEOF
	}
	lines := strings.Split(string(top), "\r\n")
	m := statusLine.FindStringSubmatch(lines[0])
	if m == nil {
		return r, nil, fmt.Errorf("status line %q", lines[0])
	}
	r.status, _ = strconv.Atoi(m[1])
	r.header = make(map[string][]string)
	for _, line := range lines[1:] {
		f := fieldLine.FindStringSubmatch(line)
		if f == nil {
			return r, nil, fmt.Errorf("header line %q", line)
		}
		name := strings.ToLower(f[1])
		r.header[name] = append(r.header[name], f[2])
	}
	body, rest, err := r.cutBody(rest, head)
	r.body = string(body)
	return r, rest, err
}

func (r reply) cutBody(p []byte, head bool) (body, rest []byte, err error) {
	length, coding := r.header["content-length"], r.header["transfer-encoding"]
	switch {
	case len(length) > 1 || len(coding) > 1 || len(length)+len(coding) > 1:
		return nil, nil, fmt.Errorf("lengths %q and codings %q", length, coding)
	case head || r.status < 200 || r.status == 204 || r.status == 304:
		return nil, p, nil
	case len(coding) == 1:
		return cutChunks(p)
	case len(length) == 0:
		return p, nil, nil // to the end of the connection
	}
	n, err := strconv.Atoi(length[0])
	if err != nil || n < 0 {
		return nil, nil, fmt.Errorf("length %q", length[0])
	}
	if n > len(p) {
		return nil, nil, io.ErrUnexpectedEOF
	}
	return p[:n], p[n:], nil
}

// cutChunks reads a body in chunks without extensions and trailers.
func cutChunks(p []byte) (body, rest []byte, err error) {
	for {
		line, after, ok := bytes.Cut(p, []byte("\r\n"))
		if !ok {
			return body, nil, io.ErrUnexpectedEOF
		}
		n, err := strconv.ParseUint(string(line), 16, 31)
		switch {
		case err != nil:
			return body, nil, fmt.Errorf("chunk of size %q", line)
		case len(after) < int(n)+2:
			return body, nil, io.ErrUnexpectedEOF
		case string(after[n:n+2]) != "\r\n":
			return body, nil, fmt.Errorf("chunk of %d bytes does not end with CRLF", n)
		}
		body, p = append(body, after[:n]...), after[n+2:]
		if n == 0 {
			return body, p, nil
		}
	}
}

// post is a request that publishes, with further header lines.
func post(topic, data string, lines ...string) string {
	var more strings.Builder
	for _, line := range lines {
		more.WriteString(line + "\r\n")
	}
	return fmt.Sprintf("POST /v1/topics/%s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s", topic, more.String(), len(data), data)
}

// get is a request without a body.
func get(target string, lines ...string) string {
	var more strings.Builder
	for _, line := range lines {
		more.WriteString(line + "\r\n")
	}
	return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more.String() + "\r\n"
}
