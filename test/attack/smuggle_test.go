package attack_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A shape is bytes that servers have been known to cut into requests in different ways.
// In it T is a topic, EVIL a whole request that publishes "evil", and LEN the length of
// that request. Behind it comes a request that publishes "next".
//
// want are the readings that RFC 9112 allows, each as the statuses answered and, behind a
// bar, what was published, in order. If none of them has "next" the server has to close
// the connection without being asked to.
type shape struct {
	name string
	text string
	want []string
	head bool // the first answer is to a HEAD
	cut  bool // the client closes its side, because the server may wait for more
}

// Readings that many shapes share.
var (
	refused  = []string{"400|"}
	unknown  = []string{"400|", "501|"}
	ordinary = []string{"201 201|front next"}
)

// front is a request of which only the header lines are special. Its body is "front".
func front(lines string) string {
	return "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\nfront"
}

// chunks is a request with a body in chunks, which is "front" if the server reads it.
func chunks(body string) string {
	return "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + body
}

const length5 = "Content-Length: 5\r\n"

var shapes = []shape{
	// Two lengths.
	{name: "length and chunks", text: front("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), want: refused},
	{name: "length over chunks", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfront\r\n0\r\n\r\n", want: []string{"400|", "201 201|front next", "201|front"}},
	{name: "chunks over length", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: LEN\r\n\r\n0\r\n\r\nEVIL", want: []string{"400|", "201 201 201| evil next", "201|"}},
	{name: "two lengths", text: front(length5 + "Content-Length: 50\r\n"), want: refused},
	{name: "two lengths, the second 0", text: front(length5 + "Content-Length: 0\r\n"), want: refused},
	{name: "two equal lengths", text: front(length5 + length5), want: append(ordinary, refused...)},
	{name: "list of lengths", text: front("Content-Length: 5, 50\r\n"), want: refused},
	{name: "list of equal lengths", text: front("Content-Length: 5, 5\r\n"), want: append(ordinary, refused...)},
	{name: "plus", text: front("Content-Length: +5\r\n"), want: refused},
	{name: "minus", text: front("Content-Length: -5\r\n"), want: refused},
	{name: "hexadecimal length", text: front("Content-Length: 0x5\r\n"), want: refused},
	{name: "underscore in the length", text: front("Content-Length: 0_5\r\n"), want: refused},
	{name: "two numbers", text: front("Content-Length: 5 5\r\n"), want: refused},
	{name: "empty length", text: front("Content-Length:\r\n"), want: refused},
	{name: "length that wraps", text: front("Content-Length: 18446744073709551621\r\n"), want: refused},
	{name: "length that wraps 63 bits", text: front("Content-Length: 9223372036854775813\r\n"), want: refused},
	{name: "zeros before the length", text: front("Content-Length: 000005\r\n"), want: ordinary},
	{name: "tabs around the length", text: front("Content-Length:\t5\t\r\n"), want: ordinary},
	{name: "form feed before the length", text: front("Content-Length: \f5\r\n"), want: refused},
	{name: "no-break space before the length", text: front("Content-Length: \xa05\r\n"), want: refused},
	{name: "small letters", text: front("content-length: 5\r\n"), want: ordinary},
	{name: "letter that folds to another", text: front("Content-Length: 5\r\nTran\u017ffer-Encoding: chunked\r\n"), want: refused},
	{name: "underscore in the name", text: front(length5 + "Content_Length: 50\r\nTransfer_Encoding: chunked\r\n"), want: ordinary},
	{name: "no length, no body", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\n\r\n", want: []string{"201 201| next"}},
	{name: "length said to belong to the connection", text: front(length5 + "Connection: keep-alive, Content-Length\r\n"), want: ordinary},

	// Codings.
	{name: "chunked, identity", text: front("Transfer-Encoding: chunked, identity\r\n"), want: unknown},
	{name: "identity, chunked", text: front("Transfer-Encoding: identity, chunked\r\n"), want: unknown},
	{name: "identity", text: front(length5 + "Transfer-Encoding: identity\r\n"), want: unknown},
	{name: "xchunked", text: front(length5 + "Transfer-Encoding: xchunked\r\n"), want: unknown},
	{name: "chunked twice", text: front("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), want: unknown},
	{name: "chunked and gzip apart", text: front("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), want: unknown},
	{name: "vertical tab before chunked", text: front(length5 + "Transfer-Encoding: \vchunked\r\n"), want: unknown},
	{name: "parameter of chunked", text: front(length5 + "Transfer-Encoding: chunked;q=1\r\n"), want: unknown},
	{name: "chunked in quotes", text: front(length5 + "Transfer-Encoding: \"chunked\"\r\n"), want: unknown},
	{name: "empty coding", text: front(length5 + "Transfer-Encoding:\r\n"), want: append(unknown, ordinary...)},
	{name: "blanks and capitals", text: strings.Replace(chunks("5\r\nfront\r\n0\r\n\r\n"), ": chunked", ": \t ChUnKeD ", 1), want: ordinary},
	{name: "coding in HTTP/1.0 that stays open", text: "POST /v1/topics/T HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\nEVIL", want: []string{"400|", "201|"}},
	{name: "coding in HTTP/1.0", text: "POST /v1/topics/T HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfront\r\n0\r\n\r\n", want: []string{"400|", "201|front", "201|"}},

	// Chunks.
	{name: "plain chunks", text: chunks("2\r\nfr\r\n3\r\nont\r\n0\r\n\r\n"), want: ordinary},
	{name: "extension", text: chunks("5;a=b\r\nfront\r\n0;c\r\n\r\n"), want: ordinary},
	{name: "extension in quotes", text: chunks("5;a=\";\"\r\nfront\r\n0\r\n\r\n"), want: ordinary},
	{name: "extension with LF", text: chunks("5;a\nEVIL\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "extension with CR", text: chunks("5;a\rb\r\nfront\r\n0\r\n\r\n"), want: append(refused, ordinary...)},
	{name: "zeros before the size", text: chunks("0000005\r\nfront\r\n000\r\n\r\n"), want: ordinary},
	{name: "size with 0x", text: chunks("0x5\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "size with plus", text: chunks("+5\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "negative size", text: chunks("-5\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "size that wraps", text: chunks("10000000000000005\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "largest size", text: chunks("ffffffffffffffff\r\nfront\r\n0\r\n\r\n"), want: refused, cut: true},
	{name: "blank before the size", text: chunks(" 5\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "blank behind the size", text: chunks("5 \r\nfront\r\n0\r\n\r\n"), want: append(refused, ordinary...)},
	{name: "no size", text: chunks("\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "LF behind the size", text: chunks("5\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "CR behind the size", text: chunks("5\rfront\r\n0\r\n\r\n"), want: refused},
	{name: "more data than the size says", text: chunks("5\r\nfrontEVIL\r\n0\r\n\r\n"), want: refused},
	{name: "less data than the size says", text: chunks("7\r\nfront\r\n0\r\n\r\n"), want: refused},
	{name: "no last chunk", text: chunks("5\r\nfront\r\nEVIL"), want: refused},
	{name: "no end of the trailer", text: chunks("5\r\nfront\r\n0\r\nEVIL"), want: refused, cut: true},
	{name: "trailer that names a length", text: chunks("5\r\nfront\r\n0\r\nContent-Length: 50\r\n\r\n"), want: append(ordinary, refused...)},
	{name: "trailer that names a coding", text: chunks("5\r\nfront\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), want: append(ordinary, refused...)},

	// Lines.
	{name: "folded line", text: front("X-A: b\r\n c\r\n" + length5), want: append(ordinary, refused...)},
	{name: "folded length", text: front("Content-Length:\r\n 5\r\n"), want: append(ordinary, refused...)},
	{name: "folded coding", text: front("Transfer-Encoding:\r\n chunked\r\n" + length5), want: unknown},
	{name: "blank before the first line", text: front(" X-A: b\r\n" + length5), want: append(refused, ordinary...)},
	{name: "length hidden behind a blank", text: strings.Replace(front("Content-Length: LEN\r\n"), "Content", " Content", 1), want: append(refused, "201| next")},
	{name: "blank before the colon", text: front("Content-Length : 5\r\n"), want: refused},
	{name: "tab before the colon", text: front("Transfer-Encoding\t: chunked\r\n" + length5), want: refused},
	{name: "no colon", text: front("Content-Length 5\r\n" + length5), want: refused},
	{name: "no name", text: front(": x\r\n" + length5), want: refused},
	{name: "NUL in a name", text: front("Content-Length\x00: 50\r\n" + length5), want: refused},
	{name: "NUL in a value", text: front("X-A: a\x00b\r\n" + length5), want: refused},
	{name: "NUL in a usual value", text: front("User-Agent: a\x00b\r\n" + length5), want: refused},
	{name: "CR in a usual value", text: front("User-Agent: a\rTransfer-Encoding: chunked\r\n" + length5), want: append(refused, ordinary...)},
	{name: "LF in a usual value", text: front("User-Agent: a\nTransfer-Encoding: chunked\r\n" + length5), want: refused},
	{name: "letter that folds to one of Host", text: strings.Replace(front(length5), "Host", "Ho\u017ft", 1), want: refused},
	{name: "NUL behind the length", text: front("Content-Length: 5\x00\r\n"), want: refused},
	{name: "NUL in the target", text: strings.Replace(front(length5), "/T", "/T\x00", 1), want: refused},
	{name: "CR in a value", text: front("X-A: a\rTransfer-Encoding: chunked\r\n" + length5), want: append(refused, ordinary...)},
	{name: "CR for line ends", text: "POST /v1/topics/T HTTP/1.1\rHost: localhost\rContent-Length: 5\r\rfront\r\n\r\n", want: refused},
	{name: "LF for line ends", text: strings.ReplaceAll(front(length5), "\r\n", "\n"), want: append(ordinary, refused...)},
	{name: "LF once", text: front("X-A: b\n" + length5), want: append(ordinary, refused...)},
	{name: "LF before the coding", text: front("X-A: b\nTransfer-Encoding: chunked\r\n" + length5), want: refused},
	{name: "LF, CR, LF at the end of the head", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\n\r\nfront", want: append(ordinary, refused...)},
	{name: "empty line in front", text: "\r\n" + front(length5), want: append(ordinary, refused...)},
	{name: "line ends behind the body", text: front(length5) + "\r\n\r\n", want: append(ordinary, "201 400|front")},

	// Request lines.
	{name: "absolute target", text: strings.Replace(front(length5), " /v1", " http://other.example/v1", 1), want: ordinary},
	{name: "absolute target of another scheme", text: strings.Replace(front(length5), " /v1", " ftp://other.example/v1", 1), want: append(ordinary, refused...)},
	{name: "target with a fragment", text: strings.Replace(front(length5), "/T", "/T#x", 1), want: append(refused, "201 201|next")}, // to another topic
	{name: "target without a slash", text: strings.Replace(front(length5), " /v1", " v1", 1), want: refused},
	{name: "blank in the target", text: strings.Replace(front(length5), "/T", "/T x", 1), want: refused},
	{name: "two blanks", text: strings.Replace(front(length5), "POST ", "POST  ", 1), want: append(ordinary, refused...)},
	{name: "tab for a blank", text: strings.Replace(front(length5), "POST ", "POST\t", 1), want: append(ordinary, refused...)},
	{name: "blank behind the version", text: strings.Replace(front(length5), "HTTP/1.1", "HTTP/1.1 ", 1), want: append(ordinary, refused...)},
	{name: "HTTP/1.2", text: strings.Replace(front(length5), "HTTP/1.1", "HTTP/1.2", 1), want: append(ordinary, "400|", "505|")},
	{name: "HTTP/2.0", text: strings.Replace(front(length5), "HTTP/1.1", "HTTP/2.0", 1), want: []string{"400|", "505|"}},
	{name: "small http", text: strings.Replace(front(length5), "HTTP/1.1", "http/1.1", 1), want: append(refused, "505|")},
	{name: "no version", text: "POST /v1/topics/T\r\n\r\nEVIL", want: append(refused, "505|")},
	{name: "no host", text: strings.Replace(front(length5), "Host: localhost\r\n", "", 1), want: refused},
	{name: "two hosts", text: front("Host: other.example\r\n" + length5), want: refused},
	{name: "host that ends a line", text: strings.Replace(front(length5), "localhost", "local host", 1), want: refused},
	{name: "small method", text: strings.Replace(front(length5), "POST", "post", 1), want: []string{"405 201|next", "400|", "405|"}},
	{name: "method that overrides", text: front(length5 + "X-HTTP-Method-Override: DELETE\r\n"), want: ordinary},

	// Bodies of requests that have none, or that are refused before theirs is read.
	{name: "body of GET", text: "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"200 201|next", "200|"}},
	{name: "body of HEAD", text: "HEAD /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"200 201|next", "200|"}, head: true},
	{name: "body of DELETE", text: "DELETE /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"204 201|next", "204|"}},
	{name: "body of OPTIONS", text: "OPTIONS /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"204 201|next", "204|"}},
	{name: "body of another path", text: "POST /v1/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"404 201|next", "404|"}},
	{name: "body of a reserved topic", text: "POST /v1/topics/weir/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"400 201|next", "400|"}},
	{name: "body that is encoded", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"415 201|next", "415|"}},
	{name: "chunks of GET", text: strings.Replace(chunks("LENX\r\nEVIL\r\n0\r\n\r\n"), "POST /v1/topics/T", "GET /healthz", 1), want: []string{"200 201|next", "200|"}},
	{name: "body that is too large", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nEVIL", want: []string{"413|"}},
	{name: "body that is cut", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\nEVIL", want: refused, cut: true},
	{name: "HEAD and a publish behind it", text: "HEAD /v1/topics/T HTTP/1.1\r\nHost: localhost\r\n\r\nEVIL", want: []string{"200 201 201|evil next"}, head: true},

	// Ends of connections.
	{name: "close", text: front(length5+"Connection: close\r\n") + "EVIL", want: []string{"201|front"}},
	{name: "close in a list", text: front(length5+"Connection: keep-alive, close\r\n") + "EVIL", want: []string{"201|front"}},
	{name: "close in capitals", text: front(length5+"CONNECTION: CLOSE\r\n") + "EVIL", want: []string{"201|front"}},
	{name: "HTTP/1.0", text: strings.Replace(front(length5), "HTTP/1.1", "HTTP/1.0", 1) + "EVIL", want: []string{"201|front"}},

	// Expectations.
	{name: "100-continue", text: front(length5 + "Expect: 100-continue\r\n"), want: []string{"100 201 201|front next", "201 201|front next"}},
	{name: "100-continue without a body", text: "POST /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n", want: []string{"201 201| next", "100 201 201| next"}},
	{name: "100-continue of a refused request", text: "POST /v1/topics/weir/T HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"400 201|next", "400|"}},
	{name: "100-continue of a refused request, chunks", text: "POST /v1/topics/weir/T HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\nEVIL", want: refused},
	{name: "100-continue of GET", text: "GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: LEN\r\n\r\nEVIL", want: []string{"200 201|next", "200|", "100 200 201|next"}},
	{name: "100-continue twice", text: front(length5 + "Expect: 100-continue, 100-continue\r\n"), want: []string{"417|", "417 201|next", "100 201 201|front next"}},
	{name: "another expectation", text: front(length5+"Expect: 200-ok\r\n") + "EVIL", want: []string{"417|"}},

	// Other protocols.
	{name: "preface of HTTP/2", text: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00EVIL", want: []string{"400|", "404|", "405|", "505|"}},
	{name: "upgrade to h2c", text: front("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n" + length5), want: ordinary},
	{name: "upgrade to websocket", text: front("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + length5), want: ordinary},
	{name: "CONNECT", text: "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\nEVIL", want: []string{"400|", "404 201 201|evil next", "405 201 201|evil next"}},
	{name: "TRACE", text: "TRACE /v1/topics/T HTTP/1.1\r\nHost: localhost\r\nMax-Forwards: 0\r\n\r\n", want: []string{"405 201|next"}},
}

var topics atomic.Int64

// freshTopic returns a name that no test has used. All are of one length.
func freshTopic() string { return fmt.Sprintf("t%06d", topics.Add(1)) }

// fill puts a topic into a shape.
func fill(text, topic string) string {
	evil := post(topic, "evil")
	text = strings.ReplaceAll(text, "/T", "/"+topic)
	text = strings.ReplaceAll(text, "LENX", fmt.Sprintf("%x", len(evil)))
	text = strings.ReplaceAll(text, "LEN", fmt.Sprint(len(evil)))
	return strings.ReplaceAll(text, "EVIL", evil)
}

// A phase is what has happened on a connection before.
type phase struct {
	name string
	open func(t *testing.T, s *server, network string) *wire
}

// A publisher's third request on a connection is its last that net/http serves: see
// package intake. What it does not like goes back to net/http.
var phases = []phase{
	{"fresh", func(t *testing.T, s *server, network string) *wire { return s.dial(t, network) }},
	{"kept", func(t *testing.T, s *server, network string) *wire { return s.warm(t, network, 1) }},
	{"adopted", func(t *testing.T, s *server, network string) *wire { return s.warm(t, network, 4) }},
	{"given back", func(t *testing.T, s *server, network string) *wire {
		w := s.warm(t, network, 4)
		w.send(get("/healthz"))
		if r := w.reply(); r.status != 200 {
			t.Fatalf("/healthz: %d", r.status)
		}
		return w
	}},
}

// warm returns a connection on which n messages were published.
func (s *server) warm(t *testing.T, network string, n int) *wire {
	t.Helper()
	w := s.dial(t, network)
	for range n {
		w.send(post("warm", "w"))
		if r := w.reply(); r.status != 201 {
			t.Fatalf("publish: %d %s", r.status, r.body)
		}
	}
	return w
}

// outcome sends bytes, with "next" behind them, and says what came of it. open says
// whether the server has to end the connection.
func (s *server) outcome(t *testing.T, w *wire, topic, text string, piece int, open, head bool) string {
	t.Helper()
	w.sendPieces(text+post(topic, "next"), piece)
	if !open {
		w.shut()
	}
	raw, err := w.rest()
	if err != nil {
		t.Errorf("%q: %v; got %q", text, err, raw)
	}
	all, err := replies(raw, head)
	if err != nil {
		t.Errorf("%q: the answers are %q: %v", text, raw, err)
	}
	var statuses []string
	for _, r := range all {
		statuses = append(statuses, fmt.Sprint(r.status))
	}
	return strings.Join(statuses, " ") + "|" + strings.Join(s.kept(topic), " ")
}

// inParallel calls fn for 0..n-1, some at once, and returns when all have ended.
func inParallel(n int, fn func(i int)) {
	var group sync.WaitGroup
	var next atomic.Int64
	for range 32 {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				fn(i)
			}
		})
	}
	group.Wait()
}

// TestNoByteShapeSmugglesARequest sends each shape on connections of all kinds, in one
// piece and in small ones.
func TestNoByteShapeSmugglesARequest(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for _, network := range []string{"tcp", "unix"} {
		for _, p := range phases {
			t.Run(network+"/"+p.name, func(t *testing.T) {
				inParallel(2*len(shapes), func(i int) {
					s.checkShape(t, p.open(t, s, network), shapes[i/2], []int{1 << 20, 11}[i%2])
				})
			})
		}
	}
}

func (s *server) checkShape(t *testing.T, w *wire, sh shape, piece int) {
	t.Helper()
	open := !sh.cut
	for _, want := range sh.want {
		open = open && !strings.Contains(want, "next")
	}
	topic := freshTopic()
	got := s.outcome(t, w, topic, fill(sh.text, topic), piece, open, sh.head)
	if !slices.Contains(sh.want, got) {
		t.Errorf("%s, in pieces of %d: %q, want one of %q", sh.name, piece, got, sh.want)
	}
}

// seeds are requests of which mutants are made.
var seeds = []string{
	front(length5),
	front("User-Agent: a\r\nAccept: */*\r\n" + length5),
	chunks("2\r\nfr\r\n3\r\nont\r\n0\r\n\r\n"),
	"POST /v1/topics/T?type=a&key=b HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\nIdempotency-Key: 1\r\nContent-Length: LEN\r\n\r\nEVIL",
	front(length5) + front(length5+"Content-Type: text/plain\r\n"),
}

// splinters are what a mutant gets put into it.
var splinters = []string{"\r", "\n", "\r\n", "\r\n\r\n", "\x00", " ", "\t", ":", ",", ";", "0", "9", "-", "+", "\x7f", "\x80", "\u017f", "\u212a", "#", "?", "%", "%00",
	"Content-Length: 3\r\n", "\r\nTransfer-Encoding: chunked", "HTTP/1.1", "\r\nConnection: close", "\r\nExpect: 100-continue", "\r\n ", "x"}

// mutant changes a seed in one or two places, behind its first byte.
func mutant(r *rand.Rand) string {
	text := seeds[r.IntN(len(seeds))]
	for range 1 + r.IntN(2) {
		at := 1 + r.IntN(len(text)-1)
		switch r.IntN(3) {
		case 0:
			text = text[:at] + splinters[r.IntN(len(splinters))] + text[at:]
		case 1:
			text = text[:at] + splinters[r.IntN(len(splinters))] + text[at+1:]
		default:
			text = text[:at] + text[min(len(text), at+1+r.IntN(4)):]
		}
	}
	return text
}

// TestEveryStageReadsTheSameRequests compares what mutants of good requests come to on a
// fresh connection with what they come to on those of all other kinds.
func TestEveryStageReadsTheSameRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	random := rand.New(rand.NewPCG(5, 6))
	mutants := make([]string, 200)
	for i := range mutants {
		mutants[i] = mutant(random)
	}
	inParallel(len(mutants), func(i int) {
		want := ""
		for j, p := range phases {
			for _, piece := range []int{1 << 20, 1 + i%40} {
				topic := freshTopic()
				got := s.outcome(t, p.open(t, s, []string{"tcp", "unix"}[i%2]), topic, fill(mutants[i], topic), piece, false, false)
				got = strings.ReplaceAll(got, topic, "T")
				if j == 0 && piece == 1<<20 {
					want = got
				}
				if got != want {
					t.Errorf("%q comes to %q on a connection that is %s, in pieces of %d, and to %q on a fresh one", mutants[i], got, p.name, piece, want)
				}
			}
		}
	})
}
