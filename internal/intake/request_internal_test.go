package intake

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// plain is a request as busy publishers send it.
const plain = "POST /v1/topics/a/b?type=t HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8\r\nAccept: */*\r\n" +
	"Content-Type: text/plain\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"

// head returns a request without a body.
func head(target string, lines ...string) string {
	return "POST " + target + " HTTP/1.1\r\n" + strings.Join(append(lines, "Content-Length: 0"), "\r\n") + "\r\n\r\n"
}

func TestParseReadsAPlainRequest(t *testing.T) {
	for _, c := range []struct{ input, want string }{
		{plain, `POST "/v1/topics/a/b" "type=t" "hello"`},
		{plain + "POST", `POST "/v1/topics/a/b" "type=t" "hello"`},
		{head("/", "Host: x"), `POST "/" "" ""`},
		{head("/a?", "Host: x"), `POST "/a" "" ""`},
		{head("/a?b?c=%zz", "Host: x"), `POST "/a" "b?c=%zz" ""`},
		{head("//h/a", "Host: x"), `POST "//h/a" "" ""`},
		{head("/a#b", "Host: x"), `POST "/a#b" "" ""`},
		{head("/", "host:x"), `POST "/" "" ""`},
		{head("/", "Host:"), `POST "/" "" ""`},
		{head("/", "Host: \t[::1]:80 \t"), `POST "/" "" ""`},
		{head("/", "HOST: a-b_c.d", "CONNECTION: Keep-Alive"), `POST "/" "" ""`},
		{head("/", "Host: x", "Accept: a\tb", "Accept: c"), `POST "/" "" ""`},
		{head("/", "Host: x", "Idempotency-Key: k"), `POST "/" "" "" "k"`},
		{head("/", "Host: x", "IDEMPOTENCY-key:\t\"a b,\" ") + "POST", `POST "/" "" "" "\"a b,\""`},
		{"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0000003\r\n\r\nabc", `PUT "/" "" "abc"`},
		{"PUT / HTTP/1.1\r\nHost: x\r\ncontent-length:\t3 \r\n\r\n\r\n\r", `PUT "/" "" "\r\n\r"`},
	} {
		var r Request
		n, v := parse([]byte(c.input), &r)
		if v != complete {
			t.Errorf("parse(%q): verdict %d", c.input, v)
			continue
		}
		got := fmt.Sprintf("%s %q %q %q", r.Method, r.Path, r.Query, r.Body)
		if r.IdempotencyKey != nil {
			got += fmt.Sprintf(" %q", r.IdempotencyKey)
		}
		if got != c.want {
			t.Errorf("parse(%q)\n got %s\nwant %s", c.input, got, c.want)
		}
		if rest := c.input[n:]; rest != "" && rest != "POST" {
			t.Errorf("parse(%q) left %q", c.input, rest)
		}
	}
}

// TestParseLeavesTheRestToNetHTTP has what is refused, ambiguous, or rare.
func TestParseLeavesTheRestToNetHTTP(t *testing.T) {
	length := func(lines ...string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	for what, input := range map[string]string{
		"no request line":           "\r\n\r\n",
		"empty line before":         "\r\n" + plain,
		"method lower case":         "post" + plain[4:],
		"method with bare LF":       "P\nST" + plain[4:],
		"no method":                 plain[4:],
		"two spaces":                head(" /", "Host: x"),
		"space in target":           head("/a b", "Host: x"),
		"tab in target":             head("/a\tb", "Host: x"),
		"bare CR in target":         head("/a\rb", "Host: x"),
		"bare LF in target":         head("/a\nb", "Host: x"),
		"NUL in target":             head("/a\x00b", "Host: x"),
		"DEL in target":             head("/a\x7fb", "Host: x"),
		"not ASCII in target":       head("/ä", "Host: x"),
		"escape in path":            head("/a%2Fb", "Host: x"),
		"bad escape in path":        head("/a%zz", "Host: x"),
		"absolute target":           head("http://h/a", "Host: x"),
		"authority target":          head("h:80", "Host: x"),
		"asterisk target":           head("*", "Host: x"),
		"HTTP/1.0":                  strings.Replace(plain, "/1.1", "/1.0", 1),
		"HTTP/1.2":                  strings.Replace(plain, "/1.1", "/1.2", 1),
		"HTTP/2 preface":            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"trailing space":            strings.Replace(plain, "/1.1", "/1.1 ", 1),
		"no version":                "POST /\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"no Host":                   head("/"),
		"two Hosts":                 head("/", "Host: x", "Host: x"),
		"space in Host":             head("/", "Host: x y"),
		"slash in Host":             head("/", "Host: x/y"),
		"quote in Host":             head("/", `Host: "x"`),
		"user in Host":              head("/", "Host: u@x"),
		"no Content-Length":         length("Accept: x"),
		"empty Content-Length":      length("Content-Length:"),
		"two Content-Lengths":       length("Content-Length: 0", "Content-Length: 0"),
		"two lengths in one":        length("Content-Length: 0, 0"),
		"length with sign":          length("Content-Length: +0"),
		"length below 0":            length("Content-Length: -0"),
		"hexadecimal length":        length("Content-Length: 0x0"),
		"underscore in length":      length("Content-Length: 0_0"),
		"fraction":                  length("Content-Length: 0.0"),
		"long length":               length("Content-Length: 00000000"),
		"length of 2^64":            length("Content-Length: 18446744073709551616"),
		"not ASCII digit":           length("Content-Length: ٣"),
		"large body":                length("Content-Length: 65536"),
		"chunked":                   length("Transfer-Encoding: chunked"),
		"chunked and length":        length("Content-Length: 0", "Transfer-Encoding: chunked"),
		"space before colon":        head("/", "Host: x", "Accept : x"),
		"no colon":                  head("/", "Host: x", "Accept"),
		"no name":                   head("/", "Host: x", ": x"),
		"obsolete fold":             head("/", "Host: x", "Accept: x", " y"),
		"fold with colon":           head("/", "Host: x", "Accept: x", "\tHost: y"),
		"fold after request line":   head("/", " Host: x"),
		"bare LF between headers":   head("/", "Host: x\nAccept: y"),
		"bare CR between headers":   head("/", "Host: x\rAccept: y"),
		"hidden length":             length("Accept: x\nContent-Length: 3", "Content-Length: 0"),
		"NUL in a value":            head("/", "Host: x", "Accept: \x00"),
		"control char in a value":   head("/", "Host: x", "Accept: \x01"),
		"DEL in a value":            head("/", "Host: x", "Accept: \x7f"),
		"not ASCII in a value":      head("/", "Host: x", "Accept: ä"),
		"letter like s":             head("/", "Ho\u017ft: x"),
		"letter like k":             head("/", "Host: x", "Connection: \u212aeep-alive"),
		"Connection: close":         head("/", "Host: x", "Connection: close"),
		"Connection: upgrade":       head("/", "Host: x", "Connection: upgrade", "Upgrade: h2c"),
		"Connection: two":           head("/", "Host: x", "Connection: keep-alive, close"),
		"Expect":                    head("/", "Host: x", "Expect: 100-continue"),
		"Origin":                    head("/", "Host: x", "Origin: http://h"),
		"Authorization":             head("/", "Host: x", "Authorization: Bearer x"),
		"empty Idempotency-Key":     head("/", "Host: x", "Idempotency-Key:"),
		"two Idempotency-Keys":      head("/", "Host: x", "Idempotency-Key: a", "Idempotency-Key: a"),
		"not ASCII Idempotency-Key": head("/", "Host: x", "Idempotency-Key: ä"),
		"letter like k in the name": head("/", "Host: x", "Idempotency-\u212aey: a"),
		"Cookie":                    head("/", "Host: x", "Cookie: a=b"),
		"Content-Encoding":          head("/", "Host: x", "Content-Encoding: gzip"),
		"Sec-Fetch-Site":            head("/", "Host: x", "Sec-Fetch-Site: cross-site"),
		"X-HTTP-Method-Override":    head("/", "Host: x", "X-HTTP-Method-Override: DELETE"),
		"large head":                head("/", "Host: x", "Accept: "+strings.Repeat("x", maxHead)),
		"head without end":          "POST /" + strings.Repeat("x", maxHead),
		"bytes that are no request": strings.Repeat("\x16\x03\x01", 2000),
	} {
		var r Request
		if n, v := parse([]byte(input), &r); v != strange || n != 0 {
			t.Errorf("%s: parse(%.200q) = %d, verdict %d", what, input, n, v)
		}
	}
}

// TestParseKeepsItsLimits tries sizes around both limits.
func TestParseKeepsItsLimits(t *testing.T) {
	sized := func(headBytes, body int) []byte {
		h := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nAccept: \r\n\r\n", body)
		h = strings.Replace(h, "Accept: ", "Accept: "+strings.Repeat("x", headBytes-len(h)), 1)
		return []byte(h + strings.Repeat("b", body))
	}
	for _, c := range []struct {
		head, body int
		want       verdict
	}{
		{maxHead - 1, 0, complete}, {maxHead, 0, complete}, {maxHead + 1, 0, strange},
		{maxHead, maxRequest - maxHead, complete}, {maxHead, maxRequest - maxHead + 1, strange},
		{100, maxRequest - 100, complete}, {100, maxRequest - 99, strange}, {100, 9999999, strange},
	} {
		p := sized(c.head, c.body)
		var r Request
		if n, v := parse(p, &r); v != c.want || (v == complete && n != len(p)) {
			t.Errorf("head of %d, body of %d bytes: %d bytes, verdict %d, want verdict %d", c.head, c.body, n, v, c.want)
		}
		for _, part := range []int{0, 1, c.head / 2, c.head - 1, c.head, len(p) - 1} {
			want := incomplete
			if (c.want == strange && part >= c.head) || part >= maxHead && c.head > maxHead {
				want = strange
			}
			if part < len(p) {
				if _, v := parse(p[:part], &r); v != want {
					t.Errorf("head of %d, body of %d bytes, the first %d: verdict %d, want %d", c.head, c.body, part, v, want)
				}
			}
		}
	}
}

// A seen request is what net/http made of one.
type seen struct{ method, target, key, body string }

// target puts path and query together again. net/http keeps a '?' at the end.
func (r *Request) target() string {
	if r.Query == nil {
		return string(r.Path)
	}
	return string(r.Path) + "?" + string(r.Query)
}

func seeds(f *testing.F) {
	for _, s := range []string{
		plain, plain + plain, "\r\n" + plain, plain + "\r\n" + plain, strings.Replace(plain, "POST", "GET", 1),
		head("//host/path", "Host: x"), head("/%zz", "Host: x"), head("/a?%zz", "Host: x"), head("/:a", "Host: x"),
		head("/", "Host: x", "Idempotency-Key: \"a\"") + plain, head("/", "Host: x", "idempotency-key: a", "Idempotency-Key: b"), head("/", "Host: x", "Idempotency-Key: \t"),
		head("/", "Host: x", "Accept: \x01"), head("/", "Ho\u017ft: x"), head("/", "Host: x y"), head("/", "Host: x\nY: z"),
		"P\nT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nAccept: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" + plain,
		"CONNECT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab",
	} {
		f.Add([]byte(s))
	}
}

// FuzzParseAgreesWithNetHTTP reads requests from any bytes, as long as parse says
// that there is one. net/http must read the same from the same bytes, and a server
// of net/http must serve them in this order before anything else.
func FuzzParseAgreesWithNetHTTP(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		var got []seen
		for rest := input; ; {
			var r Request
			n, v := parse(rest, &r)
			if v != complete {
				if n != 0 {
					t.Errorf("parse(%q) = %d, verdict %d: it took bytes of what it did not read", rest, n, v)
				}
				break
			}
			s := seen{string(r.Method), r.target(), string(r.IdempotencyKey), string(r.Body)}
			if want, size := readRequest(t, rest); s != want || n != size {
				t.Fatalf("parse(%q)\n got %+v, %d bytes\nwant %+v, %d bytes", rest, s, n, want, size)
			}
			got, rest = append(got, s), rest[n:]
		}
		if len(got) == 0 {
			return
		}
		served := serveBytes(input)
		for i := range got {
			if i >= len(served) || served[i] != got[i] {
				t.Fatalf("%q\n parse reads %+v\nnet/http serves %+v", input, got, served)
			}
		}
	})
}

// readRequest reads one request as net/http does, and returns how many bytes it
// has.
func readRequest(t *testing.T, p []byte) (seen, int) {
	t.Helper()
	src := bytes.NewReader(p)
	in := bufio.NewReader(src)
	r, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("parse accepts %q, net/http says: %v", p, err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("parse accepts %q, reading the body with net/http: %v", p, err)
	}
	if r.Close || len(r.TransferEncoding) > 0 || len(r.Trailer) > 0 {
		t.Fatalf("parse accepts %q, net/http: close %v, transfer encoding %q", p, r.Close, r.TransferEncoding)
	}
	if path, _, _ := strings.Cut(r.RequestURI, "?"); r.URL.Path != path {
		t.Fatalf("parse takes the path %q as it stands, net/http reads %q", path, r.URL.Path)
	}
	return seen{r.Method, r.RequestURI, keyOf(t, r), string(body)}, len(p) - src.Len() - in.Buffered()
}

// keyOf returns a request's only idempotency key.
func keyOf(t *testing.T, r *http.Request) string {
	keys := r.Header["Idempotency-Key"]
	if len(keys) > 1 || len(keys) == 1 && keys[0] == "" {
		t.Errorf("parse accepts a request with the keys %q", keys)
	}
	return strings.Join(keys, ",")
}

// FuzzAPrefixIsIncompleteOrTheSame parses all beginnings of a request: none may
// be taken for another request, and none that can still become one be refused.
func FuzzAPrefixIsIncompleteOrTheSame(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, input []byte) {
		var whole, part Request
		n, v := parse(input, &whole)
		for i := range input {
			m, u := parse(input[:i], &part)
			switch {
			case u == complete && (v != complete || m != n || !bytes.Equal(part.Body, whole.Body)):
				t.Fatalf("parse(%q) = %d, verdict %d, but of the first %d bytes %d, verdict %d", input, n, v, i, m, u)
			case u == strange && v != strange:
				t.Fatalf("parse(%q): verdict %d, but of the first %d bytes %d", input, v, i, u)
			case u == incomplete && v == complete && i >= n:
				t.Fatalf("parse(%q) needs %d bytes, but not with %d", input, n, i)
			}
		}
	})
}

func TestParseDoesNotAllocate(t *testing.T) {
	p := []byte(plain)
	if n := testing.AllocsPerRun(100, func() {
		var r Request
		if _, v := parse(p, &r); v != complete {
			t.Fatal(v)
		}
	}); n != 0 {
		t.Errorf("parse allocates %v times", n)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{5, 128, 4096} {
		p := []byte(strings.Replace(plain, "Length: 5\r\n\r\nhello", fmt.Sprintf("Length: %d\r\n\r\n%s", size, strings.Repeat("x", size)), 1))
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(p)))
			var r Request
			for b.Loop() {
				if _, v := parse(p, &r); v != complete {
					b.Fatal(v)
				}
			}
		})
	}
}
