package native_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// messages are one of each kind that the wire forms treat differently.
func messages() []hub.Message {
	return []hub.Message{
		{Topics: []string{"a"}, Data: []byte("hello")},
		{Topics: []string{"a", "b/c"}, Type: "price", Key: "17", Retry: 5 * time.Second, Data: []byte(`{"eur":17}`)},
		{Topics: []string{"a"}, ID: "mine", Data: []byte("two\nlines\r\nthree\rfour <&> 🌊")},
		{Topics: []string{"a"}, Data: []byte("\xff\x00")},
		{Topics: []string{"a"}, Data: nil},
	}
}

const eventsGolden = `retry: 2000
id: epochxyz-0

id: epochxyz-1
data: hello

event: price
id: epochxyz-2
retry: 5000
data: {"eur":17}

id: mine
data: two
data: lines
data: three
data: four <&> 🌊

id: epochxyz-4
data: data:application/octet-stream;base64,/wA=

id: epochxyz-5
data:` + " \n\n"

const envelopeGolden = `retry: 2000
id: epochxyz-0

id: epochxyz-1
data: {"id":"epochxyz-1","topic":"a","time":"2006-01-02T15:04:05.000Z","data":"hello"}

id: epochxyz-2
retry: 5000
data: {"id":"epochxyz-2","topic":"a","topics":["a","b/c"],"type":"price","key":"17","time":"2006-01-02T15:04:05.000Z","data":"{\"eur\":17}"}

id: mine
data: {"id":"mine","topic":"a","time":"2006-01-02T15:04:05.000Z","data":"two\nlines\r\nthree\rfour <&> 🌊"}

id: epochxyz-4
data: {"id":"epochxyz-4","topic":"a","time":"2006-01-02T15:04:05.000Z","base64":true,"data":"/wA="}

id: epochxyz-5
data: {"id":"epochxyz-5","topic":"a","time":"2006-01-02T15:04:05.000Z","data":""}

`

const linesGolden = `{"ready":{"id":"epochxyz-0"}}
{"id":"epochxyz-1","topic":"a","time":"2006-01-02T15:04:05.000Z","data":"hello"}
{"id":"epochxyz-2","topic":"a","topics":["a","b/c"],"type":"price","key":"17","time":"2006-01-02T15:04:05.000Z","data":"{\"eur\":17}"}
{"id":"mine","topic":"a","time":"2006-01-02T15:04:05.000Z","data":"two\nlines\r\nthree\rfour <&> 🌊"}
{"id":"epochxyz-4","topic":"a","time":"2006-01-02T15:04:05.000Z","base64":true,"data":"/wA="}
{"id":"epochxyz-5","topic":"a","time":"2006-01-02T15:04:05.000Z","data":""}
`

const textGolden = "hello\n{\"eur\":17}\ntwo\nlines\r\nthree\rfour <&> 🌊\n\xff\x00\n\n"

// forms are the wire forms: how to ask for them, and what they look like.
var forms = []struct {
	name, accept, query, contentType string
	golden                           string // of a stream from the start
	farewell                         string // of a server that stops
	poll                             string // of a poll from the start
}{
	{"events", "text/event-stream", "", "text/event-stream", eventsGolden, "retry: 500\n\n", afterReady(eventsGolden)},
	{"events by default", "*/*", "", "text/event-stream", eventsGolden, "retry: 500\n\n", afterReady(eventsGolden)},
	{"envelope", "text/event-stream", "&envelope=true", "text/event-stream", envelopeGolden, "retry: 500\n\n", afterReady(envelopeGolden)},
	{"lines", "application/x-ndjson", "", "application/x-ndjson", linesGolden, "{\"drain\":{\"retry_ms\":500}}\n", afterReady(linesGolden)},
	{"lines are envelopes", "application/x-ndjson", "&envelope=true", "application/x-ndjson", linesGolden, "{\"drain\":{\"retry_ms\":500}}\n", afterReady(linesGolden)},
	{"text", "text/plain", "", "text/plain; charset=utf-8", textGolden, "", textGolden},
}

// afterReady returns a stream without its first block or line.
func afterReady(stream string) string {
	if _, rest, ok := strings.Cut(stream, "epochxyz-0\n\n"); ok {
		return rest
	}
	_, rest, _ := strings.Cut(stream, "\n")
	return rest
}

// TestStreamsLookLikeThis reads a stream of each form from its first byte to its
// clean end.
func TestStreamsLookLikeThis(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t, hub.Options{})
			s.publish(t, messages()...)
			resp := s.open(t, request{"GET", "/v1/topics/a?since=start" + f.query, []string{"Accept: " + f.accept}, ""})
			for name, want := range map[string]string{
				"Content-Type":           f.contentType,
				"Cache-Control":          "no-cache, no-store, no-transform",
				"X-Accel-Buffering":      "no",
				"X-Content-Type-Options": "nosniff",
				"Vary":                   "Accept",
			} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if got := readNormal(t, resp.Body, f.golden); got != f.golden {
				t.Errorf("stream is\n%s\nwant\n%s", got, f.golden)
			}
			s.engine.End(0)
			rest, err := io.ReadAll(resp.Body)
			if err != nil || string(rest) != f.farewell {
				t.Errorf("the end is %q, %v, want %q and a clean end", rest, err, f.farewell)
			}
		})
	}
}

// TestFirstBytesAreExact looks at the socket: head, framing and first block.
func TestFirstBytesAreExact(t *testing.T) {
	s := serve(t, hub.Options{})
	nc := s.dial(t)
	r := request{"GET", "/v1/topics/a", []string{"Accept: text/event-stream"}, ""}
	if _, err := io.WriteString(nc, r.head()); err != nil {
		t.Fatal(err)
	}
	want := "HTTP/1.1 200 OK\r\n" +
		"Cache-Control: no-cache, no-store, no-transform\r\n" +
		"Connection: keep-alive\r\n" +
		"Content-Type: text/event-stream\r\n" +
		"Date: Mon, 02 Jan 2006 15:04:05 GMT\r\n" +
		"Transfer-Encoding: chunked\r\n" +
		"Vary: Accept\r\n" +
		"X-Accel-Buffering: no\r\n" +
		"X-Content-Type-Options: nosniff\r\n" +
		"\r\n" +
		"1c\r\nretry: 2000\nid: epochxyz-0\n\n\r\n"
	if got := readNormal(t, nc, want); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

// TestPollsLookLikeThis is TestStreamsLookLikeThis for long polls.
func TestPollsLookLikeThis(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t, hub.Options{})
			s.publish(t, messages()...)
			r := request{"GET", "/v1/topics/a?since=start&wait=0s" + f.query, []string{"Accept: " + f.accept}, ""}
			a := s.ask(t, r)
			if got := normal([]byte(a.body)); a.status != 200 || got != f.poll {
				t.Errorf("%d\n%s\nwant 200\n%s", a.status, got, f.poll)
			}
			for name, want := range map[string]string{
				"Content-Type":           f.contentType,
				"Cache-Control":          "no-store",
				"X-Content-Type-Options": "nosniff",
				"Vary":                   "Accept",
				"Weir-Last-Event-Id":     "epochxyz-5",
			} {
				if got := normal([]byte(a.header.Get(name))); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestGapIsSaidInEachForm asks for a position in another log.
func TestGapIsSaidInEachForm(t *testing.T) {
	const gap = `{"reason":"foreign","requested":"otherlog-7","oldest":"epochxyz-1","newest":"epochxyz-1","policy":"diff"}`
	event := "event: weir.gap\nid: epochxyz-0\ndata: " + gap + "\n\n"
	want := map[string]string{
		"events":              event + "id: epochxyz-1\ndata: x\n\n",
		"events by default":   event + "id: epochxyz-1\ndata: x\n\n",
		"envelope":            event + "id: epochxyz-1\ndata: {\"id\":\"epochxyz-1\",\"topic\":\"a\",\"time\":\"2006-01-02T15:04:05.000Z\",\"data\":\"x\"}\n\n",
		"lines":               "{\"gap\":" + gap + "}\n{\"id\":\"epochxyz-1\",\"topic\":\"a\",\"time\":\"2006-01-02T15:04:05.000Z\",\"data\":\"x\"}\n",
		"lines are envelopes": "{\"gap\":" + gap + "}\n{\"id\":\"epochxyz-1\",\"topic\":\"a\",\"time\":\"2006-01-02T15:04:05.000Z\",\"data\":\"x\"}\n",
		"text":                "weir.gap " + gap + "\nx\n",
	}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t, hub.Options{})
			s.publish(t, text("a", "x"))
			r := request{"GET", "/v1/topics/a?last_event_id=otherlog-7&wait=0s" + f.query, []string{"Accept: " + f.accept}, ""}
			got := strings.ReplaceAll(normal([]byte(s.ask(t, r).body)), `"requested":"epochxyz-7"`, `"requested":"otherlog-7"`)
			if got != want[f.name] {
				t.Errorf("poll is\n%s\nwant\n%s", got, want[f.name])
			}
			r.target = strings.Replace(r.target, "&wait=0s", "", 1)
			body := bufio.NewReader(s.open(t, r).Body)
			streamed := want[f.name]
			switch {
			case strings.HasPrefix(f.name, "lines"): // where the notice has no ID of its own
				streamed = strings.Replace(streamed, "}}\n", "}}\n{\"ready\":{\"id\":\"epochxyz-0\"}}\n", 1)
			case f.name != "text":
				readLine(t, body) // retry; nothing moves the reader before it has the notice
			}
			got = strings.ReplaceAll(readNormal(t, body, streamed), `"requested":"epochxyz-7"`, `"requested":"otherlog-7"`)
			if got != streamed {
				t.Errorf("stream is\n%s\nwant\n%s", got, streamed)
			}
		})
	}
}

// TestLiveMessagesLookLikeReplayedOnes publishes after the reader has come.
func TestLiveMessagesLookLikeReplayedOnes(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			s := serve(t, hub.Options{})
			resp := s.open(t, request{"GET", "/v1/events?topic=a&topic=b/*" + f.query, []string{"Accept: " + f.accept}, ""})
			eventually(t, "the reader follows", func() bool { return s.hub.Stats().Readers == 1 })
			for _, m := range messages() {
				if _, err := s.hub.Publish(context.Background(), m); err != nil {
					t.Fatal(err)
				}
			}
			if got := readNormal(t, resp.Body, f.golden); got != f.golden {
				t.Errorf("stream is\n%s\nwant\n%s", got, f.golden)
			}
		})
	}
}
