package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// TestTheServerTellsAboutItself reads the calls that concern no topic.
func TestTheServerTellsAboutItself(t *testing.T) {
	r := start(t, defaults(t))
	for _, path := range []string{"/healthz", "/readyz"} {
		resp, body := r.do(t, "GET", path, "")
		if resp.StatusCode != 200 || body != "ok\n" || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: %s %q %v", path, resp.Status, body, resp.Header)
		}
		if resp, body := r.do(t, "HEAD", path, ""); resp.StatusCode != 200 || body != "" {
			t.Errorf("HEAD %s: %s %q", path, resp.Status, body)
		}
	}
	resp, body := r.do(t, "GET", "/version", "")
	var v map[string]string
	if err := json.Unmarshal([]byte(body), &v); err != nil || len(v) != 3 || v["go"] != runtime.Version() {
		t.Errorf("GET /version: %s %s, %v", resp.Status, body, err)
	}
	for _, name := range []string{"version", "commit"} {
		if _, ok := v[name]; !ok {
			t.Errorf("/version lacks %q: %s", name, body)
		}
	}
	if got := resp.Header.Get("Content-Type") + " " + resp.Header.Get("Cache-Control"); got != "application/json no-store" {
		t.Errorf("GET /version: header %q", got)
	}
}

// TestPathsOfTheInterfaceAreNotCleaned sends what a client library would tidy up.
func TestPathsOfTheInterfaceAreNotCleaned(t *testing.T) {
	r := start(t, defaults(t))
	for target, status := range map[string]int{
		"/v1/topics/a//b":       400,
		"/v1/topics/a/../b":     400,
		"/v1/topics/a/%2e%2e/b": 400,
		"/v1/topics/":           400,
		"/v1/topics//":          400,
		"/v1/../v1/topics/a":    404,
		"/v1/topics":            404,
		"/v1//topics/a":         404,
	} {
		resp := r.connect(t).send(t, "POST", target, "x")
		if resp.StatusCode != status || resp.Header.Get("Location") != "" {
			t.Errorf("POST %s: %s, Location %q, want %d", target, resp.Status, resp.Header.Get("Location"), status)
		}
	}
}

// TestSettingsReachTheParts sets one of each part and looks for its effect.
func TestSettingsReachTheParts(t *testing.T) {
	s := defaults(t)
	s.Hub.MaxMessage = 100
	s.Hub.MaxTopicsPerReader = 2
	s.Hub.Policy = "reset"
	s.Stream.Retry = 10 * 60 * 1e9 // 10 min
	s.CORS.Origins = []string{"https://friend.example"}
	s.HTTP.MaxHeader = 8 << 10
	s.History.MaxMessages = 3
	s.History.Topics = []config.TopicRule{{Topic: "none/**", MaxMessages: -1}, {Topic: "long/**", MaxMessages: 5}}
	r := start(t, s)
	if resp, body := r.do(t, "POST", "/v1/topics/a", strings.Repeat("x", 101)); resp.StatusCode != 413 || !strings.Contains(body, `"limit":100`) {
		t.Errorf("hub.max-message: %s %s", resp.Status, body)
	}
	if resp, body := r.do(t, "GET", "/v1/events?topic=a&topic=b&topic=c", ""); resp.StatusCode != 400 || !strings.Contains(body, "from 1 to 2 ") {
		t.Errorf("hub.max-topics-per-reader: %s %s", resp.Status, body)
	}
	if _, body := r.do(t, "GET", "/v1/topics/a?wait=0s&last_event_id=x", ""); !strings.Contains(body, `"policy":"reset"`) {
		t.Errorf("hub.policy: %s", body)
	}
	var retry int
	line := r.follow(t, "/v1/topics/a", "text/event-stream").line(t)
	if _, err := fmt.Sscanf(line, "retry: %d", &retry); err != nil || retry < 480_000 || retry > 720_000 {
		t.Errorf("stream.retry: the stream begins with %q, want 10 minutes, give or take a fifth", line)
	}
	for origin, want := range map[string]string{"https://friend.example": "https://friend.example", "https://stranger.example": ""} {
		if resp, _ := r.do(t, "GET", "/v1/topics/a?wait=0s", "", "Origin: "+origin); resp.Header.Get("Access-Control-Allow-Origin") != want {
			t.Errorf("cors.origins: %s gets %v", origin, resp.Header)
		}
	}
	if resp, _ := r.do(t, "GET", "/healthz", "", "X: "+strings.Repeat("x", 16<<10)); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("http.max-header: %s", resp.Status)
	}
	for topic, want := range map[string]string{"a": "3", "none/a": "0", "long/a": "5"} {
		for range 7 {
			r.publish(t, topic, "x")
		}
		if resp, _ := r.do(t, "HEAD", "/v1/topics/"+topic, ""); resp.Header.Get("Weir-Messages") != want {
			t.Errorf("history: %s keeps %s messages, want %s", topic, resp.Header.Get("Weir-Messages"), want)
		}
	}
}

// TestNoLimitOfHistoryIsNoLimit publishes more than the log keeps by default.
func TestNoLimitOfHistoryIsNoLimit(t *testing.T) {
	const n = 10_500
	s := defaults(t)
	s.History.MaxMessages, s.History.MaxAge, s.History.MaxBytes = 0, 0, 0
	s.History.Topics = []config.TopicRule{{Topic: "b"}}
	r := start(t, s)
	for _, topic := range []string{"a", "b"} {
		body := strings.Repeat(`{"topic":"`+topic+`","data":"x"}`+"\n", n)
		if resp, text := r.do(t, "POST", "/v1/events", body, "Content-Type: application/x-ndjson"); resp.StatusCode != 200 {
			t.Fatalf("%s %s", resp.Status, text)
		}
		if resp, _ := r.do(t, "HEAD", "/v1/topics/"+topic, ""); resp.Header.Get("Weir-Messages") != fmt.Sprint(n) {
			t.Errorf("%s: %s messages are kept, want %d", topic, resp.Header.Get("Weir-Messages"), n)
		}
	}
}

// TestNoClientForgesALogLine sends hostile requests to a server that logs all it
// can.
func TestNoClientForgesALogLine(t *testing.T) {
	r := start(t, defaults(t))
	for _, request := range []string{
		"POST /v1/topics/a%0aforged%0d%0a HTTP/1.1\r\nHost: weir.test\r\nContent-Length: 1\r\n\r\nx",
		"POST /v1/topics/a?type=%0aforged HTTP/1.1\r\nHost: weir.test\r\nContent-Length: 1\r\n\r\nx",
		"GET /v1/topics/a?x=1;y=\x1b[31mforged HTTP/1.1\r\nHost: weir.test\r\n\r\n",
		"GET /\nforged HTTP/1.1\r\n\r\n",
		"forged\r\n\r\n",
		"\x16\x03\x01forged\r\n\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: weir.test\r\nTransfer-Encoding: chunked\r\n\r\nforged\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: weir.test\r\nTransfer-Encoding: \nforged\r\n\r\n",
		"GET /v1/topics/a HTTP/1.1\r\nHost: weir.test\r\nLast-Event-ID: \tforged\r\nAccept: \"forged\r\n\r\n",
	} {
		c := r.connect(t)
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		if resp, err := http.ReadResponse(c.in, nil); err == nil && resp.StatusCode < 300 && !strings.Contains(request, "Last-Event-ID") {
			t.Errorf("%q is answered with %s", request, resp.Status)
		}
		c.Close()
	}
	r.stop(t)
	for line := range strings.Lines(r.log.String()) {
		if !strings.HasPrefix(line, "time=") || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\r\x1b") {
			t.Errorf("a log line is %q", line)
		}
	}
}
