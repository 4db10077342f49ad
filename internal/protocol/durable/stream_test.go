package durable_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/durable"
)

// TestRequestsAreAnsweredAsTheProtocolSays sends one request after the other to one
// server.
func TestRequestsAreAnsweredAsTheProtocolSays(t *testing.T) {
	s := serve(t)
	closed := "Stream-Closed: true"
	for _, c := range []struct {
		method, target, body string
		header               []string
		want                 string
	}{
		{"GET", "a", "", nil, "404 not_found"},
		{"HEAD", "a", "", nil, "404"},
		{"POST", "a", "x", []string{text}, "404 not_found"},
		{"DELETE", "a", "", nil, "404 not_found"},

		{"PUT", "a", "", []string{text}, "201"},
		{"PUT", "a", "", []string{text}, "200"},
		{"PUT", "a", "", []string{"Content-Type: Text/Plain; charset=utf-8"}, "200"},
		{"PUT", "a", "", nil, "409 exists"},
		{"PUT", "a", "", []string{text, "Stream-TTL: 5"}, "409 exists"},
		{"PUT", "a", "", []string{text, "Stream-Expires-At: 2100-01-01T00:00:00Z"}, "409 exists"},
		{"PUT", "a", "", []string{text, closed}, "409 exists"},
		{"PUT", "a", "", []string{text, "Stream-Closed: yes"}, "200"},
		{"PUT", "b", "", []string{text, "Stream-TTL: 5", "Stream-Expires-At: 2100-01-01T00:00:00Z"}, "400 bad_expiry"},
		{"PUT", "b", "", []string{text, "Stream-TTL: 05"}, "400 bad_expiry"},
		{"PUT", "b", "", []string{text, "Stream-TTL: 99999999999"}, "400 bad_expiry"},
		{"PUT", "b", "", []string{text, "Stream-Expires-At: tomorrow"}, "400 bad_expiry"},
		{"PUT", "b", "", []string{"Content-Type: nonsense/"}, "400 bad_content_type"},
		{"PUT", "b", "", []string{"Content-Type: text/" + strings.Repeat("x", 255)}, "400 bad_content_type"},
		{"PUT", "b", "{", []string{jsn}, "400 bad_json"},
		{"GET", "b", "", nil, "404 not_found"},

		{"POST", "a", "x", []string{text}, "204"},
		{"POST", "a", "", []string{text}, "400 empty_body"},
		{"POST", "a", "x", nil, "400 bad_content_type"},
		{"POST", "a", "x", []string{"Content-Type: /"}, "400 bad_content_type"},
		{"POST", "a", "1", []string{jsn}, "409 content_type"},
		{"POST", "a", "x", []string{text, "Content-Encoding: gzip"}, "415 unsupported_media_type"},
		{"POST", "a", strings.Repeat("x", maxBytes+1), []string{text}, "413 too_large"},
		{"PUT", "b", strings.Repeat("x", maxBytes+1), []string{text}, "413 too_large"},
		{"POST", "a", strings.Repeat("x", maxBytes), []string{text}, "204"},
		{"POST", "a", "x", []string{text, "Stream-Seq: " + strings.Repeat("x", 256)}, "400 bad_seq"},
		{"POST", "a", "x", []string{text, "Stream-Seq: b"}, "204"},
		{"POST", "a", "x", []string{text, "Stream-Seq: b"}, "409 stream_seq"},
		{"POST", "a", "x", []string{text, "Stream-Seq: B"}, "409 stream_seq"},
		{"POST", "a", "x", []string{text, "Stream-Seq: ba"}, "204"},

		{"GET", "a?offset=", "", nil, "400 bad_offset"},
		{"GET", "a?offset=-1&offset=-1", "", nil, "400 bad_offset"},
		{"GET", "a?offset=-2", "", nil, "400 bad_offset"},
		{"GET", "a?offset=1_2", "", nil, "400 bad_offset"},
		{"GET", "a?offset=%zz", "", nil, "400 bad_parameter"},
		{"GET", "a?offset=-1&live=ever", "", nil, "400 bad_parameter"},
		{"GET", "a?live=sse", "", nil, "400 bad_offset"},
		{"GET", "a?live=long-poll", "", nil, "400 bad_offset"},
		{"GET", "a?nonsense=1", "", nil, "200"},

		{"PATCH", "a", "", nil, "405 method_not_allowed"},
		{"OPTIONS", "a", "", nil, "204"},
		{"PUT", "a//b", "", []string{text}, "400 bad_topic"},
		{"PUT", "a/%2e%2e/b", "", []string{text}, "400 bad_topic"},
		{"PUT", "*", "", []string{text}, "400 bad_topic"},
		{"PUT", strings.Repeat("x", 256), "", []string{text}, "400 bad_topic"},
		{"PUT", "weir/stats", "", []string{text}, "400 bad_topic"},
		{"PUT", "__ds/subscriptions/a", "{}", []string{jsn}, "501 not_implemented"},

		{"POST", "a", "", []string{closed}, "204"},
		{"POST", "a", "", []string{closed}, "204"},
		{"POST", "a", "x", []string{text}, "409 closed"},
		{"POST", "a", "x", []string{jsn}, "409 closed"},
		{"POST", "a", "x", []string{text, closed}, "409 closed"},
		{"PUT", "a", "", []string{text}, "409 exists"},
		{"PUT", "a", "", []string{text, closed}, "200"},
		{"DELETE", "a", "", nil, "204"},
		{"GET", "a", "", nil, "404 not_found"},
		{"PUT", "a", "anew", []string{text}, "201"},
		{"GET", "a", "", nil, "200"},
	} {
		a := s.want(s.do(c.method, c.target, c.body, c.header...), c.want)
		if got := a.Header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s %s: X-Content-Type-Options is %q", c.method, c.target, got)
		}
		if a.StatusCode >= 400 && a.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: an error may be kept by caches: %v", c.method, c.target, a.Header)
		}
	}
}

func TestAnswersSayWhatTheStreamIs(t *testing.T) {
	s := serve(t)
	created := s.create("a/b", "Stream-TTL: 60")
	if got, want := created.Header.Get("Location"), s.http.URL+prefix+"a/b"; got != want {
		t.Errorf("Location is %q, want %q", got, want)
	}
	end := s.append("a/b", "x").next()
	for _, c := range []struct {
		a    answer
		want map[string]string
	}{
		{created, map[string]string{"Content-Type": "text/plain", "Stream-Closed": ""}},
		{s.do("HEAD", "a/b", ""), map[string]string{"Content-Type": "text/plain", "Stream-TTL": "60", "Stream-Expires-At": "",
			"Stream-Next-Offset": end, "Cache-Control": "no-store", "Stream-Closed": ""}},
		{s.do("GET", "a/b", ""), map[string]string{"Content-Type": "text/plain", "Stream-Next-Offset": end, "Stream-Up-To-Date": "true",
			"Stream-Closed": "", "Cache-Control": "public, max-age=60", "Content-Security-Policy": "sandbox", "Weir-Trimmed": ""}},
		{s.do("POST", "a/b", "", "Stream-Closed: true"), map[string]string{"Stream-Next-Offset": end, "Stream-Closed": "true"}},
		{s.do("POST", "a/b", "y", text), map[string]string{"Stream-Next-Offset": end, "Stream-Closed": "true"}},
		{s.do("HEAD", "a/b", ""), map[string]string{"Stream-Next-Offset": end, "Stream-Closed": "true"}},
		{s.do("GET", "a/b", ""), map[string]string{"Stream-Next-Offset": end, "Stream-Closed": "true", "Stream-Up-To-Date": "true"}},
		{s.do("GET", "a/b?offset=now", ""), map[string]string{"Stream-Next-Offset": end, "Stream-Closed": "true", "Stream-Up-To-Date": "true",
			"Cache-Control": "no-store", "Etag": ""}},
		{s.do("PUT", "c", "x", text, "Stream-Closed: true"), map[string]string{"Stream-Closed": "true"}},
		{s.do("PUT", "d", "x", text, "Stream-Expires-At: 2100-01-01T01:00:00.5+01:00"), nil},
		{s.do("HEAD", "d", ""), map[string]string{"Stream-Expires-At": "2100-01-01T00:00:00.500Z", "Stream-Ttl": ""}},
		{s.do("GET", "d", "", "Cookie: a=b"), map[string]string{"Cache-Control": "private, max-age=60"}},
		{s.do("GET", "c", "", "Authorization: Bearer x"), map[string]string{"Cache-Control": "private, max-age=60, stale-while-revalidate=300"}},
		{s.do("PUT", "e", "", "X: y"), map[string]string{"Content-Type": "application/octet-stream"}},
	} {
		for name, want := range c.want {
			if got := c.a.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q, want %q", c.a.Request.Method, c.a.Request.URL, name, got, want)
			}
		}
	}
}

// TestLargeStreamsComeInPages reads more than fits into one answer.
func TestLargeStreamsComeInPages(t *testing.T) {
	s := serve(t)
	s.create("a")
	var want strings.Builder
	for i := range 25 {
		data := strings.Repeat(string(rune('a'+i)), maxBytes)
		s.append("a", data)
		want.WriteString(data)
	}
	s.want(s.do("POST", "a", "", "Stream-Closed: true"), "204")
	var got strings.Builder
	pages := 0
	for offset, upToDate := "-1", false; !upToDate; pages++ {
		a := s.want(s.do("GET", "a?offset="+offset, ""), "200")
		got.WriteString(a.body)
		if a.next() <= offset && offset != "-1" {
			t.Fatalf("offset %s is followed by %s", offset, a.next())
		}
		upToDate = a.Header.Get("Stream-Up-To-Date") == "true"
		if closed := a.Header.Get("Stream-Closed") == "true"; closed != upToDate {
			t.Errorf("page %d: Stream-Closed is %v, Stream-Up-To-Date %v", pages, closed, upToDate)
		}
		offset = a.next()
	}
	if got.String() != want.String() || pages != 3 {
		t.Errorf("read %d bytes in %d pages, want %d in 3", got.Len(), pages, want.Len())
	}
}

// A lastWord is a body whose sender ends the server.
type lastWord struct {
	io.Reader
	durable *durable.Handler
}

func (w lastWord) Read(p []byte) (int, error) {
	w.durable.Drain()
	return w.Reader.Read(p)
}

// TestAppendsThatOutlastTheServerAreRefused drains while a body is on its way.
func TestAppendsThatOutlastTheServerAreRefused(t *testing.T) {
	for _, method := range []string{"POST", "PUT"} {
		inBubble(t, func(b *bubble) {
			b.want(b.do("PUT", "a", "", text), 201)
			r := httptest.NewRequest(method, "http://weir.test"+prefix+"a", lastWord{strings.NewReader("x"), b.durable})
			setHeader(r, []string{text})
			w := httptest.NewRecorder()
			b.durable.ServeHTTP(w, r)
			if a := b.want(b.do("GET", "a", ""), 200); w.Code != 503 || a.body != "" {
				t.Errorf("%s is answered with %d, and the stream has %q", method, w.Code, a.body)
			}
		})
	}
}

func TestETagsChangeWithWhatIsRead(t *testing.T) {
	s := serveHub(t, newHub(t, hub.Retention{MaxEntries: 2}), options())
	s.create("a")
	seen := map[string]string{}
	for _, c := range []struct {
		what   string
		do     func()
		target string
	}{
		{"nothing", func() {}, "a"},
		{"the first message", func() { s.append("a", "1") }, "a"},
		{"the second", func() { s.append("a", "2") }, "a"},
		{"the third, which pushes the first out", func() { s.append("a", "3") }, "a"},
		{"nothing kept any more", func() { s.hub.Log().Forget("a") }, "a"},
		{"the end", func() { s.do("POST", "a", "", "Stream-Closed: true") }, "a"},
		{"another stream", func() { s.do("DELETE", "a", ""); s.create("a") }, "a"},
	} {
		c.do()
		a := s.want(s.do("GET", c.target, ""), "200")
		tag := a.Header.Get("ETag")
		if before, twice := seen[tag]; twice || tag == "" {
			t.Errorf("%s: ETag %s, as with %s", c.what, tag, before)
		}
		seen[tag] = c.what
		for _, header := range []string{tag, "W/" + tag, `"x", ` + tag, "*"} {
			again := s.want(s.do("GET", c.target, "", "If-None-Match: "+header), "304")
			if again.Header.Get("ETag") != tag || again.next() != a.next() || again.body != "" {
				t.Errorf("%s: If-None-Match %s: %v", c.what, header, again)
			}
		}
		s.want(s.do("GET", c.target, "", `If-None-Match: "x"`), "200")
	}
}

func TestPagesOfOtherOriginsNeedLeave(t *testing.T) {
	s := serve(t)
	s.create("a")
	stranger := "Origin: https://stranger.example"
	for _, method := range []string{"PUT", "POST", "DELETE"} {
		s.want(s.do(method, "a", "x", text, stranger, "Sec-Fetch-Site: cross-site"), "403 cross_origin")
	}
	s.want(s.do("POST", "a", "x", text, "Origin: "+friend, "Sec-Fetch-Site: cross-site"), "204")
	for _, c := range []struct{ origin, allowed, resource string }{
		{"Origin: " + friend, friend, "cross-origin"},
		{stranger, "", "same-origin"},
		{"X: y", "", "same-origin"},
	} {
		a := s.do("GET", "a", "", c.origin)
		if got := a.Header.Get("Access-Control-Allow-Origin"); got != c.allowed {
			t.Errorf("%s: Access-Control-Allow-Origin is %q, want %q", c.origin, got, c.allowed)
		}
		if got := a.Header.Get("Cross-Origin-Resource-Policy"); got != c.resource {
			t.Errorf("%s: Cross-Origin-Resource-Policy is %q, want %q", c.origin, got, c.resource)
		}
		exposed := a.Header.Get("Access-Control-Expose-Headers")
		if c.allowed != "" != strings.Contains(exposed, "Stream-SSE-Data-Encoding") {
			t.Errorf("%s: Access-Control-Expose-Headers is %q", c.origin, exposed)
		}
	}
	a := s.want(s.do("OPTIONS", "a", "", "Origin: "+friend, "Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: stream-ttl"), "204")
	if methods := a.Header.Get("Access-Control-Allow-Methods"); !strings.Contains(methods, "PUT") || !strings.Contains(methods, "DELETE") {
		t.Errorf("Access-Control-Allow-Methods is %q", methods)
	}
	if headers := a.Header.Get("Access-Control-Allow-Headers"); !strings.Contains(headers, "Stream-TTL") || !strings.Contains(headers, "If-None-Match") {
		t.Errorf("Access-Control-Allow-Headers is %q", headers)
	}
	if a := s.do("OPTIONS", "a", "", stranger, "Access-Control-Request-Method: PUT"); a.Header.Get("Access-Control-Allow-Headers") != "" {
		t.Errorf("a preflight of a stranger: %v", a)
	}
}
