package attack_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestJSONBombsAreRefused sends lines that cost a careless parser its stack, its memory
// or its wits. want is the status; data is what is published, if anything is.
func TestJSONBombsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	check := s.growth(96 << 20)
	nested := func(open, shut string, n int) string { return strings.Repeat(open, n) + strings.Repeat(shut, n) }
	for _, c := range []struct {
		name, line string
		want       int
		data       []string
	}{
		{"a million brackets", strings.Repeat("[", 1_000_000), 400, nil},
		{"a million braces", strings.Repeat(`{"a":`, 1_000_000), 400, nil},
		{"deep data", `{"topic":"T","data":` + nested("[", "]", 500_000) + `}`, 400, nil},
		{"deep objects as data", `{"topic":"T","data":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + `}`, 400, nil},
		{"less deep data", `{"topic":"T","data":` + nested("[", "]", 1000) + `}`, 200, []string{nested("[", "]", 1000)}},
		{"deep unknown field", `{"topic":"T","x":` + nested("[", "]", 500_000) + `,"data":""}`, 400, nil},
		{"deep text for topics", `{"topics":` + nested("[", "]", 5_000) + `,"data":""}`, 400, nil},
		{"a long number as data", `{"topic":"T","data":` + strings.Repeat("9", 100_000) + `}`, 200, []string{strings.Repeat("9", 100_000)}},
		{"a number beyond floats as data", `{"topic":"T","data":1e999999999}`, 200, []string{"1e999999999"}},
		{"a number beyond integers", `{"topic":"T","data":"","retry":99999999999999999999999}`, 400, nil},
		{"an exponent", `{"topic":"T","data":"","retry":1e400}`, 400, nil},
		{"a fraction", `{"topic":"T","data":"","retry":0.5}`, 400, nil},
		{"not a number", `{"topic":"T","data":NaN}`, 400, nil},
		{"a leading zero", `{"topic":"T","data":01}`, 400, nil},
		{"two objects", `{"topic":"T","data":"a"}{"topic":"T","data":"b"}`, 400, nil},
		{"a comment", `{"topic":"T",/**/"data":"a"}`, 400, nil},
		{"a comma too many", `{"topic":"T","data":"a",}`, 400, nil},
		{"single quotes", `{'topic':'T','data':'a'}`, 400, nil},
		{"a byte order mark", "\ufeff" + `{"topic":"T","data":"a"}`, 400, nil},
		{"invalid UTF-8", `{"topic":"T","data":"` + "\xff\xfe" + `"}`, 400, nil},
		{"overlong UTF-8", `{"topic":"T","data":"` + "\xc0\xae" + `"}`, 400, nil},
		{"surrogates in UTF-8", `{"topic":"T","data":"` + "\xed\xa0\x80" + `"}`, 400, nil},
		{"a lone surrogate", `{"topic":"T","data":"a\ud800b"}`, 200, []string{"a\ufffdb"}},
		{"a lone surrogate in the topic", `{"topic":"T\ud800","data":"a"}`, 200, nil},
		{"a control character", "{\"topic\":\"T\",\"data\":\"a\x00b\"}", 400, nil},
		{"an escaped NUL in the topic", `{"topic":"T\u0000","data":"a"}`, 400, nil},
		{"an escaped line end in the topic", `{"topic":"T\n","data":"a"}`, 400, nil},
		{"an escaped line end in the ID", `{"topic":"T","id":"1\n2","data":"a"}`, 400, nil},
		{"an escaped line end in the type", `{"topic":"T","type":"1\r2","data":"a"}`, 400, nil},
		{"the topic twice", `{"topic":"weir/x","topic":"T","data":"a"}`, 200, []string{"a"}},
		{"the topic twice, the reserved one last", `{"topic":"T","topic":"weir/x","data":"a"}`, 400, nil},
		{"the topic in capitals", `{"topic":"T","TOPIC":"weir/x","data":"a"}`, 400, nil},
		{"the topic in escapes", `{"\u0074opic":"weir/x","data":"a"}`, 400, nil},
		{"a reserved topic in escapes", `{"topic":"\u0077eir/x","data":"a"}`, 400, nil},
		{"a reserved topic among others", `{"topics":["T","weir/x"],"data":"a"}`, 400, nil},
		{"an own field of objects", `{"topic":"T","__proto__":{"admin":true},"data":"a"}`, 400, nil},
		{"base64 that is none", `{"topic":"T","base64":true,"data":"!!!!"}`, 400, nil},
		{"a string of escapes beyond the limit", `{"topic":"T","data":"` + strings.Repeat(`\u0061`, 1<<20+1) + `"}`, 413, nil},
		{"data beyond the limit", `{"topic":"T","data":"` + strings.Repeat("a", 2<<20) + `"}`, 413, nil},
		{"a null", `null`, 400, nil},
		{"all null", `{"topic":null,"topics":null,"data":null}`, 400, nil},
	} {
		topic := freshTopic()
		status, body := s.ask("POST", "/v1/events", "application/x-ndjson", strings.ReplaceAll(c.line, "T", topic)+"\n")
		if status != c.want || len(body) > 1000 {
			t.Errorf("%s: %d %.300q, want %d", c.name, status, body, c.want)
		}
		if kept := s.kept(topic); fmt.Sprint(kept) != fmt.Sprint(c.data) {
			t.Errorf("%s: published is %.200q", c.name, kept)
		}
	}
	if status, body := s.ask("GET", "/v1/topics/**?since=start&wait=0s", "application/x-ndjson", ""); status != 200 || !utf8.ValidString(body) {
		t.Errorf("all that was published: %d, valid UTF-8 %v", status, utf8.ValidString(body))
	}
	if status, body := s.ask("GET", "/v1/topics/weir/x?since=start&wait=0s", "application/x-ndjson", ""); status != 200 || strings.Contains(body, `"data"`) {
		t.Errorf("below weir/: %d %s", status, body)
	}
	check()
	s.alive()
}

// endless gives the same bytes again and again, at most n.
func endless(text string, n int) io.Reader {
	var all []io.Reader
	block := strings.Repeat(text, 1<<20/len(text))
	for ; n > 0; n -= len(block) {
		all = append(all, strings.NewReader(block))
	}
	return io.MultiReader(all...)
}

// TestEndlessBodiesAreBounded sends 100 MB in places where some of it has to be held.
func TestEndlessBodiesAreBounded(t *testing.T) {
	t.Parallel()
	const n = 100 << 20
	s := serve(t, "--page=false")
	check := s.growth(96 << 20)
	for _, c := range []struct {
		name, method, target, contentType, text string
		want                                    int
	}{
		{"a line without an end", "POST", "/v1/events", "application/x-ndjson", "a", 413},
		{"a line of JSON without an end", "POST", "/v1/events", "application/x-ndjson", `{"topic":`, 413},
		{"a message", "POST", "/v1/topics/a", "text/plain", "a", 413},
		{"a form", "POST", "/v1/events", "application/x-www-form-urlencoded", "topic=a&", 413},
		{"a stream's first content", "PUT", "/v1/streams/b", "text/plain", "a", 413},
		{"an append", "POST", "/v1/streams/b", "text/plain", "a", 0},
		{"what nobody reads", "POST", "/v1/nothing", "text/plain", "a", 404},
	} {
		req, err := http.NewRequest(c.method, s.url+c.target, endless(c.text, n))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", c.contentType)
		resp, err := s.http.Do(req)
		if err != nil { // the server has closed while the client sent
			continue
		}
		if c.want != 0 && resp.StatusCode != c.want || resp.StatusCode < 400 {
			t.Errorf("%s: %d, want %d", c.name, resp.StatusCode, c.want)
		}
		resp.Body.Close()
	}
	check()
	s.alive()
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %d messages", len(kept))
	}
}

// TestNothingIsDecompressed: readers would get what they cannot read, and a small body
// would become a large one.
func TestNothingIsDecompressed(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.Copy(z, endless("a", 64<<20)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	check := s.growth(32 << 20)
	for _, target := range []string{"/v1/topics/a", "/v1/events"} {
		for _, coding := range []string{"gzip", "GZIP", "x-gzip", "br", "deflate", "zstd", "identity, gzip", "gzip, gzip"} {
			req, err := http.NewRequest("POST", s.url+target, bytes.NewReader(packed.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Encoding", coding)
			req.Header.Set("Content-Type", "application/x-ndjson")
			resp, err := s.http.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var p struct{ Code string }
			if err := json.NewDecoder(resp.Body).Decode(&p); err != nil || resp.StatusCode != 415 || p.Code != "unsupported_media_type" {
				t.Errorf("%s, %s: %d %q, %v", target, coding, resp.StatusCode, p.Code, err)
			}
			resp.Body.Close()
		}
	}
	check()
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %d messages", len(kept))
	}
}
