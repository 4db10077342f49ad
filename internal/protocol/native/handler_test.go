package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weirstream/weir/hub"
)

const (
	ndjson = "Content-Type: application/x-ndjson"
	form   = "Content-Type: application/x-www-form-urlencoded"
)

// TestRequestsAreRefusedWithTheReason states for each request the exact status,
// code and detail of its problem.
func TestRequestsAreRefusedWithTheReason(t *testing.T) {
	s := serve(t, hub.Options{})
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		request
		status       int
		code, detail string
	}{
		// Paths.
		{request{"GET", "/v1/nope", nil, ""}, 404, "not_found", `no such resource: "/v1/nope"`},
		{request{"GET", "/v1/topics", nil, ""}, 404, "not_found", `no such resource: "/v1/topics"`},
		{request{"GET", "/v1/events/", nil, ""}, 404, "not_found", `no such resource: "/v1/events/"`},
		{request{"GET", "/", nil, ""}, 404, "not_found", `no such resource: "/"`},
		{request{"GET", "/v1/" + long, nil, ""}, 404, "not_found", `no such resource: "/v1/` + long[:76] + `"…`},
		{request{"OPTIONS", "/v1/nope", nil, ""}, 404, "not_found", `no such resource: "/v1/nope"`},

		// Topics to publish to.
		{request{"POST", "/v1/topics/", nil, "x"}, 400, "bad_topic", `topic "": empty`},
		{request{"POST", "/v1/topics/a/", nil, "x"}, 400, "bad_topic", `topic "a/": empty segment at byte 2`},
		{request{"POST", "/v1/topics//a", nil, "x"}, 400, "bad_topic", `topic "/a": empty segment at byte 0`},
		{request{"POST", "/v1/topics/a//b", nil, "x"}, 400, "bad_topic", `topic "a//b": empty segment at byte 2`},
		{request{"POST", "/v1/topics/a%2F", nil, "x"}, 400, "bad_topic", `topic "a/": empty segment at byte 2`},
		{request{"POST", "/v1/topics/../a", nil, "x"}, 400, "bad_topic", `topic "../a": segment ".." at byte 0`},
		{request{"POST", "/v1/topics/a/%2e%2E/b", nil, "x"}, 400, "bad_topic", `topic "a/../b": segment ".." at byte 2`},
		{request{"POST", "/v1/topics/a/./b", nil, "x"}, 400, "bad_topic", `topic "a/./b": segment "." at byte 2`},
		{request{"POST", "/v1/topics/a%00b", nil, "x"}, 400, "bad_topic", `topic "a\x00b": control character U+0000 at byte 1`},
		{request{"POST", "/v1/topics/a%0d%0ab", nil, "x"}, 400, "bad_topic", `topic "a\r\nb": control character U+000D at byte 1`},
		{request{"POST", "/v1/topics/a%ffb", nil, "x"}, 400, "bad_topic", `topic "a\xffb": invalid UTF-8 at byte 1`},
		{request{"POST", "/v1/topics/a/*", nil, "x"}, 400, "bad_topic", `topic "a/*": "*" in a name at byte 2`},
		{request{"POST", "/v1/topics/" + long, nil, "x"}, 400, "bad_topic", `topic starting "` + long[:32] + `": 300 bytes, limit 255`},
		{request{"POST", "/v1/topics/weir/stats", nil, "x"}, 400, "bad_topic", `topic "weir/stats": the prefix weir/ is reserved for the server`},
		{request{"POST", "/v1/topics/%77eir%2Fstats", nil, "x"}, 400, "bad_topic", `topic "weir/stats": the prefix weir/ is reserved for the server`},

		// Patterns to follow.
		{request{"GET", "/v1/topics/", nil, ""}, 400, "bad_pattern", `pattern "": empty`},
		{request{"GET", "/v1/topics/a/", nil, ""}, 400, "bad_pattern", `pattern "a/": empty segment at byte 2`},
		{request{"GET", "/v1/topics/a/**/b", nil, ""}, 400, "bad_pattern", `pattern "a/**/b": "**" before the last segment at byte 2`},
		{request{"GET", "/v1/topics/a*", nil, ""}, 400, "bad_pattern", `pattern "a*": "*" within a segment at byte 1`},
		{request{"GET", "/v1/topics/a%0Ab", nil, ""}, 400, "bad_pattern", `pattern "a\nb": control character U+000A at byte 1`},
		{request{"GET", "/v1/topics/" + long, nil, ""}, 400, "bad_pattern", `pattern starting "` + long[:32] + `": 300 bytes, limit 255`},
		{request{"GET", "/v1/events?topic=a&topic=", nil, ""}, 400, "bad_pattern", `pattern "": empty`},
		{request{"GET", "/v1/events?topic=a&topic=b&topic=c&topic=d", nil, ""}, 400, "bad_pattern", `4 topics, from 1 to 3 are possible`},
		{request{"GET", "/v1/events?topic=a&topic=b&topic=c&topic=d&wait=0s", nil, ""}, 400, "bad_pattern", `4 topics, from 1 to 3 are possible`},
		{request{"GET", "/v1/events", nil, ""}, 400, "bad_parameter", `no topic: name at least one, as in /v1/events?topic=news`},

		// Methods.
		{request{"PUT", "/v1/topics/a", nil, "x"}, 405, "method_not_allowed", `method "PUT" is not possible here; possible are GET, HEAD, POST, DELETE, OPTIONS`},
		{request{"QUERY", "/v1/topics/a", nil, ""}, 405, "method_not_allowed", `method "QUERY" is not possible here; possible are GET, HEAD, POST, DELETE, OPTIONS`},
		{request{"DELETE", "/v1/events?topic=a", nil, ""}, 405, "method_not_allowed", `method "DELETE" is not possible here; possible are GET, HEAD, POST, QUERY, OPTIONS`},
		{request{"FORGE<script>", "/v1/events", nil, ""}, 400, "", ""}, // net/http's own: no token

		// Parameters.
		{request{"GET", "/v1/topics/a?sinse=start", nil, ""}, 400, "unknown_parameter", `unknown parameter "sinse"; known are policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},
		{request{"GET", "/v1/topics/a?topic=b", nil, ""}, 400, "unknown_parameter", `unknown parameter "topic"; known are policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},
		{request{"GET", "/v1/events?topic=a&zz=1&aa=1", nil, ""}, 400, "unknown_parameter", `unknown parameter "aa"; known are topic, policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},
		{request{"POST", "/v1/topics/a?tpye=x", nil, "x"}, 400, "unknown_parameter", `unknown parameter "tpye"; known are type, id, key, state, retry, idempotency_key`},
		{request{"POST", "/v1/events?topic=a", []string{ndjson}, `{"data":"x"}`}, 400, "unknown_parameter", `unknown parameter "topic"; known are idempotency_key`},
		{request{"DELETE", "/v1/topics/a?since=start", nil, ""}, 400, "unknown_parameter", `unknown parameter "since"; there is none here`},
		{request{"GET", "/v1/topics/a?%0d%0aX:%20y=1", nil, ""}, 400, "unknown_parameter", `unknown parameter "\r\nX: y"; known are policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},
		{request{"GET", "/v1/topics/a?since=%zz", nil, ""}, 400, "bad_parameter", `the query cannot be read: invalid URL escape "%zz"`},
		{request{"GET", "/v1/topics/a?since=start;last=3", nil, ""}, 400, "bad_parameter", `the query cannot be read: invalid semicolon separator in query`},
		{request{"POST", "/v1/topics/a?type=%", nil, "x"}, 400, "bad_parameter", `the query cannot be read: invalid URL escape "%"`},
		{request{"HEAD", "/v1/topics/a?since=%zz", nil, ""}, 400, "", ""},
		{request{"GET", "/v1/topics/a?since=start&since=now", nil, ""}, 400, "bad_parameter", `since is given 2 times: want it once`},
		{request{"POST", "/v1/topics/a?id=1&id=2&id=3", nil, "x"}, 400, "bad_parameter", `id is given 3 times: want it once`},
		{request{"GET", "/v1/topics/a?since=start&last=3", nil, ""}, 400, "bad_parameter", `since and last both say where to start: want one of them`},
		{request{"GET", "/v1/topics/a?since=start&last_event_id=x", nil, ""}, 400, "bad_parameter", `last_event_id and since both say where to start: want one of them`},
		{request{"GET", "/v1/topics/a?lastEventID=y&last_event_id=x", nil, ""}, 400, "bad_parameter", `last_event_id and lastEventID both say where to start: want one of them`},
		{request{"GET", "/v1/topics/a?since=start&last=3", []string{"Last-Event-ID: x"}, ""}, 400, "bad_parameter", `since and last both say where to start: want one of them`},
		{request{"GET", "/v1/topics/a?since=yesterday", nil, ""}, 400, "bad_parameter", `since is "yesterday": want "start", "now", an age like "10m", or an RFC 3339 time`},
		{request{"GET", "/v1/topics/a?since=", nil, ""}, 400, "bad_parameter", `since is "": want "start", "now", an age like "10m", or an RFC 3339 time`},
		{request{"GET", "/v1/topics/a?since=-10m", nil, ""}, 400, "bad_parameter", `since is "-10m": want "start", "now", an age like "10m", or an RFC 3339 time`},
		{request{"GET", "/v1/topics/a?last=-1", nil, ""}, 400, "bad_parameter", `last is "-1": want a number from 0 to 1000000`},
		{request{"GET", "/v1/topics/a?last=1000001", nil, ""}, 400, "bad_parameter", `last is "1000001": want a number from 0 to 1000000`},
		{request{"GET", "/v1/topics/a?policy=some", nil, ""}, 400, "bad_parameter", `policy is "some": want diff, all, reset`},
		{request{"GET", "/v1/topics/a?policy=", nil, ""}, 400, "bad_parameter", `policy is "": want diff, all, reset`},
		{request{"GET", "/v1/topics/a?slow=down", nil, ""}, 400, "bad_parameter", `slow is "down": want catch-up, latest, close`},
		{request{"GET", "/v1/topics/a?envelope=yes", nil, ""}, 400, "bad_parameter", `envelope is "yes": want true or false`},
		{request{"GET", "/v1/topics/a?wait=30", nil, ""}, 400, "bad_parameter", `wait is "30": want a duration from 0s to 5m0s`},
		{request{"GET", "/v1/topics/a?wait=", nil, ""}, 400, "bad_parameter", `wait is "": want a duration from 0s to 5m0s`},
		{request{"GET", "/v1/topics/a?wait=-1s", nil, ""}, 400, "bad_parameter", `wait is "-1s": want a duration from 0s to 5m0s`},
		{request{"GET", "/v1/topics/a?wait=5m1ns", nil, ""}, 400, "bad_parameter", `wait is "5m1ns": want a duration from 0s to 5m0s`},
		{request{"GET", "/v1/topics/a?wait=" + long, nil, ""}, 400, "bad_parameter", `wait is "` + long[:80] + `"…: want a duration from 0s to 5m0s`},
		{request{"POST", "/v1/topics/a?retry=-1", nil, "x"}, 400, "bad_parameter", `retry is "-1": want milliseconds from 0 to 86400000`},
		{request{"POST", "/v1/topics/a?retry=86400001", nil, "x"}, 400, "bad_parameter", `retry is "86400001": want milliseconds from 0 to 86400000`},
		{request{"POST", "/v1/topics/a?retry=1s", nil, "x"}, 400, "bad_parameter", `retry is "1s": want milliseconds from 0 to 86400000`},
		{request{"POST", "/v1/topics/a?key=%ff", nil, "x"}, 400, "bad_parameter", `key is "\xff": want UTF-8`},

		// Idempotency keys.
		{request{"POST", "/v1/topics/a", []string{"Idempotency-Key:"}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/topics/a", []string{`Idempotency-Key: ""`}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/topics/a", []string{"Idempotency-Key: a b"}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "a b": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/topics/a", []string{`Idempotency-Key: "a`}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "\"a": want one string that ends with a quote, \ in it only before \ and "`},
		{request{"POST", "/v1/topics/a", []string{"Idempotency-Key: " + long[:256]}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key has 256 bytes, limit 255`},
		{request{"POST", "/v1/topics/a", []string{"Idempotency-Key: a", "Idempotency-Key: a"}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is given 2 times: want it once`},
		{request{"POST", "/v1/topics/a?idempotency_key=b", []string{"Idempotency-Key: a"}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "a", but idempotency_key is "b": want one key`},
		{request{"POST", "/v1/topics/a?idempotency_key=", []string{"Idempotency-Key: a"}, "x"}, 400, "bad_idempotency_key", `Idempotency-Key is "a", but idempotency_key is "": want one key`},
		{request{"POST", "/v1/topics/a?idempotency_key=", nil, "x"}, 400, "bad_idempotency_key", `idempotency_key is "": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/topics/a?idempotency_key=%C3%BC", nil, "x"}, 400, "bad_idempotency_key", `idempotency_key is "ü": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/topics/a?idempotency_key=" + long[:256], nil, "x"}, 400, "bad_idempotency_key", `idempotency_key has 256 bytes, limit 255`},
		{request{"POST", "/v1/topics/a?idempotency_key=1&idempotency_key=1", nil, "x"}, 400, "bad_parameter", `idempotency_key is given 2 times: want it once`},
		{request{"POST", "/v1/events", []string{ndjson, "Idempotency-Key: a b"}, `{"topic":"a"}`}, 400, "bad_idempotency_key", `Idempotency-Key is "a b": want 1 to 255 bytes of visible ASCII`},
		{request{"POST", "/v1/events?idempotency_key=%7f", []string{ndjson}, `{"topic":"a"}`}, 400, "bad_idempotency_key", `idempotency_key is "\x7f": want 1 to 255 bytes of visible ASCII`},
		{request{"GET", "/v1/topics/a?idempotency_key=a", nil, ""}, 400, "unknown_parameter", `unknown parameter "idempotency_key"; known are policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},

		// IDs and types.
		{request{"POST", "/v1/topics/a?id=1%0a2", nil, "x"}, 400, "bad_id", `id "1\n2": line feed at byte 1`},
		{request{"POST", "/v1/topics/a?id=1%0d2", nil, "x"}, 400, "bad_id", `id "1\r2": carriage return at byte 1`},
		{request{"POST", "/v1/topics/a?id=1%002", nil, "x"}, 400, "bad_id", `id "1\x002": NUL at byte 1`},
		{request{"POST", "/v1/topics/a?id=%ff", nil, "x"}, 400, "bad_id", `id "\xff": invalid UTF-8 at byte 0`},
		{request{"POST", "/v1/topics/a?id=abcdefgh-7", nil, "x"}, 400, "bad_id", `"abcdefgh-7" has the form of the server's own IDs`},
		{request{"POST", "/v1/topics/a?type=a%0a%0adata:%20forged", nil, "x"}, 400, "bad_type", `event "a\n\ndata: forged": line feed at byte 1`},
		{request{"POST", "/v1/topics/a?type=%00", nil, "x"}, 400, "bad_type", `event "\x00": NUL at byte 0`},

		// Media types.
		{request{"GET", "/v1/topics/a", []string{"Accept: text/html"}, ""}, 406, "not_acceptable", `Accept is "text/html"; possible are text/event-stream, application/x-ndjson, text/plain`},
		{request{"GET", "/v1/topics/a?wait=0s", []string{"Accept: image/png", "Accept: text/*;q=0"}, ""}, 406, "not_acceptable", `Accept is "image/png, text/*;q=0"; possible are text/event-stream, application/x-ndjson, text/plain`},
		{request{"POST", "/v1/events", []string{"Content-Type: text/plain"}, "x"}, 415, "unsupported_media_type", `Content-Type is "text/plain": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe`},
		{request{"POST", "/v1/events", []string{"Content-Type: ;"}, "x"}, 415, "unsupported_media_type", `Content-Type is ";": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe`},
		{request{"POST", "/v1/events", []string{"Content-Type: application/json; charset=latin1"}, "{}"}, 415, "unsupported_media_type", `Content-Type is "application/json; charset=latin1": want UTF-8`},
		{request{"QUERY", "/v1/events", []string{ndjson}, `{"topic":"a"}`}, 415, "unsupported_media_type", `Content-Type is "application/x-ndjson": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe`},
		{request{"QUERY", "/v1/events?topic=a", nil, ""}, 415, "unsupported_media_type", `Content-Type is "": send JSON lines as application/x-ndjson to publish, or application/x-www-form-urlencoded to subscribe`},
		{request{"POST", "/v1/events", []string{form}, `{"topic":"a","data":"x"}`}, 415, "unsupported_media_type", `the body looks like JSON lines, but Content-Type says that it is a form: to publish, send the header Content-Type: application/x-ndjson`},
		{request{"POST", "/v1/topics/a", []string{"Content-Encoding: gzip"}, "x"}, 415, "unsupported_media_type", `Content-Encoding is "gzip": send the body as it is`},
		{request{"POST", "/v1/events", []string{ndjson, "Content-Encoding: br"}, "x"}, 415, "unsupported_media_type", `Content-Encoding is "br": send the body as it is`},

		// Forms.
		{request{"POST", "/v1/events", []string{form}, "topic=a&topics=b"}, 400, "unknown_parameter", `unknown parameter "topics"; known are topic, policy, slow, envelope, wait, last_event_id, lastEventID, lastEventId, Last-Event-ID, since, last`},
		{request{"POST", "/v1/events", []string{form}, "topic=%zz"}, 400, "bad_parameter", `the form cannot be read: invalid URL escape "%zz"`},
		{request{"POST", "/v1/events?since=now", []string{form}, "topic=a&since=start"}, 400, "bad_parameter", `since is given 2 times: want it once`},
		{request{"QUERY", "/v1/events", []string{form}, ""}, 400, "bad_parameter", `no topic: name at least one, as in /v1/events?topic=news`},

		// Forget.
		{request{"DELETE", "/v1/topics/a/*", nil, ""}, 400, "bad_topic", `topic "a/*": "*" in a name at byte 2`},
		{request{"DELETE", "/v1/topics/", nil, ""}, 400, "bad_topic", `topic "": empty`},
		{request{"DELETE", "/v1/topics/weir/stats", nil, ""}, 400, "bad_topic", `topic "weir/stats": the prefix weir/ is reserved for the server`},
	} {
		t.Run(name(c.request), func(t *testing.T) {
			a := s.ask(t, c.request)
			if a.status != c.status || a.Code != c.code || a.Detail != c.detail {
				t.Fatalf("%s %.100s %q: %d %s\n got %s\nwant %s (%d %s)", c.method, c.target, c.header, a.status, a.Code, a.Detail, c.detail, c.status, c.code)
			}
			if c.code == "" {
				return
			}
			if a.Type != "about:blank" || a.Title != http.StatusText(c.status) || a.Status != c.status {
				t.Errorf("problem is %s, want type about:blank, title %q and status %d", a.body, http.StatusText(c.status), c.status)
			}
			for name, want := range map[string]string{"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
				if got := a.header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
	if head := s.hub.Log().Head(); head != 0 {
		t.Errorf("refused requests published %d messages", head)
	}
}

// name is a subtest's name of a request.
func name(r request) string {
	target := r.target
	if len(target) > 40 {
		target = target[:40]
	}
	return fmt.Sprintf("%s %s", r.method, strings.ReplaceAll(strings.TrimPrefix(target, "/v1/"), "/", "|"))
}

// TestMethodNotAllowedNamesTheMethods checks the header that RFC 9110 demands, and
// that OPTIONS says the same.
func TestMethodNotAllowedNamesTheMethods(t *testing.T) {
	s := serve(t, hub.Options{})
	for target, want := range map[string]string{
		"/v1/topics/a": "GET, HEAD, POST, DELETE, OPTIONS",
		"/v1/events":   "GET, HEAD, POST, QUERY, OPTIONS",
	} {
		for method, status := range map[string]int{"PATCH": 405, "OPTIONS": 204} {
			a := s.ask(t, request{method, target, nil, ""})
			if a.status != status || a.header.Get("Allow") != want {
				t.Errorf("%s %s: %d, Allow %q, want %d, %q", method, target, a.status, a.header.Get("Allow"), status, want)
			}
		}
	}
}

// TestTopicIsWhatThePathSays publishes under unusual names and looks for them in
// the log and in Location.
func TestTopicIsWhatThePathSays(t *testing.T) {
	s := serve(t, hub.Options{})
	for _, c := range []struct{ path, topic, location string }{
		{"a", "a", "a"},
		{"a/b", "a/b", "a/b"},
		{"a%2Fb", "a/b", "a/b"}, // an escaped slash is a slash
		{"a%2fb%2Fc", "a/b/c", "a/b/c"},
		{"a+b", "a+b", "a+b"},
		{"a%20b", "a b", "a%20b"},
		{"100%25", "100%", "100%25"},
		{"a%252Fb", "a%2Fb", "a%252Fb"}, // unescaped once
		{"q%3Fx=1", "q?x=1", "q%3Fx=1"},
		{"h%23x", "h#x", "h%23x"},
		{"%E6%97%A5%E6%9C%AC/%F0%9F%8C%8A", "日本/🌊", "%E6%97%A5%E6%9C%AC/%F0%9F%8C%8A"},
		{"%e0%a4%a8", "न", "%E0%A4%A8"},
		{"...", "...", "..."},
		{"%3Cscript%3E", "<script>", "%3Cscript%3E"},
		{"weir", "weir", "weir"}, // only what is below is reserved
		{"weirs/x", "weirs/x", "weirs/x"},
		{strings.Repeat("y", 255), strings.Repeat("y", 255), strings.Repeat("y", 255)},
	} {
		a := s.ask(t, request{"POST", "/v1/topics/" + c.path, nil, c.path})
		if a.status != 201 {
			t.Errorf("POST %q: %d %s", c.path, a.status, a.Detail)
			continue
		}
		if got := a.header.Get("Location"); got != "/v1/topics/"+c.location {
			t.Errorf("POST %q: Location is %q, want %q", c.path, got, "/v1/topics/"+c.location)
		}
		if got := s.data(t, c.topic); len(got) == 0 || got[len(got)-1] != c.path {
			t.Errorf("POST %q: topic %q has %q", c.path, c.topic, got)
		}
		again := s.ask(t, request{"HEAD", a.header.Get("Location"), nil, ""})
		if again.status != 200 || again.header.Get("Weir-Messages") == "0" {
			t.Errorf("HEAD %s: %d, %s messages", a.header.Get("Location"), again.status, again.header.Get("Weir-Messages"))
		}
	}
}
