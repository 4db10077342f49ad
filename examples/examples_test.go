package examples_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

func TestEveryExampleSaysHowToTryIt(t *testing.T) {
	mains, err := filepath.Glob("*/main.go")
	if err != nil || len(mains) == 0 {
		t.Fatalf("found %d examples, error %v", len(mains), err)
	}
	readme := readFile(t, "README.md")
	for _, file := range mains {
		name := filepath.Dir(file)
		comment, _, _ := strings.Cut(readFile(t, file), "package main")
		if n := strings.Count(comment, "\n"); n != 2 || !strings.Contains(comment, "go run ./"+name) {
			t.Errorf("%s: package comment of %d lines, want 2 with %q:\n%s", file, n, "go run ./"+name, comment)
		}
		port := regexp.MustCompile(`serve\.HTTP\("127\.0\.0\.1(:\d+)"`).FindStringSubmatch(readFile(t, file))
		if port == nil {
			t.Errorf("%s: no default address on loopback", file)
			continue
		}
		row := regexp.MustCompile(`(?m)^\| \[` + name + `\]\(` + name + `/main.go\) \|.*$`).FindString(readme)
		if !strings.Contains(row, port[1]) {
			t.Errorf("README.md: the row of %s is %q, want one that names port %s", name, row, port[1])
		}
		if !strings.Contains(comment, port[1]) {
			t.Errorf("%s: the package comment does not name port %s", file, port[1])
		}
	}
}

func TestWorkermanSSESaysHelloEveryTwoSeconds(t *testing.T) {
	t.Parallel()
	p := start(t, "workerman-sse")
	for _, accept := range []string{"", "*/*", "text/html"} {
		if got, _ := p.get(t, "/", "Accept: "+accept); got != "ok" {
			t.Errorf("with Accept %q the answer is %q, want ok", accept, got)
		}
	}
	begin := time.Now()
	r := p.events(t, "/")
	wantAbout(t, "the response head", time.Since(begin), 0)
	for i := 1; i <= 2; i++ {
		e := r.next(t)
		wantAbout(t, fmt.Sprintf("event %d", i), time.Since(begin), time.Duration(i)*2*time.Second)
		if e.Type != "message" || string(e.Data) != "hello" {
			t.Errorf("event %d is %q %q, want message hello", i, e.Type, e.Data)
		}
	}
	p.interrupt(t)
	r.wantEnd(t)
}

func TestEventStreamSendsDateAndIDToAnyOrigin(t *testing.T) {
	t.Parallel()
	p := start(t, "event-stream")
	if got, _ := p.get(t, "/"); got != "ok" {
		t.Errorf("a plain request is answered %q, want ok", got)
	}
	page, contentType := p.get(t, "/page.html")
	if !strings.HasPrefix(contentType, "text/html") || !strings.Contains(page, "new EventSource(server)") {
		t.Errorf("the page is %s:\n%s", contentType, page)
	}
	begin := time.Now()
	r := p.events(t, "/", "Origin: https://elsewhere.example")
	if got := r.Header.Get("Access-Control-Allow-Origin"); got != "*" {
		t.Errorf("Access-Control-Allow-Origin is %q, want *", got)
	}
	want := regexp.MustCompile(`^服务器时间 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
	last := int64(0)
	for i := 1; i <= 2; i++ {
		e := r.next(t)
		wantAbout(t, fmt.Sprintf("event %d", i), time.Since(begin), time.Duration(i)*2*time.Second)
		id, err := strconv.ParseInt(e.ID, 10, 64)
		if e.Type != "message" || !want.Match(e.Data) || err != nil || id <= last {
			t.Errorf("event %d is %q %q with ID %q after %d", i, e.Type, e.Data, e.ID, last)
		}
		last = id
	}
	p.interrupt(t)
	r.wantEnd(t)
}

// TestChunkStreamSendsTenPiecesAndOneEnd reads the bytes of HTTP itself.
func TestChunkStreamSendsTenPiecesAndOneEnd(t *testing.T) {
	t.Parallel()
	p := start(t, "chunk-stream")
	nc, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(40 * time.Second))
	r := bufio.NewReader(nc)
	begin := openChunks(t, nc, r)
	second := make(chan string, 1)
	go func() { second <- firstPiece(p.url) }()
	for i := 1; i <= 10; i++ {
		if got, want := readChunk(t, r), fmt.Sprintf("piece %d of 10<br>", i); got != want {
			t.Fatalf("chunk is %q, want %q", got, want)
		}
		wantAbout(t, fmt.Sprintf("piece %d", i), time.Since(begin), time.Duration(i)*2*time.Second)
	}
	if end := readChunk(t, r); end != "" {
		t.Fatalf("got chunk %q after the tenth piece, want the end", end)
	}
	// The connection serves the next request, and nothing of the first response,
	// such as another end, gets between its bytes: its first piece comes 2 s later.
	begin = openChunks(t, nc, r)
	if got := readChunk(t, r); got != "piece 1 of 10<br>" {
		t.Errorf("first piece of the second response is %q", got)
	}
	wantAbout(t, "its first piece", time.Since(begin), 2*time.Second)
	if got := <-second; got != "piece 1 of 10<br>" {
		t.Errorf("another client's first piece is %q: each should count by itself", got)
	}
	p.interrupt(t)
	if rest, err := io.ReadAll(r); err == nil && len(rest) > len("0\r\n\r\n") {
		t.Errorf("after SIGINT came %q", rest)
	}
}

// openChunks sends a request and reads the head and what comes at once.
func openChunks(t *testing.T, w io.Writer, r *bufio.Reader) (begin time.Time) {
	t.Helper()
	begin = time.Now()
	io.WriteString(w, "GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://elsewhere.example\r\n\r\n")
	head := readLine(t, r)
	for line := head; line != ""; head += "\n" + line {
		line = readLine(t, r)
	}
	if !strings.HasPrefix(head, "HTTP/1.1 200 ") {
		t.Fatalf("response begins %q", head)
	}
	for _, want := range []string{"Transfer-Encoding: chunked", "Content-Type: text/html; charset=utf-8", "Access-Control-Allow-Origin: *", "X-Content-Type-Options: nosniff"} {
		if !strings.Contains(head, "\n"+want+"\n") {
			t.Errorf("response head lacks %q:\n%s", want, head)
		}
	}
	if padding := readChunk(t, r); !strings.HasPrefix(padding, "<!--") {
		t.Errorf("first chunk is %q, want a comment", padding)
	}
	if got := readChunk(t, r); got != "10 pieces follow<br>" {
		t.Errorf("second chunk is %q", got)
	}
	wantAbout(t, "the announcement", time.Since(begin), 0)
	return begin
}

// readChunk reads one chunk of a body; "" is its end.
func readChunk(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line := readLine(t, r)
	size, err := strconv.ParseUint(line, 16, 20)
	if err != nil {
		t.Fatalf("got %q in place of a chunk size", line)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		t.Fatal(err)
	}
	if end := readLine(t, r); end != "" {
		t.Fatalf("chunk %q is followed by %q", b, end)
	}
	return string(b)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasSuffix(line, "\r\n") {
		t.Fatalf("read line: %q, %v", line, err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

// firstPiece returns the first piece that an ordinary client gets.
func firstPiece(url string) string {
	resp, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b := make([]byte, 4096)
	for n := 0; ; {
		m, err := resp.Body.Read(b[n:])
		n += m
		if at := strings.Index(string(b[:n]), "piece "); at >= 0 {
			return string(b[at:n])
		}
		if err != nil {
			return err.Error()
		}
	}
}

func TestControllerPageAndRouteAgree(t *testing.T) {
	t.Parallel()
	p := start(t, "controller")
	page, contentType := p.get(t, "/stream/client")
	if !strings.HasPrefix(contentType, "text/html") || !strings.Contains(page, "<title>weir</title>") {
		t.Errorf("the page is %s:\n%s", contentType, page)
	}
	source := regexp.MustCompile(`new EventSource\("(.*?)"\)`).FindStringSubmatch(page)
	if source == nil {
		t.Fatalf("the page opens no stream:\n%s", page)
	}
	path := html.UnescapeString(strings.ReplaceAll(source[1], `\/`, "/"))
	if path != "/service/stream" {
		t.Errorf("the page opens %q", path)
	}
	begin := time.Now()
	r := p.events(t, path)
	want := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 来自服务器$`)
	if e := r.next(t); e.Type != "" || e.ID != "" || !want.Match(e.Data) {
		t.Errorf("event is %+v %q", e, e.Data)
	}
	wantAbout(t, "the first event", time.Since(begin), time.Second)
	p.interrupt(t)
	r.wantEnd(t)
}

func TestTimerTickCountsForEachClient(t *testing.T) {
	t.Parallel()
	p := start(t, "timer-tick")
	begin := time.Now()
	first := p.events(t, "/")
	for i := 1; i <= 2; i++ {
		wantCounter(t, first.next(t), i)
		wantAbout(t, fmt.Sprintf("tick %d", i), time.Since(begin), time.Duration(i)*time.Second)
	}
	second := p.events(t, "/")
	wantCounter(t, second.next(t), 1)
	wantCounter(t, first.next(t), 3)
	p.interrupt(t)
	first.wantEnd(t)
	second.wantEnd(t)
}

func TestResumeSendsExactlyTheLaterMessages(t *testing.T) {
	t.Parallel()
	p := start(t, "resume")
	r := p.events(t, "/")
	r.next(t)
	seen := r.next(t)
	r.Body.Close()
	n := counter(t, seen)
	missed := p.events(t, "/") // another client sees the messages that the first one misses
	for counter(t, missed.next(t)) < n+2 {
	}
	for _, back := range []*reader{
		p.events(t, "/", "Last-Event-ID: "+seen.ID),
		p.events(t, "/?last_event_id="+seen.ID),
	} {
		for want := n + 1; want <= n+3; want++ { // the last of them live
			wantCounter(t, back.next(t), want)
		}
		if strings.Join(back.comments, "|") != "Resending missed messages" {
			t.Errorf("comments before the replay: %q", back.comments)
		}
	}
	p.interrupt(t)
	missed.wantEnd(t)
}

func TestResumeAfterTrimReportsGap(t *testing.T) {
	t.Parallel()
	p := start(t, "resume")
	r := p.events(t, "/?last_event_id=aaaaaaaa-7") // of another server
	if gap := wantGap(t, r.next(t)); gap.Reason != "foreign" {
		t.Errorf("reason is %q, want foreign", gap.Reason)
	}
	seen := r.next(t)
	first := counter(t, seen)
	for counter(t, r.next(t)) < first+7 { // five are kept
	}
	for _, test := range []struct {
		policy string
		oldest int // after the gap, from first
	}{{"diff", 3}, {"all", 3}, {"reset", 8}} {
		back := p.events(t, "/?policy="+test.policy, "Last-Event-ID: "+seen.ID)
		gap := wantGap(t, back.next(t))
		if gap.Reason != "expired" || gap.Requested != seen.ID || gap.Policy != test.policy {
			t.Errorf("policy=%s: gap is %+v", test.policy, gap)
		}
		next := counter(t, back.next(t)) // later by one if a message came meanwhile
		if late := next - (first + test.oldest); late < 0 || late > 1 {
			t.Errorf("policy=%s: goes on with %d, want %d", test.policy, next, first+test.oldest)
		}
		wantCounter(t, back.next(t), next+1)
	}
	p.interrupt(t)
	r.wantEnd(t)
}

type gap struct{ Reason, Requested, Policy string }

func wantGap(t *testing.T, e sse.Event) (g gap) {
	t.Helper()
	if err := json.Unmarshal(e.Data, &g); e.Type != "weir.gap" || err != nil {
		t.Fatalf("event is %q %q, want weir.gap: %v", e.Type, e.Data, err)
	}
	return g
}

func TestLoopHandlerEndsWithItsClient(t *testing.T) {
	t.Parallel()
	p := start(t, "loop-handler")
	stays := p.events(t, "/")
	wantCounter(t, stays.next(t), 1)
	begin := time.Now()
	leaves := p.events(t, "/")
	wantCounter(t, leaves.next(t), 1)
	wantAbout(t, "the first message beside another loop", time.Since(begin), 0)
	wantCounter(t, leaves.next(t), 2)
	leaves.Body.Close()
	p.log.waitLine(t, "is gone after 2 messages: client gone")
	wantCounter(t, stays.next(t), 2)
	p.interrupt(t)
	stays.wantEnd(t)
	p.log.waitLine(t, "messages: shutdown")
}

func TestHubDeliversWhatIsPosted(t *testing.T) {
	t.Parallel()
	p := start(t, "hub")
	page, _ := p.get(t, "/")
	for _, want := range []string{"'/events?topic=news/*'", "'/publish'"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not use %s", want)
		}
	}
	r := p.events(t, "/events?topic=news/*")
	form := "Content-Type: application/x-www-form-urlencoded"
	p.do(t, http.StatusOK, "POST", "/publish", "topic=sports&data=no", form)
	id := readAll(t, p.do(t, http.StatusOK, "POST", "/publish", "topic=news/eu&data=gr%C3%BC%C3%9Fe%0Aall", form))
	e := r.next(t)
	if string(e.Data) != "grüße\nall" || e.ID+"\n" != id {
		t.Errorf("event is %q with ID %q, want the second message with ID %q", e.Data, e.ID, id)
	}
	p.do(t, http.StatusBadRequest, "POST", "/publish", "topic=a//b&data=x", form)
	p.interrupt(t)
	r.wantEnd(t)
}

func TestProgressEndsWithTheCommand(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, command, outcome string }{
		{"success", "for i in 1 2 3; do echo line $i; sleep 0.2; done", "done"},
		{"failure", "echo line 1; echo line 2 >&2; echo line 3; exit 3", "exit status 3"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "progress", "sh", "-c", test.command)
			r := p.events(t, "/")
			for i := 1; i <= 3; i++ {
				if e := r.next(t); string(e.Data) != fmt.Sprintf("line %d", i) {
					t.Errorf("event %d is %q", i, e.Data)
				}
			}
			if e := r.next(t); e.Type != "end" || string(e.Data) != test.outcome {
				t.Errorf("last event is %q %q, want end %q", e.Type, e.Data, test.outcome)
			}
			if e, err := r.events.Next(); err != io.EOF {
				t.Errorf("after the end: %v, %v; want EOF", e, err)
			}
			p.interrupt(t)
		})
	}
}

func TestProgressKillsTheCommandOfAClientThatLeft(t *testing.T) {
	t.Parallel()
	for _, leave := range []struct {
		name string
		how  func(p *program, r *reader)
	}{
		{"client", func(p *program, r *reader) { r.Body.Close() }},
		{"server", func(p *program, r *reader) { p.interrupt(t) }},
	} {
		t.Run(leave.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "progress", "sh", "-c", "echo $$; exec sleep 60")
			r := p.events(t, "/")
			pid, err := strconv.Atoi(string(r.next(t).Data))
			if err != nil {
				t.Fatal(err)
			}
			leave.how(p, r)
			for deadline := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					syscall.Kill(pid, syscall.SIGKILL)
					t.Fatalf("process %d still runs", pid)
				}
			}
			if !p.done {
				p.interrupt(t)
			}
		})
	}
}

var counterText = regexp.MustCompile(`^Server time: \d\d:\d\d:\d\d, Counter: (\d+)$`)

// counter returns the number in the articles' message.
func counter(t *testing.T, e sse.Event) int {
	t.Helper()
	m := counterText.FindSubmatch(e.Data)
	if m == nil {
		t.Fatalf("event is %q %q, want server time and counter", e.Type, e.Data)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

func wantCounter(t *testing.T, e sse.Event, want int) {
	t.Helper()
	if got := counter(t, e); got != want {
		t.Errorf("counter is %d, want %d", got, want)
	}
}

// wantAbout allows for a busy machine, yet tells one beat from the next.
func wantAbout(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want-50*time.Millisecond || got > want+900*time.Millisecond {
		t.Errorf("%s came after %v, want about %v", what, got, want)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
