package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
)

// behaviours are what a client sees, the same however it reaches the server.
var behaviours = map[string]func(*testing.T, *site){
	"publish one":                       publishOne,
	"HEAD":                              askWhatIsKept,
	"publish line by line":              publishLineByLine,
	"follow in each form":               followForms,
	"resume":                            resume,
	"gap":                               tellGap,
	"long poll":                         longPoll,
	"a reader that leaves is noticed":   noticeLeaver,
	"drain":                             drainReaders,
	"a slow reader disturbs nobody":     sufferSlowReader,
	"a message of 1 MiB":                passLargeMessage,
	"durable streams":                   followDurable,
	"a refusal before the body is read": refuseUnreadBody,
	"a slow body":                       refuseSlowBody,
	"a connection after a stream":       reuseConnection,
	"a silent stream outlives the user timeout":  outliveUserTimeout,
	"the address of the client":                  logAddress,
	"a stream by POST":                           followByPost,
	"many streams and requests of one client":    followMany,
	"a publisher that uses one connection often": publishOften,
}

func publishOne(t *testing.T, s *site) {
	s.start(nil)
	resp, body := s.do(t, "POST", "/v1/topics/a/b", "hello", "Idempotency-Key: 1")
	if resp.StatusCode != 201 || resp.Header.Get("Location") != "/v1/topics/a/b" || resp.ProtoMajor != s.proto {
		t.Errorf("POST: %s %s %v %s", resp.Proto, resp.Status, resp.Header, body)
	}
	again, same := s.do(t, "POST", "/v1/topics/a/b", "hello", "Idempotency-Key: 1")
	if again.StatusCode != 200 || again.Header.Get("Idempotency-Replayed") != "true" || same != strings.Replace(body, "}", `,"duplicate":true}`, 1) {
		t.Errorf("the same again: %s %s, first %s", again.Status, same, body)
	}
	if resp, _ := s.do(t, "DELETE", "/v1/topics/a/b", ""); resp.StatusCode != 204 {
		t.Errorf("DELETE: %s", resp.Status)
	}
}

func askWhatIsKept(t *testing.T, s *site) {
	s.start(nil)
	id := s.publish(t, "a", "hello")
	for _, path := range []string{"/v1/topics/a", "/v1/events?topic=a"} {
		resp, body := s.do(t, "HEAD", path, "")
		if resp.StatusCode != 200 || resp.Header.Get("Weir-Newest-Id") != id || resp.Header.Get("Weir-Messages") != "1" || body != "" {
			t.Errorf("HEAD %s: %s %v %q", path, resp.Status, resp.Header, body)
		}
	}
	if n := s.Streams(); n != 0 {
		t.Errorf("HEAD leaves %d streams open", n)
	}
}

// publishLineByLine looks at each line before the next is sent.
func publishLineByLine(t *testing.T, s *site) {
	s.start(nil)
	reader := s.follow("/v1/topics/a", "text/plain")
	body, lines := io.Pipe()
	answer := make(chan string, 1)
	req := s.request(context.Background(), "POST", "/v1/events", body, "Content-Type: application/x-ndjson")
	go func() { answer <- s.answer(req) }()
	for i := range 3 {
		fmt.Fprintf(lines, "{\"topic\":\"a\",\"data\":\"line %d\"}\n", i)
		reader.want(fmt.Sprintf("line %d", i))
	}
	lines.Close()
	if got := <-answer; !strings.HasPrefix(got, `200 {"published":3,`) {
		t.Errorf("the request is answered with %s", got)
	}
}

// answer sends a request and returns status and body. Any goroutine.
func (s *site) answer(req *http.Request) string {
	resp, err := s.client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// followForms reads one stream of each form. A heartbeat comes to those that can carry one;
// in text all that comes is messages.
func followForms(t *testing.T, s *site) {
	set := s.settings()
	set.Stream.Heartbeat = time.Second
	s.start(set)
	events, lines := s.follow("/v1/topics/a", "text/event-stream"), s.follow("/v1/topics/a", "application/x-ndjson")
	text := s.follow("/v1/topics/a", "text/plain")
	if got := events.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Errorf("Content-Type %q", got)
	}
	events.until("retry: ")
	events.until("id: ")
	events.want("", ":")
	lines.until(`{"ready":`)
	lines.want("")
	id := s.publish(t, "a", "one\ntwo")
	events.until("id: " + id)
	events.want("data: one", "data: two", "")
	if got := lines.until("{"); !strings.HasPrefix(got, `{"id":"`+id+`","topic":"a",`) || !strings.HasSuffix(got, `"data":"one\ntwo"}`) {
		t.Errorf("the line is %s", got)
	}
	text.want("one", "two")
}

func resume(t *testing.T, s *site) {
	s.start(nil)
	first := s.publish(t, "a", "1")
	second := s.publish(t, "a", "2")
	third := s.publish(t, "a", "3")
	reader := s.follow("/v1/topics/a", "text/event-stream", "Last-Event-ID: "+first)
	if got := reader.until("id: "); got != "id: "+first {
		t.Errorf("the stream begins at %s, want %s", got, first)
	}
	reader.want("", "id: "+second, "data: 2", "", "id: "+third, "data: 3", "")
	s.publish(t, "a", "4")
	reader.until("data: 4")
}

func tellGap(t *testing.T, s *site) {
	s.start(nil)
	s.publish(t, "a", "1")
	reader := s.follow("/v1/topics/a", "text/event-stream", "Last-Event-ID: zzzzzzzz-7")
	reader.until("event: weir.gap")
	if got := reader.until("data: "); !strings.Contains(got, `"reason":"foreign","requested":"zzzzzzzz-7"`) {
		t.Errorf("the gap is %s", got)
	}
}

func longPoll(t *testing.T, s *site) {
	s.start(nil)
	began := time.Now()
	resp, body := s.do(t, "GET", "/v1/topics/a?wait=100ms", "")
	if took := time.Since(began); resp.StatusCode != 200 || body != "" || took < 100*time.Millisecond {
		t.Errorf("a poll with nothing to tell: %s %q after %v", resp.Status, body, took)
	}
	from := resp.Header.Get("Weir-Last-Event-Id")
	answer := make(chan string, 1)
	req := s.request(context.Background(), "GET", "/v1/topics/a?wait=1m&last_event_id="+from, nil, "Accept: text/plain")
	go func() { answer <- s.answer(req) }()
	time.Sleep(50 * time.Millisecond) // mostly the poll waits by now
	s.publish(t, "a", "hello")
	if got := <-answer; got != "200 hello\n" {
		t.Errorf("a poll is answered with %q", got)
	}
}

// noticeLeaver counts streams when a client goes and nothing is sent to it.
func noticeLeaver(t *testing.T, s *site) {
	s.start(nil)
	for _, accept := range []string{"text/event-stream", "text/plain"} {
		reader := s.follow("/v1/topics/a", accept)
		s.wantGauge("weir_connections", 1)
		reader.leave()
		s.wantGauge("weir_connections", 0)
	}
	req := s.request(context.Background(), "GET", "/v1/topics/a?wait=5m", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if got := s.answer(req.WithContext(ctx)); !strings.Contains(got, "deadline") {
		t.Errorf("the poll is answered with %s", got)
	}
	gone := s.client
	s.client = s.newClient()
	eventually(t, "no connection is left but the one that asks", func() bool {
		gone.CloseIdleConnections()
		return s.gauge("weir_sockets") == "1"
	})
}

// gauge returns a figure of /metrics.
func (s *site) gauge(name string) string {
	s.t.Helper()
	_, text := s.do(s.t, "GET", "/metrics", "")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	s.t.Fatalf("no %s in /metrics", name)
	return ""
}

func (s *site) wantGauge(name string, n int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint(name, " is ", n), func() bool { return s.gauge(name) == fmt.Sprint(n) })
}

func drainReaders(t *testing.T, s *site) {
	s.start(nil)
	events, lines := s.follow("/v1/topics/a", "text/event-stream"), s.follow("/v1/topics/a", "application/x-ndjson")
	text := s.follow("/v1/topics/a", "text/plain")
	s.wantGauge("weir_readers", 3)
	s.publish(t, "a", "the last")
	s.cancel()
	for _, f := range []*follower{events, lines} {
		if body := f.rest(); !strings.Contains(body, "the last") || farewell(t, body) < 500 {
			t.Errorf("the stream is %q", body)
		}
	}
	if body := text.rest(); body != "the last\n" {
		t.Errorf("the text is %q", body)
	}
	s.stop(t)
}

// sufferSlowReader has one reader that reads nothing for a while.
func sufferSlowReader(t *testing.T, s *site) {
	const messages, size = 150, 100_000 // more than all buffers on the way hold
	set := s.settings()
	set.History.MaxBytes, set.History.MaxMessages = 0, 0
	s.start(set)
	slow := s.follow("/v1/topics/a", "text/plain")
	quick := s.follow("/v1/topics/a", "text/plain")
	filler := strings.Repeat("x", size)
	for i := range messages {
		s.publish(t, "a", fmt.Sprint(i, filler))
		if got := quick.line(); got != fmt.Sprint(i, filler) {
			t.Fatalf("message %d is %.20q…", i, got)
		}
	}
	s.wantGauge("weir_readers_behind", 1)
	for i := range messages {
		if got := slow.line(); got != fmt.Sprint(i, filler) {
			t.Fatalf("the slow reader has as message %d %.20q…", i, got)
		}
	}
}

func passLargeMessage(t *testing.T, s *site) {
	s.start(nil)
	reader := s.follow("/v1/topics/a", "text/plain")
	large := strings.Repeat("0123456789abcdef", 1<<16)
	s.publish(t, "a", large)
	if got := reader.line(); got != large {
		t.Errorf("the message came as %d bytes, want %d", len(got), len(large))
	}
	if resp, body := s.do(t, "POST", "/v1/topics/a", large+"x"); resp.StatusCode != 413 || !strings.Contains(body, `"limit":1048576`) {
		t.Errorf("one byte more: %s %s", resp.Status, body)
	}
}

func followDurable(t *testing.T, s *site) {
	s.start(nil)
	const text = "Content-Type: text/plain"
	if resp, body := s.do(t, "PUT", "/v1/streams/a", "1", text); resp.StatusCode != 201 {
		t.Fatalf("PUT: %s %s", resp.Status, body)
	}
	reader := s.follow("/v1/streams/a?live=sse&offset=-1", "*/*")
	reader.until("data:1")
	answer := make(chan string, 1)
	req := s.request(context.Background(), "GET", "/v1/streams/a?live=long-poll&offset=now", nil)
	poller := s.newClient()
	go func() {
		resp, err := poller.Do(req)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		answer <- string(b)
	}()
	time.Sleep(100 * time.Millisecond) // mostly the poll waits by now; it says "now"
	for range 2 {
		if resp, body := s.do(t, "POST", "/v1/streams/a", "2", text); resp.StatusCode != 204 {
			t.Errorf("POST: %s %s", resp.Status, body)
		}
	}
	reader.until("data:2")
	if got := <-answer; !strings.HasPrefix(got, "2") {
		t.Errorf("the poll is answered with %q", got)
	}
	if resp, _ := s.do(t, "HEAD", "/v1/streams/a", ""); resp.StatusCode != 200 || resp.Header.Get("Stream-Next-Offset") == "" {
		t.Errorf("HEAD: %s %v", resp.Status, resp.Header)
	}
	if _, body := s.do(t, "GET", "/v1/streams/a", ""); body != "122" {
		t.Errorf("the stream is %q", body)
	}
	reader.leave()
	s.wantGauge("weir_connections", 0)
}

// refuseUnreadBody sends bodies that the server does not want, and that do not end.
func refuseUnreadBody(t *testing.T, s *site) {
	s.start(nil)
	var all sync.WaitGroup
	for path, want := range map[string]string{
		"/v1/topics/weir/stats":  "400",
		"/v1/topics/a":           "413", // by then it is too large
		"/v1/nothing":            "404",
		"/v1/streams/weir/stats": "400",
	} {
		body, in := io.Pipe()
		go func() { // as much as is taken
			for _, err := in.Write(make([]byte, 64<<10)); err == nil; _, err = in.Write(make([]byte, 64<<10)) {
				time.Sleep(time.Millisecond)
			}
		}()
		req := s.request(context.Background(), "POST", path, body)
		all.Go(func() {
			defer body.Close()
			if got := s.answer(req); !strings.HasPrefix(got, want+` {"type":"about:blank"`) {
				t.Errorf("POST %s: %s, want %s", path, got, want)
			}
		})
	}
	all.Wait()
	s.publish(t, "a", "and on")
}

func refuseSlowBody(t *testing.T, s *site) {
	set := s.settings()
	set.HTTP.BodyTimeout = 200 * time.Millisecond
	s.start(set)
	for path, part := range map[string]string{"/v1/topics/a": "not the end", "/v1/events": `{"topic":`} {
		body, in := io.Pipe()
		go in.Write([]byte(part))
		got := s.answer(s.request(context.Background(), "POST", path, body, "Content-Type: application/x-ndjson"))
		body.Close()
		if !strings.HasPrefix(got, `408 {"type":"about:blank"`) || !strings.Contains(got, `"code":"too_slow"`) {
			t.Errorf("POST %s: %s", path, got)
		}
	}
	s.publish(t, "a", "and on")
}

// reuseConnection has a stream end, as its token expires, and sends another request, which names another client
// if a proxy may do that: this one does not say so.
func reuseConnection(t *testing.T, s *site) {
	set := s.settings()
	set.Log.Access = true
	set.Access.Secret, set.Access.Leeway = strings.Repeat("secret", 10), 0
	key, err := access.NewSecret("", []byte(set.Access.Secret))
	if err != nil {
		t.Fatal(err)
	}
	token, err := key.Sign(access.Grant{Subscribe: []string{"a"}, Expires: time.Now().Add(2 * time.Second)}, access.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	s.start(set)
	reader := s.follow("/v1/topics/a", "text/plain", "Authorization: Bearer "+token)
	reader.rest()
	var next net.Conn
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { next = i.Conn }})
	if got := s.answer(s.request(ctx, "GET", "/healthz", nil, "X-Forwarded-For: 203.0.113.9")); got != "200 ok\n" {
		t.Errorf("after the stream: %s", got)
	}
	if reused := next == reader.conn; reused != (s.closes == "") {
		t.Errorf("the connection is used again: %v, want %v %s", reused, s.closes == "", s.closes)
	}
	s.wantRemote("path=/healthz")
}

// outliveUserTimeout has a reader to which nothing is sent for long, which is no
// reason to give it up.
func outliveUserTimeout(t *testing.T, s *site) {
	set := s.settings()
	set.Stream.UserTimeout = 300 * time.Millisecond
	s.start(set)
	readers := []*follower{s.follow("/v1/topics/a", "text/plain"), s.follow("/v1/topics/a", "text/event-stream")}
	readers[1].until("id: ")
	for i := range 2 { // after nothing, and after a message
		time.Sleep(450 * time.Millisecond)
		s.publish(t, "a", fmt.Sprint("hello ", i))
		readers[0].want(fmt.Sprint("hello ", i))
		readers[1].until(fmt.Sprint("data: hello ", i))
	}
}

func logAddress(t *testing.T, s *site) {
	set := s.settings()
	set.Log.Access = true
	s.start(set)
	s.follow("/v1/topics/a", "text/plain").leave()
	s.wantRemote("path=/v1/topics/a")
	s.do(t, "GET", "/v1/topics/b?wait=0s", "", "X-Forwarded-For: 203.0.113.9")
	s.wantRemote("path=/v1/topics/b")
}

// wantRemote looks at the address in a line of the access log.
func (s *site) wantRemote(about string) {
	s.t.Helper()
	want := s.remote
	if want == "" {
		want = "127.0.0.1:"
	}
	eventually(s.t, "there is a line in the access log", func() bool { return strings.Contains(s.log.String(), about) })
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, about) && !strings.Contains(line, " remote="+want) {
			s.t.Errorf("the access log says %s want remote=%s", line, want)
		}
	}
}

func followByPost(t *testing.T, s *site) {
	s.start(nil)
	req := s.request(context.Background(), "POST", "/v1/events", strings.NewReader("topic=a&topic=b"),
		"Content-Type: application/x-www-form-urlencoded", "Accept: text/plain")
	resp := s.send(s.client, req)
	reader := &follower{t: t, resp: resp}
	defer resp.Body.Close()
	reader.body = bufio.NewReader(resp.Body)
	s.publish(t, "b", "hello")
	reader.want("hello")
}

// followMany has as many streams as a browser with many tabs, and requests besides.
func followMany(t *testing.T, s *site) {
	s.start(nil)
	var readers []*follower
	for range 30 {
		readers = append(readers, s.follow("/v1/topics/a", "text/plain"))
	}
	for i := range 3 {
		s.publish(t, "a", fmt.Sprint(i))
	}
	for _, f := range readers {
		f.want("0", "1", "2")
	}
	for _, f := range readers[:15] {
		f.leave()
	}
	s.wantGauge("weir_connections", 15)
	s.publish(t, "a", "3")
	for _, f := range readers[15:] {
		f.want("3")
	}
}

// publishOften makes the server adopt the connection where it can, and lets it give
// the connection back: who the client is stays the same.
func publishOften(t *testing.T, s *site) {
	set := s.settings()
	set.Limits.StreamsPerIP = 1
	s.start(set)
	if s.remote != "@" { // whose limit it is
		s.follow("/v1/topics/a", "text/plain")
	}
	s.client = s.newClient()
	for range 10 {
		s.publish(t, "a", "hello")
	}
	if adopted, want := s.Adopted(), s.proto == 1 && !s.tls; (adopted == 1) != want {
		t.Errorf("%d connections are adopted, want one: %v", adopted, want)
	}
	got := s.answer(s.request(context.Background(), "GET", "/v1/topics/a?wait=0s", nil, "X-Forwarded-For: 203.0.113.9"))
	if want := map[bool]string{true: "200", false: "429"}[s.remote == "@"]; !strings.HasPrefix(got, want) {
		t.Errorf("a second stream of one client, limit 1: %s, want %s", got, want)
	}
	s.publish(t, "a", "and on")
}
