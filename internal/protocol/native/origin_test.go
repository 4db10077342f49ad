package native_test

import (
	"bufio"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

const (
	friend   = "Origin: https://friend.example"
	stranger = "Origin: https://stranger.example"
)

// TestPagesOfOtherOriginsChangeNothing sends what a foreign page can make a browser
// send without asking first, and what it must ask for.
func TestPagesOfOtherOriginsChangeNothing(t *testing.T) {
	const detail = `a page of another origin, "https://stranger.example", may not send `
	for _, c := range []struct {
		name    string
		origins []string
		header  []string
		refused bool
	}{
		{"no browser", nil, nil, false},
		{"the page of this server", nil, []string{"Origin: http://weir.test", "Sec-Fetch-Site: same-origin"}, false},
		{"the same by an old browser", nil, []string{"Origin: http://weir.test"}, false},
		{"the page behind a proxy that changes Host", nil, []string{"Origin: https://public.example", "Sec-Fetch-Site: same-origin"}, false},
		{"typed by the user", nil, []string{"Sec-Fetch-Site: none"}, false},
		{"a foreign page", nil, []string{stranger, "Sec-Fetch-Site: cross-site"}, true},
		{"a foreign page in an old browser", nil, []string{stranger}, true},
		{"another port of this host", nil, []string{stranger, "Sec-Fetch-Site: same-site"}, true},
		{"a foreign page, others are allowed", []string{"https://friend.example"}, []string{stranger, "Sec-Fetch-Site: cross-site"}, true},
		{"an origin that is the begin of an allowed one", []string{"https://stranger.example.org"}, []string{stranger, "Sec-Fetch-Site: cross-site"}, true},
		{"an allowed page", []string{"https://friend.example"}, []string{friend, "Sec-Fetch-Site: cross-site"}, false},
		{"an allowed page in an old browser", []string{"https://friend.example"}, []string{friend}, false},
		{"any page, as the settings say", []string{"*"}, []string{stranger, "Sec-Fetch-Site: cross-site"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, hub.Options{Stream: stream.Options{AllowOrigins: c.origins}})
			for _, r := range []request{
				{"POST", "/v1/topics/a", append([]string{"Content-Type: text/plain"}, c.header...), "x"},
				{"POST", "/v1/events", append([]string{ndjson}, c.header...), lines(1)},
				{"POST", "/v1/events", c.header, lines(1)},
				{"DELETE", "/v1/topics/zz", c.header, ""},
				{"POST", "/v1/events?topic=a&wait=0s", append([]string{form}, c.header...), ""},
				{"QUERY", "/v1/events?topic=a&wait=0s", append([]string{form}, c.header...), ""},
			} {
				a := s.ask(t, r)
				switch {
				case !c.refused && a.status >= 300:
					t.Errorf("%s %s: %d %s", r.method, r.target, a.status, a.Detail)
				case c.refused && (a.status != 403 || a.Code != "cross_origin" || a.Detail != detail+r.method+": the setting cors.origins does not list it"):
					t.Errorf("%s %s: %d %s %s, want 403 cross_origin", r.method, r.target, a.status, a.Code, a.Detail)
				}
			}
			if head := s.hub.Log().Head(); c.refused != (head == 0) {
				t.Errorf("%d messages were published", head)
			}
			// Reading is the browser's to forbid: without the header it hides the answer.
			a := s.ask(t, request{"GET", "/v1/topics/a?wait=0s", c.header, ""})
			allowed := a.header.Get("Access-Control-Allow-Origin") != ""
			if a.status != 200 || allowed != (c.origins != nil && !c.refused) {
				t.Errorf("GET: %d, allowed %v", a.status, allowed)
			}
		})
	}
}

// TestAllowedPagesReadAndPublish checks the headers that a browser wants to see.
func TestAllowedPagesReadAndPublish(t *testing.T) {
	const exposed = "Idempotency-Replayed, Location, Retry-After, Weir-Last-Event-Id, Weir-Messages, Weir-Bytes, Weir-Oldest-Id, Weir-Newest-Id"
	s := serve(t, hub.Options{Stream: stream.Options{AllowOrigins: []string{"https://friend.example"}, AllowCredentials: true}})
	for _, r := range []request{
		{"POST", "/v1/topics/a", []string{friend}, "x"},
		{"POST", "/v1/topics/*", []string{friend}, "x"}, // a page reads problems, too
		{"GET", "/v1/topics/a?wait=0s", []string{friend}, ""},
		{"GET", "/v1/nope", []string{friend}, ""},
		{"HEAD", "/v1/topics/a", []string{friend}, ""},
		{"POST", "/v1/events", []string{friend, ndjson}, lines(1)},
	} {
		a := s.ask(t, r)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin":      "https://friend.example",
			"Access-Control-Allow-Credentials": "true",
			"Access-Control-Expose-Headers":    exposed,
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", r.method, r.target, name, got, want)
			}
		}
		if vary := strings.Join(a.header["Vary"], ", "); !strings.Contains(vary, "Origin") {
			t.Errorf("%s %s: Vary is %q, want Origin in it", r.method, r.target, vary)
		}
	}
	resp := s.open(t, request{"GET", "/v1/topics/a", []string{friend}, ""})
	if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "https://friend.example" {
		t.Errorf("a stream's Access-Control-Allow-Origin is %q", got)
	}
	readLine(t, bufio.NewReader(resp.Body))
}

// TestPreflightAsksForAllThatPublishingNeeds sends the requests that a browser
// sends before a POST of JSON lines with a key.
func TestPreflightAsksForAllThatPublishingNeeds(t *testing.T) {
	s := serve(t, hub.Options{Stream: stream.Options{AllowOrigins: []string{"https://friend.example"}}})
	ask := []string{"Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type,idempotency-key"}
	for _, target := range []string{"/v1/events", "/v1/topics/a"} {
		a := s.ask(t, request{"OPTIONS", target, append(ask, friend), ""})
		headers := strings.ToLower(a.header.Get("Access-Control-Allow-Headers"))
		if a.status != 204 || !strings.Contains(headers, "content-type") || !strings.Contains(headers, "last-event-id") || !strings.Contains(headers, "idempotency-key") ||
			!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
			t.Errorf("OPTIONS %s: %d %v", target, a.status, a.header)
		}
		a = s.ask(t, request{"OPTIONS", target, append(ask, stranger), ""})
		if got := a.header.Get("Access-Control-Allow-Origin") + a.header.Get("Access-Control-Allow-Methods"); got != "" {
			t.Errorf("OPTIONS %s by a stranger allows %q", target, got)
		}
	}
}

// TestPreflightAllowsTheMethodsOfTheResource: those that OPTIONS and a refusal name.
func TestPreflightAllowsTheMethodsOfTheResource(t *testing.T) {
	s := serve(t, hub.Options{Stream: stream.Options{AllowOrigins: []string{"https://friend.example"}}})
	for target, want := range map[string]string{
		"/v1/topics/a/b": "GET, HEAD, POST, DELETE",
		"/v1/events":     "GET, HEAD, POST, QUERY",
	} {
		a := s.ask(t, request{"OPTIONS", target, []string{friend, "Access-Control-Request-Method: DELETE"}, ""})
		if got := a.header.Get("Access-Control-Allow-Methods"); a.status != 204 || got != want || a.header.Get("Allow") != want+", OPTIONS" {
			t.Errorf("OPTIONS %s: %d, allowed %q, Allow %q; want %s", target, a.status, got, a.header.Get("Allow"), want)
		}
	}
	s.publish(t, text("a", "x"))
	if a := s.ask(t, request{"DELETE", "/v1/topics/a", []string{friend, "Sec-Fetch-Site: cross-site"}, ""}); a.status != 204 || s.data(t, "a") != nil {
		t.Errorf("DELETE by an allowed page: %d, %q are kept", a.status, s.data(t, "a"))
	}
}
