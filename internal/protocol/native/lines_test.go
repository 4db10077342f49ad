package native_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
)

// TestLinesBecomeMessages publishes one line and looks at the message.
func TestLinesBecomeMessages(t *testing.T) {
	for _, c := range []struct {
		line string
		want hub.Message // its data as text, Topics sorted
	}{
		{`{"topic":"a","data":"text"}`, hub.Message{Topics: []string{"a"}, Data: []byte("text")}},
		{`{"topic":"a"}`, hub.Message{Topics: []string{"a"}}},
		{`{"topic":"a","data":""}`, hub.Message{Topics: []string{"a"}}},
		{`{"topics":["a","b"],"data":"x"}`, hub.Message{Topics: []string{"a", "b"}, Data: []byte("x")}},
		{`{"topic":"a","topics":["b"],"data":"x"}`, hub.Message{Topics: []string{"a", "b"}, Data: []byte("x")}},
		{`{"topic":null,"topics":["b"],"data":"x"}`, hub.Message{Topics: []string{"b"}, Data: []byte("x")}},
		{`{"topic":"a","type":"t","id":"i","key":"k","retry":1500,"data":"x"}`,
			hub.Message{Topics: []string{"a"}, Type: "t", ID: "i", Key: "k", Retry: 1500 * time.Millisecond, Data: []byte("x")}},
		{`{"topic":"a","retry":86400000}`, hub.Message{Topics: []string{"a"}, Retry: 24 * time.Hour}},
		{`{"topic":"a","data":"\u0041\n\ud83c\udf0a\\\u0000"}`, hub.Message{Topics: []string{"a"}, Data: []byte("A\n🌊\\\x00")}},
		{`{"topic":"日本","data":"वेयर"}`, hub.Message{Topics: []string{"日本"}, Data: []byte("वेयर")}},
		{`{"topic":"a\/b","data":"x"}`, hub.Message{Topics: []string{"a/b"}, Data: []byte("x")}},
		{`{"topic":"a","base64":true,"data":"AAEC/w=="}`, hub.Message{Topics: []string{"a"}, Data: []byte("\x00\x01\x02\xff")}},
		{`{"topic":"a","base64":true,"data":""}`, hub.Message{Topics: []string{"a"}}},
		{`{"topic":"a","base64":false,"data":"AAEC"}`, hub.Message{Topics: []string{"a"}, Data: []byte("AAEC")}},
		// Any other JSON value is kept as compact text.
		{`{"topic":"a","data":{"b": [1, 2.50, "x y"],  "c":null}}`, hub.Message{Topics: []string{"a"}, Data: []byte(`{"b":[1,2.50,"x y"],"c":null}`)}},
		{`{"topic":"a","data":[ ]}`, hub.Message{Topics: []string{"a"}, Data: []byte(`[]`)}},
		{`{"topic":"a","data":12345678901234567890.10}`, hub.Message{Topics: []string{"a"}, Data: []byte(`12345678901234567890.10`)}},
		{`{"topic":"a","data":true}`, hub.Message{Topics: []string{"a"}, Data: []byte(`true`)}},
		{`{"topic":"a","data":null}`, hub.Message{Topics: []string{"a"}, Data: []byte(`null`)}},
		{`{"topic":"a","data":{"html":"<b>&"}}`, hub.Message{Topics: []string{"a"}, Data: []byte(`{"html":"<b>&"}`)}},
		{"  \t{ \"topic\" : \"a\" , \"data\" : \"x\" } \r", hub.Message{Topics: []string{"a"}, Data: []byte("x")}},
	} {
		s := serve(t, hub.Options{})
		a := s.post(t, c.line+"\n")
		got := s.kept(t, "**")
		if a.status != 200 || len(got) != 1 {
			t.Errorf("%s: %d %s, %d messages", c.line, a.status, a.body, len(got))
			continue
		}
		m := got[0].Message
		slices.Sort(m.Topics)
		if fmt.Sprintf("%+v", m) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: got %+v, want %+v", c.line, m, c.want)
		}
	}
}

// TestBadLineIsNamedAndKeepsTheOnesBefore puts a bad line third, with a blank one
// before it and a good one after it.
func TestBadLineIsNamedAndKeepsTheOnesBefore(t *testing.T) {
	for _, c := range []struct {
		line         string
		status       int
		code, detail string
		limit        int
	}{
		{`{"topic":"a","data":"x"`, 400, "bad_json", `the line ends within its JSON object`, 0},
		{`{"topic":"a","data":"x`, 400, "bad_json", `the line ends within its JSON object`, 0},
		{`{"topic":"a",}`, 400, "bad_json", `invalid character '}' looking for beginning of object key string at byte 14`, 0},
		{`{topic:"a"}`, 400, "bad_json", `invalid character 't' looking for beginning of object key string at byte 2`, 0},
		{"{\"topic\":\"a\",\"data\":\"\x01\"}", 400, "bad_json", `invalid character '\x01' in string literal at byte 22`, 0},
		{"{\"topic\":\"a\",\"data\":\"\xff\"}", 400, "bad_json", `the line is not UTF-8; send other bytes as base64`, 0},
		{"{\"topic\":\"a\",\"data\":{\"x\":\"\xff\"}}", 400, "bad_json", `the line is not UTF-8; send other bytes as base64`, 0},
		{`hello`, 400, "bad_json", `the line is not a JSON object: it begins with "hello"`, 0},
		{`null`, 400, "bad_json", `the line is not a JSON object: it begins with "null"`, 0},
		{`["topic","a"]`, 400, "bad_json", `the line is not a JSON object: it begins with "[\"topic\",\"a\"]"`, 0},
		{"\ufeff{\"topic\":\"a\"}", 400, "bad_json", `the line is not a JSON object: it begins with "\ufeff{\"topic\":\"a\"}"`, 0},
		{`{"topic":"a"}{"topic":"b"}`, 400, "bad_json", `more than one JSON object in a line: the first ends at byte 13`, 0},
		{`{"topic":"a"} x`, 400, "bad_json", `more than one JSON object in a line: the first ends at byte 13`, 0},
		{`{"topic":"a","dta":"x"}`, 400, "bad_json", `unknown field "dta"`, 0},
		{`{"topic":"a","time":"2006"}`, 400, "bad_json", `unknown field "time"`, 0},
		{`{"topic":7}`, 400, "bad_json", `field "topic" is number, want string`, 0},
		{`{"topics":"a"}`, 400, "bad_json", `field "topics" is string, want array of strings`, 0},
		{`{"topics":["a",{}]}`, 400, "bad_json", `field "topics" is object, want string`, 0},
		{`{"topic":"a","type":["t"]}`, 400, "bad_json", `field "type" is array, want string`, 0},
		{`{"topic":"a","retry":"5"}`, 400, "bad_json", `field "retry" is string, want whole number`, 0},
		{`{"topic":"a","retry":1.5}`, 400, "bad_json", `field "retry" is number 1.5, want whole number`, 0},
		{`{"topic":"a","base64":"yes"}`, 400, "bad_json", `field "base64" is string, want bool`, 0},
		{`{"topic":"a","base64":true,"data":"A"}`, 400, "bad_json", `data is not base64: illegal base64 data at input byte 0`, 0},
		{`{"topic":"a","base64":true,"data":7}`, 400, "bad_json", `base64 is set, but data is not a string`, 0},
		{`{"topic":"a","retry":-1}`, 400, "bad_parameter", `retry is -1: want milliseconds from 0 to 86400000`, 0},
		{`{"topic":"a","retry":86400001}`, 400, "bad_parameter", `retry is 86400001: want milliseconds from 0 to 86400000`, 0},
		{`{"topic":"a","data":"x","idempotency_key":""}`, 400, "bad_idempotency_key", `idempotency_key is "": want 1 to 255 bytes of visible ASCII`, 0},
		{`{"topic":"a","data":"x","idempotency_key":"a b"}`, 400, "bad_idempotency_key", `idempotency_key is "a b": want 1 to 255 bytes of visible ASCII`, 0},
		{`{"topic":"a","data":"x","idempotency_key":"` + strings.Repeat("k", 256) + `"}`, 400, "bad_idempotency_key", `idempotency_key has 256 bytes, limit 255`, 0},
		{`{"topic":"a","idempotency_key":7}`, 400, "bad_json", `field "idempotency_key" is number, want string`, 0},
		{`{"data":"x"}`, 400, "bad_topic", `no topic: want "topic" or "topics"`, 0},
		{`{}`, 400, "bad_topic", `no topic: want "topic" or "topics"`, 0},
		{`{"topics":[],"data":"x"}`, 400, "bad_topic", `no topic: want "topic" or "topics"`, 0},
		{`{"topic":"","data":"x"}`, 400, "bad_topic", `topic "": empty`, 0},
		{`{"topic":"","topics":["a"]}`, 400, "bad_topic", `topic "": empty`, 0},
		{`{"topic":"a/*","data":"x"}`, 400, "bad_topic", `topic "a/*": "*" in a name at byte 2`, 0},
		{`{"topics":["a","b\nc"]}`, 400, "bad_topic", `topic "b\nc": control character U+000A at byte 1`, 0},
		{`{"topics":["a","weir/stats"]}`, 400, "bad_topic", `topic "weir/stats": the prefix weir/ is reserved for the server`, 0},
		{`{"topic":"a","id":"1\n2"}`, 400, "bad_id", `id "1\n2": line feed at byte 1`, 0},
		{`{"topic":"a","id":"abcdefgh-7"}`, 400, "bad_id", `"abcdefgh-7" has the form of the server's own IDs`, 0},
		{`{"topic":"a","type":"\r"}`, 400, "bad_type", `event "\r": carriage return at byte 0`, 0},
		{`{"topics":["a","b","c","d"]}`, 413, "too_large", `message has 4 topics, limit 3`, 3},
		{`{"topic":"a","data":"` + strings.Repeat("x", 1001) + `"}`, 413, "too_large", `message is 1001 bytes, limit 1000`, 1000},
		{`{"topic":"a","key":"` + strings.Repeat("x", 1025) + `"}`, 413, "too_large", `ID, type, key and idempotency key have 1025 bytes, limit 1024`, 1024},
		{`{"topic":"a","data":"` + strings.Repeat(" ", 71_600) + `"}`, 413, "too_large", `line is more than 71536 bytes, the limit`, 71536},
	} {
		s := serve(t, hub.Options{})
		a := s.post(t, "{\"topic\":\"a\",\"data\":\"before\"}\n\n"+c.line+"\n{\"topic\":\"a\",\"data\":\"after\"}\n")
		shown := fmt.Sprintf("%.60q", c.line)
		if a.status != c.status || a.Code != c.code || a.Detail != c.detail || a.Limit != c.limit {
			t.Errorf("%s:\n got %d %s %s (limit %d)\nwant %d %s %s (limit %d)", shown, a.status, a.Code, a.Detail, a.Limit, c.status, c.code, c.detail, c.limit)
		}
		if a.Line != 3 || a.Published == nil || *a.Published != 1 || normal([]byte(a.LastID)) != "epochxyz-1" {
			t.Errorf("%s: the answer is %s, want line 3, 1 published and its ID", shown, a.body)
		}
		if got := s.data(t, "**"); !slices.Equal(got, []string{"before"}) {
			t.Errorf("%s: kept %q, want only what came before", shown, got)
		}
	}
}

// TestFirstLineMayBeTheBadOne counts from 1, and says that nothing was published.
func TestFirstLineMayBeTheBadOne(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, line := range []string{"x", `{"topic":"a","data":"` + strings.Repeat("x", 100_000) + `"}`} {
		a := s.post(t, line)
		if a.Line != 1 || a.Published == nil || *a.Published != 0 || a.LastID != "" || strings.Contains(a.body, "last_id") {
			t.Errorf("%.20q: the answer is %s, want line 1 and 0 published", line, a.body)
		}
	}
}

// TestLineEndsOfAllKinds reads the same two messages from bodies that differ in
// their line ends.
func TestLineEndsOfAllKinds(t *testing.T) {
	const one, two = `{"topic":"a","data":"1"}`, `{"topic":"a","data":"2"}`
	for _, body := range []string{
		one + "\n" + two + "\n",
		one + "\n" + two, // no end of the last line
		one + "\r\n" + two + "\r\n",
		one + "\r\n" + two + "\r",
		"\n\r\n \n" + one + "\n\n\n\t\n" + two + "\n\n",
	} {
		s := serve(t, hub.Options{})
		a := s.post(t, body)
		if want := `{"published":2,"last_id":"epochxyz-2"}` + "\n"; a.status != 200 || normal([]byte(a.body)) != want {
			t.Errorf("%q: %d %s, want %s", body, a.status, a.body, want)
		}
		if got := s.data(t, "a"); !slices.Equal(got, []string{"1", "2"}) {
			t.Errorf("%q: kept %q", body, got)
		}
	}
}

// TestNothingToPublishIsNoError answers bodies without messages.
func TestNothingToPublishIsNoError(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, body := range []string{"", "\n", "\r\n\r\n  "} {
		if a := s.post(t, body); a.status != 200 || a.body != "{\"published\":0}\n" {
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	}
}

// TestContentTypesOfLines publishes with each type that means JSON lines, and with
// none.
func TestContentTypesOfLines(t *testing.T) {
	for _, header := range [][]string{
		nil,
		{"Content-Type: application/x-ndjson"},
		{"Content-Type: application/x-ndjson; charset=utf-8"},
		{"Content-Type: Application/JSON;charset=UTF-8"},
		{"Content-Type: application/jsonl"},
		{"Content-Type: application/json-lines"},
		{"Content-Type: application/x-ndjson", "Content-Encoding: identity"},
	} {
		s := serve(t, hub.Options{})
		a := s.ask(t, request{"POST", "/v1/events", header, lines(3)})
		if want := `{"published":3,"last_id":"epochxyz-3"}` + "\n"; a.status != 200 || normal([]byte(a.body)) != want || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %s %s", header, a.status, a.header, a.body)
		}
	}
}

// TestLinesBeforeACutBodyAreKept closes the connection at a line end and within a
// line, with both ways to delimit a body.
func TestLinesBeforeACutBodyAreKept(t *testing.T) {
	for _, c := range []struct{ name, framing, sent string }{
		{"length, within a line", "Content-Length: 1000", "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\",\"da"},
		{"length, at a line end", "Content-Length: 1000", "{\"topic\":\"a\",\"data\":\"1\"}\n"},
		{"chunks, whole line without its end", "Transfer-Encoding: chunked", "35\r\n{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\",\"data\":\"lost?\"}\r\n"},
		{"chunks, within a chunk", "Transfer-Encoding: chunked", "ff\r\n{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, hub.Options{})
			nc := s.dial(t)
			r := request{"POST", "/v1/events", []string{ndjson, c.framing}, ""}
			if _, err := io.WriteString(nc, r.head()+c.sent); err != nil {
				t.Fatal(err)
			}
			_ = nc.(*net.TCPConn).CloseWrite() // so that the answer can still be read
			a := whole(t, readResponse(t, nc, "POST"))
			if a.status != 400 || a.Code != "bad_body" || a.Line != 2 || a.Published == nil || *a.Published != 1 {
				t.Errorf("%d %s, want 400 bad_body for line 2", a.status, a.body)
			}
			if got := s.data(t, "a"); !slices.Equal(got, []string{"1"}) {
				t.Errorf("kept %q, want the whole line alone", got)
			}
		})
	}
}

// TestLinesAreDeliveredAsTheyArrive sends one line at a time over one request: a
// reader gets each before the next is sent.
func TestLinesAreDeliveredAsTheyArrive(t *testing.T) {
	s := serve(t, hub.Options{})
	body := bufio.NewReader(s.open(t, request{"GET", "/v1/topics/a", []string{"Accept: text/plain"}, ""}).Body)
	eventually(t, "the reader follows", func() bool { return s.hub.Stats().Readers == 1 })
	nc := s.dial(t)
	r := request{"POST", "/v1/events", []string{ndjson, "Transfer-Encoding: chunked"}, ""}
	if _, err := io.WriteString(nc, r.head()); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		// The line comes in two pieces, the second of which begins the next line.
		line := fmt.Sprintf("\"topic\":\"a\",\"data\":\"%d\"}\n{", i)
		if i == 0 {
			line = "{" + line
		}
		for _, piece := range []string{line[:10], line[10:]} {
			if _, err := fmt.Fprintf(nc, "%x\r\n%s\r\n", len(piece), piece); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := readLine(t, body), fmt.Sprintf("%d\n", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
	if _, err := io.WriteString(nc, "c\r\n\"topic\":\"a\"}\r\n0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if a := whole(t, readResponse(t, nc, "POST")); normal([]byte(a.body)) != `{"published":6,"last_id":"epochxyz-6"}`+"\n" {
		t.Errorf("the answer is %d %s", a.status, a.body)
	}
}

// TestManyLinesInOneRequest publishes 100,000 lines, for which the socket's deadline
// is generous, and counts them.
func TestManyLinesInOneRequest(t *testing.T) {
	const n = 100_000
	s := serve(t, hub.Options{History: eventlog.Options{Default: hub.Retention{MaxEntries: 2 * n}}})
	a := s.post(t, lines(n))
	if want := fmt.Sprintf(`{"published":%d,"last_id":"epochxyz-%d"}`+"\n", n, n); a.status != 200 || normal([]byte(a.body)) != want {
		t.Fatalf("%d %s, want %s", a.status, a.body, want)
	}
	for i, data := range s.data(t, "a") {
		if data != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, data)
		}
	}
}

// TestBadLineIsAnsweredWhileTheClientSends keeps the body open behind a bad line:
// the answer comes nevertheless, and the connection is closed.
func TestBadLineIsAnsweredWhileTheClientSends(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, more := range []string{"", lines(2000), lines(100_000)} { // silence, some, and more than anybody reads
		nc := s.dial(t)
		r := request{"POST", "/v1/events", []string{ndjson, "Transfer-Encoding: chunked"}, ""}
		if _, err := io.WriteString(nc, r.head()+"5\r\noops\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if more != "" {
			go fmt.Fprintf(nc, "%x\r\n%s\r\n", len(more), more) // fails when the connection is closed
		}
		a := whole(t, readResponse(t, nc, "POST"))
		if a.status != 400 || a.Line != 1 {
			t.Errorf("with %d bytes behind it: %d %s", len(more), a.status, a.body)
		}
		if !a.close {
			t.Errorf("with %d bytes behind it: the connection is kept, although the body has no end", len(more))
		}
	}
	if got := s.data(t, "**"); got != nil {
		t.Errorf("lines behind a bad one were published: %q", got)
	}
}

// TestConnectionServesOnAfterARefusal sends requests that are refused before their
// body is read, and then a good one, on one connection.
func TestConnectionServesOnAfterARefusal(t *testing.T) {
	s := serve(t, hub.Options{})
	nc := s.dial(t)
	in := bufio.NewReader(nc)
	for _, r := range []request{
		{"POST", "/v1/events", []string{ndjson, "Content-Length: 5"}, "oops\n"},
		{"POST", "/v1/topics/a?x=y", []string{"Content-Length: 5"}, "12345"},
		{"POST", "/v1/events", []string{"Content-Type: text/plain", "Content-Length: 1000"}, strings.Repeat("x", 1000)},
		{"DELETE", "/v1/topics/*", []string{"Transfer-Encoding: chunked"}, "3\r\nabc\r\n0\r\n\r\n"},
		{"POST", "/v1/topics/a", []string{"Content-Length: 5"}, "hello"},
	} {
		if _, err := io.WriteString(nc, r.head()+r.body); err != nil {
			t.Fatal(err)
		}
		resp, err := readFrom(in, r.method)
		if err != nil {
			t.Fatalf("%s %s: %v", r.method, r.target, err)
		}
		a := whole(t, resp)
		if good := r.body == "hello"; good != (a.status == 201) || !good && a.status < 400 {
			t.Errorf("%s %s: %d %s", r.method, r.target, a.status, a.body)
		}
	}
}
