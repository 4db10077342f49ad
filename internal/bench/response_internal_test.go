package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// responses are streams of one or more responses, with what their content is.
var responses = []struct {
	name, wire, body string
	status           uint16
	ends             bool
}{
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n5\r\nhello\r\nA\r\n, world!!\n\r\n0\r\n\r\n", "hello, world!!\n", 200, false},
	{"extensions and trailers", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n05;a=\"b\"\r\nhello\r\n0;x\r\nA: b\r\nC: d\r\n\r\n", "hello", 200, false},
	{"chunked with a length", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", "hi", 200, false},
	{"bare line feeds", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", "hi", 200, false},
	{"known length", "HTTP/1.1 201 Created\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{\"id\":\"42\"}", `{"id":"42"}`, 201, true},
	{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
	{"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", 200, false},
	{"after informational ones", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", 200, false},
	{"until the end", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall\r\n\r\nthe rest", "all\r\n\r\nthe rest", 200, true},
	{"old", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", 200, true},
	{"old and kept", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", "abc", 200, false},
	{"no reason", "HTTP/1.1 404\r\nContent-Length: 4\r\n\r\nnone", "none", 404, false},
}

// feed gives wire to a new response in pieces that end where cut says, and
// returns the content.
func feed(wire []byte, cut func(at int) bool) (r response, body []byte, err error) {
	for from := 0; from < len(wire); {
		to := from + 1
		for to < len(wire) && !cut(to) {
			to++
		}
		for p := bytes.Clone(wire[from:to]); len(p) > 0; {
			var b []byte
			if b, p, err = r.next(p); err != nil {
				return r, body, err
			}
			if body = append(body, b...); r.part == partDone {
				return r, body, nil
			}
		}
		from = to
	}
	return r, body, nil
}

func whole(int) bool { return false }

func TestContentIsFoundHoweverReadsCutIt(t *testing.T) {
	for _, c := range responses {
		for first := 0; first < len(c.wire); first++ {
			r, body, err := feed([]byte(c.wire), func(at int) bool { return at == first || first == 0 })
			if err != nil || string(body) != c.body || r.status != c.status || r.ends != c.ends || !r.headDone() {
				t.Fatalf("%s, cut at %d: content %q, status %d, ends %v, %v; want %q, %d, %v", c.name, first, body, r.status, r.ends, err, c.body, c.status, c.ends)
			}
			if done := r.part == partDone; done != (c.name != "until the end") {
				t.Fatalf("%s, cut at %d: done is %v", c.name, first, done)
			}
		}
	}
}

func TestBytesAfterAResponseAreLeft(t *testing.T) {
	var r response
	p := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1")
	body, rest, err := r.next(p)
	if string(body) != "ok" || string(rest) != "HTTP/1.1" || err != nil || r.part != partDone {
		t.Errorf("next gives %q and leaves %q, %v", body, rest, err)
	}
	if body, rest, _ = r.next(rest); len(body) > 0 || string(rest) != "HTTP/1.1" {
		t.Errorf("a response that is done takes %q and leaves %q", body, rest)
	}
}

func TestEventStreamsAreToldByTheirType(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/event-stream": true, "Text/Event-Stream; charset=utf-8": true, "text/plain": false, "application/x-ndjson": false, "": false,
	} {
		r, _, err := feed([]byte("HTTP/1.1 200 OK\r\nContent-Type: "+kind+"\r\n\r\n"), whole)
		if err != nil || r.events != want {
			t.Errorf("type %q: event stream is %v (%v), want %v", kind, r.events, err, want)
		}
	}
}

func TestMalformedResponsesAreErrors(t *testing.T) {
	for _, wire := range []string{
		"SSH-2.0-OpenSSH_9.2\r\n", "HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHeadLine+1),
	} {
		for _, cut := range []func(int) bool{whole, func(int) bool { return true }} {
			if _, body, err := feed([]byte(wire), cut); !errors.Is(err, errMalformed) {
				t.Errorf("%.60q gives %q and error %v, want %v", wire, body, err, errMalformed)
			}
		}
	}
}

// FuzzSplitsAgree: how a response is cut into reads changes nothing, and nothing
// makes it panic.
func FuzzSplitsAgree(f *testing.F) {
	for i, c := range responses {
		f.Add([]byte(c.wire), uint64(0x5555<<i))
	}
	f.Fuzz(func(t *testing.T, wire []byte, cuts uint64) {
		r1, body1, err1 := feed(wire, whole)
		r2, body2, err2 := feed(wire, func(at int) bool { return cuts>>(at%64)&1 == 1 })
		if (err1 == nil) != (err2 == nil) || err1 == nil && (!bytes.Equal(body1, body2) || summary(r1) != summary(r2)) {
			t.Errorf("in one piece: %q %s %v\ncut: %q %s %v", body1, summary(r1), err1, body2, summary(r2), err2)
		}
	})
}

// summary leaves out what a cut may change.
func summary(r response) string {
	return fmt.Sprint(r.part, r.status, r.events, r.ends, r.left)
}
