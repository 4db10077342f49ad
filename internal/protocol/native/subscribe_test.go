package native_test

import (
	"bufio"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// TestStartIsWhatTheRequestSays polls from each kind of start, in a log of five
// messages.
func TestStartIsWhatTheRequestSays(t *testing.T) {
	s := serve(t, hub.Options{})
	ids := s.publish(t, text("a", "1"), text("a", "2"), hub.Message{Topics: []string{"a"}, ID: "three", Data: []byte("3")}, text("a", "4"), text("b", "5"))
	hour := time.Now().Add(-time.Hour).Format(time.RFC3339)
	for _, c := range []struct{ query, header, want string }{
		{"", "", ""},
		{"since=now", "", ""},
		{"since=start", "", "1234"},
		{"since=1h", "", "1234"},
		{"since=0s", "", ""},
		{"since=" + url.QueryEscape(hour), "", "1234"},
		{"since=2999-01-01T00:00:00Z", "", ""},
		{"last=0", "", ""},
		{"last=2", "", "34"},
		{"last=1000", "", "1234"},
		{"last_event_id=" + ids[1], "", "34"},
		{"lastEventID=" + ids[1], "", "34"},
		{"lastEventId=" + ids[1], "", "34"},
		{"Last-Event-ID=" + ids[1], "", "34"},
		{"last_event_id=three", "", "4"},
		{"last_event_id=" + ids[4], "", ""},
		// An empty ID says nothing.
		{"last_event_id=", "", ""},
		{"last_event_id=&since=start", "", "1234"},
		{"last_event_id=&lastEventId=" + ids[1], "", "34"},
		// The header wins, and so a browser that comes back goes on.
		{"", ids[1], "34"},
		{"since=start", ids[2], "4"},
		{"last=4", "three", "4"},
		{"last_event_id=" + ids[0], ids[2], "4"},
	} {
		r := request{"GET", "/v1/topics/a?wait=0s&" + c.query, []string{"Accept: text/plain"}, ""}
		if c.header != "" {
			r.header = append(r.header, "Last-Event-ID: "+c.header)
		}
		a := s.ask(t, r)
		if got := strings.ReplaceAll(a.body, "\n", ""); a.status != 200 || got != c.want {
			t.Errorf("?%s, header %q: %d %q, want %q", c.query, c.header, a.status, got, c.want)
		}
	}
}

// TestPolicyDecidesWhatFollowsAGap asks for an ID of another log.
func TestPolicyDecidesWhatFollowsAGap(t *testing.T) {
	for word, want := range map[string]string{"diff": "12", "all": "12", "reset": "", "": "12"} {
		s := serve(t, hub.Options{})
		s.publish(t, text("a", "1"), text("a", "2"))
		query := "last_event_id=otherlog-1"
		if word != "" {
			query += "&policy=" + word
		}
		a := s.ask(t, request{"GET", "/v1/topics/a?wait=0s&" + query, []string{"Accept: text/plain"}, ""})
		gap, rest, _ := strings.Cut(a.body, "\n")
		if word == "" {
			word = "diff"
		}
		if !strings.HasPrefix(gap, "weir.gap {") || !strings.Contains(gap, `"policy":"`+word+`"`) {
			t.Errorf("policy %s: the gap is %q", word, gap)
		}
		if got := strings.ReplaceAll(rest, "\n", ""); got != want {
			t.Errorf("policy %s: %q follows, want %q", word, got, want)
		}
	}
}

// TestSlowWordsAreUnderstood opens a stream with each.
func TestSlowWordsAreUnderstood(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, word := range []string{"catch-up", "latest", "close"} {
		if resp := s.open(t, request{"GET", "/v1/topics/a?slow=" + word, nil, ""}); resp.StatusCode != 200 {
			t.Errorf("slow=%s: %d", word, resp.StatusCode)
		}
	}
}

// TestTopicsAreSelectedInAllWays reads through each way to name them.
func TestTopicsAreSelectedInAllWays(t *testing.T) {
	s := serve(t, hub.Options{})
	s.publish(t, text("orders/eu/1", "1"), text("orders/us", "2"), text("news", "3"), hub.Message{Topics: []string{"news", "orders/us"}, Data: []byte("4")})
	for _, c := range []struct {
		request
		want string
	}{
		{request{"GET", "/v1/topics/news?since=start&wait=0s", nil, ""}, "34"},
		{request{"GET", "/v1/topics/orders/*?since=start&wait=0s", nil, ""}, "24"},
		{request{"GET", "/v1/topics/orders/%2A?since=start&wait=0s", nil, ""}, "24"},
		{request{"GET", "/v1/topics/orders/**?since=start&wait=0s", nil, ""}, "124"},
		{request{"GET", "/v1/topics/**?since=start&wait=0s", nil, ""}, "1234"},
		{request{"GET", "/v1/events?topic=news&since=start&wait=0s", nil, ""}, "34"},
		{request{"GET", "/v1/events?topic=news&topic=orders/*/1&since=start&wait=0s", nil, ""}, "134"},
		{request{"GET", "/v1/events?topic=news&topic=orders/us&topic=news&since=start&wait=0s", nil, ""}, "234"},
		{request{"POST", "/v1/events", []string{form}, "topic=news&topic=orders%2F*%2F1&since=start&wait=0s"}, "134"},
		{request{"POST", "/v1/events?since=start&topic=news", []string{form}, "topic=orders/us&wait=0s"}, "234"},
		{request{"POST", "/v1/events?topic=news&since=start&wait=0s", []string{form + "; charset=UTF-8"}, ""}, "34"},
		{request{"QUERY", "/v1/events", []string{form}, "topic=news&since=start&wait=0s"}, "34"},
	} {
		c.header = append(c.header, "Accept: text/plain")
		a := s.ask(t, c.request)
		if got := strings.ReplaceAll(a.body, "\n", ""); a.status != 200 || got != c.want {
			t.Errorf("%s %s %s: %d %q, want %q", c.method, c.target, c.body, a.status, got, c.want)
		}
	}
}

// TestFormOpensAStream subscribes by POST without waiting for a poll.
func TestFormOpensAStream(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, method := range []string{"POST", "QUERY"} {
		resp := s.open(t, request{method, "/v1/events", []string{form, "Accept: text/plain"}, "topic=a&topic=b"})
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Fatalf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
		eventually(t, "the reader follows", func() bool { return s.hub.Stats().Readers > 0 })
		s.publish(t, text("b", "hello"))
		if got := readLine(t, bufio.NewReader(resp.Body)); got != "hello\n" {
			t.Errorf("%s: got %q", method, got)
		}
	}
}

// TestFormThatIsTooLargeIsRefused checks both a stated and an unstated size.
func TestFormThatIsTooLargeIsRefused(t *testing.T) {
	s := serve(t, hub.Options{})
	body := "topic=" + strings.Repeat("x", 256<<10)
	a := s.ask(t, request{"POST", "/v1/events", []string{form}, body})
	if a.status != 413 || a.Code != "too_large" || a.Detail != "form is 262150 bytes, limit 262144" || a.Limit != 262144 {
		t.Errorf("stated: %d %s", a.status, a.body)
	}
	a = s.ask(t, request{"POST", "/v1/events", []string{form}, ""}.chunked(body))
	if a.status != 413 || a.Code != "too_large" || a.Detail != "form is more than 262144 bytes, the limit" || a.Limit != 262144 {
		t.Errorf("unstated: %d %s", a.status, a.body)
	}
}
