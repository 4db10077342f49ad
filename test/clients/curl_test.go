package clients_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// curl starts curl -N, that is, without a buffer of its own.
func curl(t *testing.T, args ...string) *program {
	t.Helper()
	return start(t, append([]string{proctest.Need(t, "curl"), "-sS", "-N"}, args...)...)
}

// curlOnce runs curl to its end and returns what it printed.
func curlOnce(t *testing.T, args ...string) string {
	t.Helper()
	p := curl(t, args...)
	p.In.Close()
	if code := p.code(); code != 0 {
		t.Fatalf("%s: exit code %d, %s", p.Name, code, p.Err)
	}
	return p.Out.String()
}

// split separates the head of an answer, as curl -i prints it, from the body.
func split(t *testing.T, text string) (head, body string) {
	t.Helper()
	head, body, ok := strings.Cut(text, "\r\n\r\n")
	if !ok {
		t.Fatalf("no end of the head in %q", text)
	}
	return strings.ToLower(head), body
}

func expectIn(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

func TestCurlHasTheFirstBytesAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := curl(t, "-i", s.topicURL("a"))
	c.awaitText(c.Out, "\nid: ") // nobody has published anything
	c.awaitText(c.Out, "\n\n")
	id := s.publish("a", "one\ntwo", "type=t")
	c.awaitText(c.Out, "two\n\n")
	s.terminate()
	if code := c.code(); code != 0 { // 18 would mean that the answer was cut off
		t.Errorf("curl ends with code %d: %s", code, c.Err)
	}
	head, body := split(t, c.Out.String())
	expectIn(t, head, "http/1.1 200 ok", "content-type: text/event-stream", "cache-control: no-cache", "transfer-encoding: chunked")
	want := `^retry: \d+\nid: \w{8}-\d+\n\nevent: t\nid: ` + id + `\ndata: one\ndata: two\n\nretry: \d+\n\n$`
	if !regexp.MustCompile(want).MatchString(body) {
		t.Errorf("the body is %q, want %s", body, want)
	}
}

func TestChunkedFramingIsExact(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := curl(t, "--raw", s.topicURL("a")+"?since=start")
	c.awaitText(c.Out, "\n\n")
	s.publishNumbers("a", 1, 100)
	s.publish("a", strings.Repeat("x", 300_000), "")
	s.publishNumbers("a", 101, 200)
	c.awaitText(c.Out, "data: 200\n\n")
	s.terminate()
	c.code()
	framed := bufio.NewReader(strings.NewReader(c.Out.String()))
	body, err := io.ReadAll(httputil.NewChunkedReader(framed))
	if err != nil {
		t.Fatalf("after %d bytes of body: %v", len(body), err)
	}
	if rest, _ := io.ReadAll(framed); string(rest) != "\r\n" {
		t.Errorf("after the last chunk comes %q, want an empty line", rest)
	}
	if got := bytes.Count(body, []byte("\ndata: ")); got != 201 {
		t.Errorf("the body has %d messages, want 201", got)
	}
}

func TestCurlReadsJSONLines(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := curl(t, "-H", "Accept: application/x-ndjson", s.url+"/v1/events?topic=a/*&topic=b")
	c.awaitLines(1)
	first := s.publish("a/水", "one\ntwo", "type=t&key=k")
	second := s.publish("b", "\xff", "")
	s.publish("c", "for others", "")
	c.awaitLines(3)
	s.terminate()
	if code := c.code(); code != 0 {
		t.Errorf("curl ends with code %d: %s", code, c.Err)
	}
	var got []string
	for _, line := range c.Out.Lines() {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		delete(record, "time")
		text, _ := json.Marshal(record)
		got = append(got, string(text))
	}
	want := []string{
		got[0],
		fmt.Sprintf(`{"data":"one\ntwo","id":%q,"key":"k","topic":"a/水","type":"t"}`, first),
		fmt.Sprintf(`{"base64":true,"data":"/w==","id":%q,"topic":"b"}`, second),
		got[len(got)-1],
	}
	if !slices.Equal(got, want) {
		t.Errorf("curl got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	expectIn(t, got[0], `{"ready":{"id":`)
	expectIn(t, got[len(got)-1], `{"drain":{"retry_ms":`)
}

func TestCurlReadsPlainText(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.publishNumbers("a", 1, 3)
	c := curl(t, "-H", "Accept: text/plain", s.topicURL("a")+"?last=2")
	c.awaitText(c.Out, "2\n3\n")
	s.publishNumbers("a", 4, 4)
	c.awaitText(c.Out, "2\n3\n4\n")
}

func TestOldHTTPReadsUntilTheConnectionCloses(t *testing.T) {
	t.Parallel()
	s := serve(t)
	c := curl(t, "-i", "-0", s.topicURL("a"))
	c.awaitText(c.Out, "\nid: ")
	s.publish("a", "hello", "")
	c.awaitText(c.Out, "data: hello\n\n")
	s.terminate()
	if code := c.code(); code != 0 {
		t.Errorf("curl ends with code %d: %s", code, c.Err)
	}
	head, body := split(t, c.Out.String())
	expectIn(t, body, "\ndata: hello\n\nretry: ")
	if strings.Contains(head, "transfer-encoding") || !strings.HasPrefix(body, "retry: ") {
		t.Errorf("HTTP/1.0 got the head %q and %q, want a plain body", head, body)
	}
}

func TestCurlPublishesAndInspects(t *testing.T) {
	t.Parallel()
	s := serve(t)
	dir := t.TempDir()
	content := "first line\r\nsecond line, 水坝 🌊\n\x00\x01"
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var kept struct{ ID string }
	head, body := split(t, curlOnce(t, "-i", "--data-binary", "@"+file, s.topicURL("a")+"?type=upload"))
	if err := json.Unmarshal([]byte(body), &kept); err != nil || kept.ID == "" {
		t.Errorf("publish answers %q, %v", body, err)
	}
	expectIn(t, head, "201 created", "location: /v1/topics/a")

	lines := filepath.Join(dir, "lines")
	const three = `{"topic":"a","data":"x"}` + "\n" + `{"topics":["a","b"],"data":{"k":[1, 2]}}` + "\n" + `{"topic":"a","base64":true,"data":"AP8="}`
	if err := os.WriteFile(lines, []byte(three), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := curlOnce(t, "--data-binary", "@"+lines, "-H", "Content-Type: application/x-ndjson", s.url+"/v1/events")
	expectIn(t, answer, `"published":3`, `"last_id":"`)

	head, _ = split(t, curlOnce(t, "-I", s.topicURL("a")))
	expectIn(t, head, "200 ok", "weir-messages: 4", "weir-oldest-id: "+kept.ID)
	got := curlOnce(t, "-H", "Accept: application/x-ndjson", s.topicURL("a")+"?since=start&wait=0s")
	expectIn(t, got, `"data":"first line\r\nsecond line, 水坝 🌊\n\u0000\u0001"`, `"data":"{\"k\":[1,2]}"`, `"base64":true,"data":"AP8="`)

	head, _ = split(t, curlOnce(t, "-i", "-X", "DELETE", s.topicURL("a")))
	expectIn(t, head, "204 no content")
	head, _ = split(t, curlOnce(t, "-I", s.topicURL("a")))
	expectIn(t, head, "weir-messages: 0")
	answer = curlOnce(t, "-i", "-d", "x", s.url+"/v1/topics/a//b")
	expectIn(t, answer, "400 Bad Request", "application/problem+json", `"code":"bad_topic"`)
}

func TestUploadedLinesArePublishedAsTheyArrive(t *testing.T) {
	t.Parallel()
	s := serve(t)
	reader := curl(t, "-H", "Accept: text/plain", s.topicURL("a")+"?since=start")
	upload := curl(t, "-X", "POST", "-H", "Content-Type: application/x-ndjson", "-T", ".", s.url+"/v1/events")
	for i := 1; i <= 3; i++ {
		upload.write(fmt.Sprintf("{\"topic\":\"a\",\"data\":\"%d\"}\n", i))
		reader.awaitLines(i) // while the upload goes on
	}
	upload.write("{\"topic\":\"a\"\n")
	upload.In.Close()
	upload.code()
	expectIn(t, upload.Out.String(), `"code":"bad_json"`, `"line":4`, `"published":3`)
	checkCount(t, "curl", reader.Out.Lines(), 3)
}

func TestServerListensOnAUnixSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp(scratch, "s") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "weir.sock")
	s := serve(t, "--listen", "unix:"+socket)
	c := curl(t, "--unix-socket", socket, "http://localhost/v1/topics/a")
	c.awaitText(c.Out, "\n\n")
	expectIn(t, curlOnce(t, "--unix-socket", socket, "-d", "by socket", "http://localhost/v1/topics/a"), `{"id":`)
	s.publish("a", "by TCP", "")
	pub := start(t, weirPath, "pub", "--server", "unix:"+socket, "a", "by weir pub")
	if code := pub.code(); code != 0 {
		t.Errorf("weir pub by the socket: exit code %d", code)
	}
	c.awaitText(c.Out, "by weir pub\n\n")
	var got []string
	for line := range strings.SplitSeq(c.Out.String(), "\n") {
		if text, ok := strings.CutPrefix(line, "data: "); ok {
			got = append(got, text)
		}
	}
	if want := []string{"by socket", "by TCP", "by weir pub"}; !slices.Equal(got, want) {
		t.Errorf("curl by the socket got %q, want %q", got, want)
	}
	s.terminate()
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("the socket is still there after the server has stopped: %v", err)
	}
}
