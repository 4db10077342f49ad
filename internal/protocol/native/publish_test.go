package native_test

import (
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// TestPublishKeepsTheBodyAsItIs publishes with all parameters and looks at the
// message and at the answer.
func TestPublishKeepsTheBodyAsItIs(t *testing.T) {
	s := serve(t, hub.Options{})
	for i, c := range []struct {
		query  string
		header []string
		body   string
		want   hub.Message
		id     string
	}{
		{"", nil, "hello", hub.Message{}, "epochxyz-1"},
		{"", []string{form}, "a=b&c=%20", hub.Message{}, "epochxyz-2"}, // what curl -d sends
		{"", []string{"Content-Type: application/json"}, `{"a": 1}` + "\n", hub.Message{}, "epochxyz-3"},
		{"", []string{"Content-Type: multipart/form-data; boundary=x"}, "--x\r\n", hub.Message{}, "epochxyz-4"},
		{"", nil, "\x00\xff\r\n\r\ndata: no field\n\n", hub.Message{}, "epochxyz-5"},
		{"", nil, "", hub.Message{}, "epochxyz-6"},
		{"?type=price&id=my-1&key=17&retry=2500", nil, "x", hub.Message{Type: "price", ID: "my-1", Key: "17", Retry: 2500 * time.Millisecond}, "my-1"},
		{"?type=%F0%9F%8C%8A&key=a%0Ab%00", nil, "x", hub.Message{Type: "🌊", Key: "a\nb\x00"}, "epochxyz-8"},
		{"?type=&id=&key=&retry=0", nil, "x", hub.Message{}, "epochxyz-9"},
		{"", nil, strings.Repeat("x", maxBytes), hub.Message{}, "epochxyz-10"},
	} {
		a := s.ask(t, request{"POST", "/v1/topics/a/" + strconv.Itoa(i) + c.query, c.header, c.body})
		if want := `{"id":"` + c.id + `"}` + "\n"; a.status != 201 || normal([]byte(a.body)) != want {
			t.Errorf("%s %.20q: %d %s, want 201 %s", c.query, c.body, a.status, a.body, want)
			continue
		}
		if got := a.header.Get("Location"); got != "/v1/topics/a/"+strconv.Itoa(i) {
			t.Errorf("Location is %q", got)
		}
		got := s.kept(t, "a/"+strconv.Itoa(i))[0].Message
		if string(got.Data) != c.body || got.Type != c.want.Type || got.ID != c.want.ID || got.Key != c.want.Key || got.Retry != c.want.Retry {
			t.Errorf("%s: got %+v (data %.20q), want %+v", c.query, got, got.Data, c.want)
		}
	}
}

// TestTooLargeMessageIsRefusedBeforeItIsRead checks sizes that are stated, which
// need no reading, and unstated.
func TestTooLargeMessageIsRefusedBeforeItIsRead(t *testing.T) {
	s := serve(t, hub.Options{})
	over := strings.Repeat("x", maxBytes+1)
	a := s.ask(t, request{"POST", "/v1/topics/a", nil, over})
	if a.status != 413 || a.Code != "too_large" || a.Detail != "message is 1001 bytes, limit 1000" || a.Limit != maxBytes {
		t.Errorf("stated: %d %s", a.status, a.body)
	}
	a = s.ask(t, request{"POST", "/v1/topics/a", nil, ""}.chunked(over))
	if a.status != 413 || a.Code != "too_large" || a.Detail != "message is more than 1000 bytes, the limit" || a.Limit != maxBytes {
		t.Errorf("unstated: %d %s", a.status, a.body)
	}
	// A client that waits for leave to send is refused without sending anything.
	nc := s.dial(t)
	r := request{"POST", "/v1/topics/a", []string{"Content-Length: 1000000000", "Expect: 100-continue"}, ""}
	if _, err := io.WriteString(nc, r.head()); err != nil {
		t.Fatal(err)
	}
	if a := whole(t, readResponse(t, nc, "POST")); a.status != 413 || a.Detail != "message is 1000000000 bytes, limit 1000" || !a.close {
		t.Errorf("announced: %d %s", a.status, a.body)
	}
	// One that sends at once gets the answer although nobody reads what it sends.
	nc = s.dial(t)
	r = request{"POST", "/v1/topics/a", []string{"Content-Length: 1000000000"}, ""}
	if _, err := io.WriteString(nc, r.head()+strings.Repeat("x", 100)); err != nil {
		t.Fatal(err)
	}
	if a := whole(t, readResponse(t, nc, "POST")); a.status != 413 || !a.close {
		t.Errorf("sent at once: %d %s", a.status, a.body)
	}
	a = s.ask(t, request{"POST", "/v1/topics/a?type=" + strings.Repeat("x", 1025), nil, "x"})
	if a.status != 413 || a.Detail != "ID, type, key and idempotency key have 1025 bytes, limit 1024" || a.Limit != 1024 {
		t.Errorf("type: %d %s", a.status, a.body)
	}
	if head := s.hub.Log().Head(); head != 0 {
		t.Errorf("%d messages were published", head)
	}
}

// TestCutBodyIsNotPublished closes the connection before the body is complete.
func TestCutBodyIsNotPublished(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, r := range []request{
		{"POST", "/v1/topics/a", []string{"Content-Length: 10"}, "12345"},
		{"POST", "/v1/topics/a", []string{"Transfer-Encoding: chunked"}, "5\r\n12345\r\n"},
		{"POST", "/v1/topics/a", []string{"Transfer-Encoding: chunked"}, "zz\r\n"},
	} {
		nc := s.dial(t)
		if _, err := io.WriteString(nc, r.head()+r.body); err != nil {
			t.Fatal(err)
		}
		_ = nc.(*net.TCPConn).CloseWrite()
		if a := whole(t, readResponse(t, nc, "POST")); a.status != 400 || a.Code != "bad_body" {
			t.Errorf("%q: %d %s", r.body, a.status, a.body)
		}
	}
	if head := s.hub.Log().Head(); head != 0 {
		t.Errorf("%d messages were published", head)
	}
}

// TestHeadTellsWhatIsKept, and DELETE forgets it.
func TestHeadTellsWhatIsKept(t *testing.T) {
	s := serve(t, hub.Options{})
	s.publish(t, text("a/1", "one"), text("a/2", "three"), text("b", "seventy"), text("a/1", "x"))
	for _, c := range []struct{ target, oldest, newest, messages, bytes string }{
		{"/v1/topics/a/1", "epochxyz-1", "epochxyz-4", "2", "4"},
		{"/v1/topics/a/*", "epochxyz-1", "epochxyz-4", "3", "9"},
		{"/v1/topics/**", "epochxyz-1", "epochxyz-4", "4", "16"},
		{"/v1/topics/never", "", "", "0", "0"},
		{"/v1/events?topic=b&topic=a/2", "epochxyz-2", "epochxyz-3", "2", "12"},
		{"/v1/topics/b?since=start&envelope=true", "epochxyz-3", "epochxyz-3", "1", "7"}, // what GET takes
	} {
		a := s.ask(t, request{"HEAD", c.target, nil, ""})
		if a.status != 200 || a.body != "" {
			t.Errorf("HEAD %s: %d", c.target, a.status)
		}
		for name, want := range map[string]string{"Weir-Oldest-Id": c.oldest, "Weir-Newest-Id": c.newest, "Weir-Messages": c.messages, "Weir-Bytes": c.bytes, "Cache-Control": "no-store"} {
			if got := normal([]byte(a.header.Get(name))); got != want {
				t.Errorf("HEAD %s: %s is %q, want %q", c.target, name, got, want)
			}
		}
	}
	for target, status := range map[string]int{
		"/v1/topics/": 400, "/v1/topics/a//b": 400, "/v1/topics/a?x=y": 400, "/v1/topics/a?policy=x": 400,
		"/v1/events": 400, "/v1/events/x": 404,
	} {
		if a := s.ask(t, request{"HEAD", target, nil, ""}); a.status != status || a.body != "" || a.header.Get("Weir-Messages") != "" {
			t.Errorf("HEAD %s: %d %v, want %d", target, a.status, a.header, status)
		}
	}

	for range 2 { // the second time there is nothing left, which is no error
		if a := s.ask(t, request{"DELETE", "/v1/topics/a/1", nil, ""}); a.status != 204 || a.body != "" {
			t.Errorf("DELETE: %d %q", a.status, a.body)
		}
		if a := s.ask(t, request{"HEAD", "/v1/topics/a/*", nil, ""}); a.header.Get("Weir-Messages") != "1" {
			t.Errorf("after DELETE: %s messages, want 1", a.header.Get("Weir-Messages"))
		}
	}
	a := s.ask(t, request{"GET", "/v1/topics/a/1?wait=0s&last_event_id=" + s.hub.Log().Epoch() + "-1", []string{"Accept: text/plain"}, ""})
	if !strings.HasPrefix(a.body, `weir.gap {"reason":"expired"`) {
		t.Errorf("a reader that stood before what was forgotten gets %q, want a gap", a.body)
	}
}
