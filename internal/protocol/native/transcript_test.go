package native_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/protocol/native"
)

// The tests of this file compare what a client gets from a server that adopts
// connections with what it gets from one that leaves all to net/http.

// transcriptMax is the largest message here: more than package intake reads.
const transcriptMax = 100_000

// A site is a server with its hub, for one conversation.
type site struct {
	hub    *hub.Hub
	native *native.Handler
	http   *httptest.Server
	served atomic.Int64 // without net/http
}

func newSite(adopt bool, o hub.Options) (*site, error) {
	o.MaxBytes = transcriptMax
	h, err := hub.New(o)
	if err != nil {
		return nil, err
	}
	s := &site{hub: h}
	s.native = native.New(h, native.Options{MaxBytes: transcriptMax, Adopt: adopt, Served: func() { s.served.Add(1) }})
	s.http = httptest.NewUnstartedServer(s.native)
	s.http.Config.ConnContext = native.ConnContext
	s.http.Start()
	return s, nil
}

func (s *site) close() {
	s.native.Drain()
	s.native.EndPolls()
	s.hub.Close()
	s.http.CloseClientConnections()
	s.http.Close()
}

// raw writes a request as it stands.
func raw(method, target, body string, header ...string) string {
	lines := append([]string{"Host: weir.test", fmt.Sprintf("Content-Length: %d", len(body))}, header...)
	return method + " " + target + " HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// warm is enough for a connection to be adopted, and last makes the server close
// it.
var (
	warm = []string{
		raw("POST", "/v1/topics/warm", "0"), raw("POST", "/v1/topics/warm?type=t", "1"), raw("POST", "/v1/topics/warm?key=k", "2", "Accept: */*"),
		raw("POST", "/v1/topics/w/a:r@m?retry=1", "3", "Content-Type: text/plain"), raw("POST", "/v1/topics/warm", "", "Connection: keep-alive"),
	}
	last = "GET /last HTTP/1.1\r\nHost: weir.test\r\nConnection: close\r\n\r\n"
)

// transcript returns what a client reads that sends input after the requests of
// warm, and then last. Pipelined, all is sent without waiting for answers.
func (s *site) transcript(input string, pipelined bool) (string, error) {
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		return "", err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	var all bytes.Buffer
	in := bufio.NewReader(io.TeeReader(nc, &all))
	if pipelined {
		input = strings.Join(warm, "") + input
	} else {
		for _, r := range warm {
			_, _ = io.WriteString(nc, r)
			resp, err := readFrom(in, "POST")
			if err != nil {
				return "", err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				return "", err
			}
		}
	}
	sent := make(chan struct{})
	go func() { // ends when all is sent, or the server has closed
		defer close(sent)
		_, _ = io.WriteString(nc, input[:len(input)/2])
		_, _ = io.WriteString(nc, input[len(input)/2:]+last)
	}()
	_, err = io.Copy(io.Discard, in)
	nc.Close()
	<-sent
	if err != nil && !strings.Contains(err.Error(), "reset") { // whoever still sends may be told so
		return "", err
	}
	return normal(all.Bytes()), nil
}

// records describes the messages that are kept.
func (s *site) records() string {
	sel, err := eventlog.Select("**")
	var b strings.Builder
	log := s.hub.Log()
	for after, head := uint64(0), log.Head(); after < head && err == nil; {
		var page eventlog.Page
		page, err = log.Read(context.Background(), sel, after, head, eventlog.Limit{})
		for _, e := range page.Entries {
			fmt.Fprintf(&b, "%d %q %q %q %q %v, %d bytes %.40q\n", e.Seq, e.Topics, e.Type, e.ID, e.Key, e.Retry, len(e.Data), e.Data)
		}
		after = page.Next
	}
	if err != nil {
		return err.Error()
	}
	return b.String()
}

// compare has both kinds of server serve the same input, and describes the
// difference.
func compare(input string, pipelined bool) (adopted int64, difference string) {
	var got [2]string
	for i, adopt := range []bool{true, false} {
		s, err := newSite(adopt, hub.Options{})
		if err != nil {
			return 0, err.Error()
		}
		text, err := s.transcript(input, pipelined)
		if err != nil {
			text += "\nerror: " + err.Error()
		}
		got[i] = text + "\nkept:\n" + s.records()
		if adopted += s.served.Load(); !adopt && s.served.Load() > 0 {
			got[i] += "\nadopted although it must not"
		}
		s.close()
	}
	if got[0] == got[1] {
		return adopted, ""
	}
	return adopted, fmt.Sprintf("with adoption:\n%s\nwithout:\n%s", got[0], got[1])
}

// inputs are requests of all kinds.
func inputs() map[string]string {
	m := map[string]string{"nothing": "", "garbage": "\x00\x01\x02\r\n\r\n", "long garbage": strings.Repeat("x", 70_000)}
	for _, q := range []string{
		"type=t&id=i&key=k&retry=5", "id=%3Ca%3E%26b%22", "id=%01%7f", "id=%C3%BC%E2%80%A8", "id=a+b", "type=%F0%9F%8C%8A&key=%00", "id=&type=&key=&retry=",
		"", "&&", "type", "retry=x", "idempotency_key=k", "idempotency_key=", "idempotency_key=%ff", "idempotency_key=k&idempotency_key=k", "retry=-1", "retry=86400001", "id=%0a", "id=%ff", "key=%ff", "id=abcdefgh-7", "type=%0d", "nope=1",
		"id=1&id=2", "%zz", "a;b", "=", "%69d=1", "id=" + strings.Repeat("<", 1024), "id=" + strings.Repeat("i", 1025), "Type=t",
	} {
		m["query "+q] = raw("POST", "/v1/topics/a?"+q, "x")
	}
	for _, name := range []string{
		"a", "a/b/c", "", "a/", "/a", "a//b", "a/./b", "..", "*", "a/**", "weir/stats", "weir/", "weir", "a%2Fb", "a%20b", "%C3%BC", "%zz", "a%", "%00", "\xc3\xbc", "a\tb",
		"a b", `"<>^{}|\#`, ":@!$&'()*+,;=~-_.", "[x]", "`", strings.Repeat("n", 255), strings.Repeat("n", 256), strings.Repeat("n", 5000),
	} {
		m["topic "+name] = raw("POST", "/v1/topics/"+name, "x")
	}
	for _, n := range []int{1, 60_000, 65_470, 65_471, 65_472, 65_473, 65_474, 65_475, 65_536, transcriptMax, transcriptMax + 1, 300_000} {
		m[fmt.Sprintf("body of %d bytes", n)] = raw("POST", "/v1/topics/a", strings.Repeat("b", n))
	}
	for _, h := range []string{
		"Origin: https://stranger.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-origin", "Content-Encoding: gzip", "Content-Encoding: identity",
		"Authorization: Bearer x", "X-Any: thing", "Accept: image/png", "Content-Type: ;", "Expect: 100-continue", "Expect: wonder", "Connection: close",
		"Connection: keep-alive", "Connection: keep-alive, close", "Connection: upgrade\r\nUpgrade: h2c", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
		"Idempotency-Key: k", `Idempotency-Key: "k"`, "IDEMPOTENCY-KEY: \tk ", `Idempotency-Key: "\""`, "Idempotency-Key:", "Idempotency-Key: a b", `Idempotency-Key: "k`,
		"Idempotency-Key: k\r\nIdempotency-Key: k", "Idempotency-Key: \u00fc", "Idempotency-Key: " + strings.Repeat("k", 256), "Idempotency-\u212aey: k",
		"Content-Length: 1", "Content-Length: 2", "Content-Length: +1", "Host: weir.test", "Host : x", "Accept: a\r\n b", "Accept: a\nb: c", "Accept: a\rb", "Accept: \x00", "Accept: \x01",
		"Accept: \xff", "Ho\u017ft: x", "\u017f: x", ": x", "x", "Accept : x", "accept:", "Accept: " + strings.Repeat("x", 5000), strings.Repeat("Accept: x\r\n", 2000) + "Accept: y",
	} {
		m[fmt.Sprintf("header %.30q", h)] = raw("POST", "/v1/topics/a", "x", h)
	}
	for _, method := range []string{"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "QUERY", "post", "P", "P(", "CONNECT", "TRACE"} {
		m["method "+method] = raw(method, "/v1/topics/warm?wait=0s", "x")
		if method != "GET" { // which would not end
			m["method "+method+" without parameters"] = raw(method, "/v1/topics/forgotten", "")
		}
	}
	plain := raw("POST", "/v1/topics/a", "x")
	for what, input := range map[string]string{
		"history":         "GET /v1/topics/**?wait=0s&since=start HTTP/1.1\r\nHost: weir.test\r\nAccept: application/x-ndjson\r\n\r\n",
		"lines":           raw("POST", "/v1/events", lines(3), ndjson) + plain,
		"bad lines":       raw("POST", "/v1/events", "oops\n", ndjson) + plain,
		"chunked":         "POST /v1/topics/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + plain,
		"chunked, bad":    "POST /v1/topics/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n" + plain,
		"no Host":         strings.Replace(plain, "Host: weir.test\r\n", "", 1),
		"bad Host":        strings.Replace(plain, "weir.test", "a b", 1),
		"odd Host":        strings.Replace(plain, "weir.test", "u:p@h(1)", 1),
		"empty Host":      strings.Replace(plain, "weir.test", "", 1),
		"no length":       strings.Replace(plain, "Content-Length: 1\r\n", "", 1),
		"HTTP/1.0":        strings.Replace(plain, "/1.1", "/1.0", 1),
		"HTTP/1.2":        strings.Replace(plain, "/1.1", "/1.2", 1),
		"HTTP/2.0":        strings.Replace(plain, "/1.1", "/2.0", 1),
		"no version":      strings.Replace(plain, " HTTP/1.1", "", 1),
		"two spaces":      strings.Replace(plain, "POST ", "POST  ", 1),
		"absolute target": strings.Replace(plain, "/v1", "http://weir.test/v1", 1),
		"other authority": strings.Replace(plain, "/v1", "http://other.test/v1", 1),
		"double slash":    strings.Replace(plain, "/v1", "//v1", 1),
		"host in path":    strings.Replace(plain, "/v1", "//weir.test/v1", 1),
		"asterisk":        strings.Replace(plain, "/v1/topics/a", "*", 1),
		"bare LF":         strings.ReplaceAll(plain, "\r\n", "\n"),
		"LF ends head":    strings.Replace(plain, "\r\n\r\n", "\n\n", 1),
		"two":             plain + plain,
		"two of one key":  raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k") + raw("POST", "/v1/topics/a", "x", `Idempotency-Key: "k"`),
		"a key of both":   raw("POST", "/v1/topics/a?idempotency_key=k", "x", "Idempotency-Key: k") + raw("POST", "/v1/topics/a?idempotency_key=k", "x"),
		"two keys":        raw("POST", "/v1/topics/a?idempotency_key=k", "x", "Idempotency-Key: l") + plain,
		"a key again":     raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k") + raw("PUT", "/v1/topics/a", "") + raw("POST", "/v1/topics/a", "x", "Idempotency-Key: k"),
		"many, one other": strings.Repeat(plain, 50) + raw("PUT", "/v1/topics/a", "x") + strings.Repeat(plain, 50),
	} {
		m[what] = input
	}
	for n := range 7 {
		m[fmt.Sprintf("%d line ends before", n)] = strings.Repeat("\r\n", n) + plain
		m[fmt.Sprintf("%d line feeds before and between", n)] = strings.Repeat("\n", n) + plain + strings.Repeat("\n", n) + plain
	}
	return m
}

// TestAdoptionChangesNoByte compares whole conversations, but for the time of day
// and the epoch of the IDs.
func TestAdoptionChangesNoByte(t *testing.T) {
	var adopted atomic.Int64
	var wg sync.WaitGroup
	busy := make(chan struct{}, 16) // conversations at once; some wait half a second for net/http to close
	for what, input := range inputs() {
		for _, pipelined := range []bool{false, true} {
			busy <- struct{}{}
			wg.Go(func() {
				defer func() { <-busy }()
				n, difference := compare(input, pipelined)
				if adopted.Add(n); n == 0 && intake.Supported && !pipelined {
					t.Errorf("%s: nothing was adopted, so this proves nothing", what)
				}
				if difference != "" {
					t.Errorf("%s, pipelined %v: %.3000s", what, pipelined, difference)
				}
			})
		}
	}
	wg.Wait()
	if intake.Supported && adopted.Load() == 0 {
		t.Error("nothing was adopted")
	}
}
