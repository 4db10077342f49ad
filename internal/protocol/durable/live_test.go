package durable_test

import (
	"encoding/base64"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/hub"
)

// TestLongPollsEndWithWhatHappens waits at the end of a stream until something
// happens to it.
func TestLongPollsEndWithWhatHappens(t *testing.T) {
	for _, c := range []struct {
		what   string
		do     func(b *bubble)
		status int
		body   string
		closed bool
	}{
		{"an append", func(b *bubble) { b.do("POST", "a", "x", text) }, 200, "x", false},
		{"a message", func(b *bubble) { b.publish("a", "x") }, 200, "x", false},
		{"the end", func(b *bubble) { b.do("POST", "a", "", "Stream-Closed: true") }, 204, "", true},
		{"the end with data", func(b *bubble) { b.do("POST", "a", "x", text, "Stream-Closed: true") }, 200, "x", true},
		{"a deletion", func(b *bubble) { b.do("DELETE", "a", "") }, 404, "", false},
		{"another stream", func(b *bubble) { b.do("DELETE", "a", ""); b.do("PUT", "a", "", text) }, 404, "", false},
		{"the end of the server", func(b *bubble) { b.durable.EndReads() }, 204, "", false},
		{"nothing", func(b *bubble) { b.publish("elsewhere", "x") }, 204, "", false},
	} {
		for _, offset := range []string{"now", "-1"} {
			inBubble(t, func(b *bubble) {
				b.want(b.do("PUT", "a", "", text), 201)
				wait := b.later("GET", "a?live=long-poll&offset="+offset)
				before := time.Now()
				c.do(b)
				a := b.want(wait(), c.status)
				if waited := time.Since(before); waited > 0 != (c.what == "nothing") {
					t.Errorf("%s: answered after %v", c.what, waited)
				}
				if a.StatusCode >= 400 {
					return
				}
				if a.body != c.body || a.Header.Get("Stream-Closed") == "true" != c.closed || a.Header.Get("Stream-Up-To-Date") != "true" {
					t.Errorf("%s: %v", c.what, a)
				}
				if (a.Header.Get("Stream-Cursor") == "") != c.closed {
					t.Errorf("%s: the cursor is %q", c.what, a.Header.Get("Stream-Cursor"))
				}
			})
		}
	}
}

func TestLongPollsTimeOut(t *testing.T) {
	o := options()
	o.Wait = time.Millisecond
	s := serveHub(t, newHub(t, hub.Retention{}), o)
	end := s.create("a").next()
	a := s.want(s.do("GET", "a?live=long-poll&offset=-1", ""), "204")
	if a.next() != end || a.Header.Get("Stream-Up-To-Date") != "true" || a.Header.Get("Stream-Cursor") == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v, want the offset %s", a, end)
	}
}

func TestCursorsRise(t *testing.T) {
	s := serve(t)
	s.create("a")
	s.append("a", "x")
	sent := ""
	for range 5 {
		a := s.want(s.do("GET", "a?live=long-poll&offset=-1&cursor="+sent, ""), "200")
		_, c := s.follow("a?live=sse&offset=-1&cursor=" + sent).page()
		before, _ := strconv.ParseUint(sent, 10, 64)
		for _, cursor := range []string{a.Header.Get("Stream-Cursor"), c.StreamCursor} {
			now, err := strconv.ParseUint(cursor, 10, 64)
			if err != nil || now <= before || before > 0 && now > before+180 {
				t.Fatalf("after cursor %q comes %q", sent, cursor)
			}
			sent = cursor
		}
	}
	for _, bad := range []string{"x", "-1", "99999999999999999999"} {
		a := s.want(s.do("GET", "a?live=long-poll&offset=-1&cursor="+bad, ""), "200")
		if n, err := strconv.ParseUint(a.Header.Get("Stream-Cursor"), 10, 64); err != nil || n > 1<<40 {
			t.Errorf("cursor %q is answered with %q", bad, a.Header.Get("Stream-Cursor"))
		}
	}
}

func TestFollowersGetEverythingInOrder(t *testing.T) {
	s := serve(t)
	s.create("a")
	s.append("a", "one")
	s.append("a", " two")
	f := s.follow("a?live=sse&offset=-1")
	if got := f.resp.Header.Get("Cache-Control") + f.resp.Header.Get("Stream-Sse-Data-Encoding"); got != "no-cache" {
		t.Errorf("the head is %v", f.resp.Header)
	}
	data, c := f.page()
	if strings.Join(data, "") != "one two" || !c.UpToDate || c.StreamClosed || c.StreamCursor == "" {
		t.Errorf("first page: %q %+v", data, c)
	}
	for _, body := range []string{" leading", "a\nb", "trailing\n", "\n", "event: control\n\ndata: x", "ü\x00"} {
		want := s.append("a", body).next()
		data, c := f.page()
		if strings.Join(data, "") != body || c.StreamNextOffset != want || !c.UpToDate {
			t.Errorf("after %q: %q %+v, want offset %s", body, data, c, want)
		}
	}
	s.append("a", "a\rb\r\nc\r")
	if data, _ := f.page(); strings.Join(data, "") != "a\nb\nc\n" {
		t.Errorf("line ends come as %q", data)
	}
	end := s.want(s.do("POST", "a", "last", text, "Stream-Closed: true"), "204").next()
	data, c = f.page()
	for !c.StreamClosed { // the data may be seen before the end
		_, c = f.page()
	}
	if strings.Join(data, "") != "last" || c.StreamNextOffset != end || c.StreamCursor != "" || !c.UpToDate {
		t.Errorf("last page: %q %+v, want offset %s", data, c, end)
	}
	f.end()
	f = s.follow("a?live=sse&offset=now")
	if data, c := f.page(); len(data) > 0 || !c.StreamClosed || c.StreamNextOffset != end {
		t.Errorf("of a closed stream: %q %+v", data, c)
	}
	f.end()
	s.create("b")
	f = s.follow("b?live=sse&offset=-1")
	f.page()
	s.want(s.do("POST", "b", "", "Stream-Closed: true"), "204")
	if data, c := f.page(); len(data) > 0 || !c.StreamClosed {
		t.Errorf("of a stream that is closed: %q %+v", data, c)
	}
	f.end()
}

// TestFollowersGetLargeStreamsPageByPage reads more than one event holds.
func TestFollowersGetLargeStreamsPageByPage(t *testing.T) {
	s := serve(t)
	s.want(s.do("PUT", "a", "", "Content-Type: image/png"), "201")
	body := strings.Repeat("\x00\xff\r\n", maxBytes/4)
	for range 5 {
		s.want(s.do("POST", "a", body, "Content-Type: image/png"), "204")
	}
	f := s.follow("a?live=sse&offset=-1")
	if got := f.resp.Header.Get("Stream-Sse-Data-Encoding"); got != "base64" {
		t.Errorf("Stream-SSE-Data-Encoding is %q", got)
	}
	for i := range 5 {
		data, c := f.page()
		got, err := base64.StdEncoding.DecodeString(strings.Join(data, ""))
		if err != nil || string(got) != body || len(data) != 1 {
			t.Fatalf("page %d has %d bytes in %d events, %v; want %d in one", i, len(got), len(data), err, len(body))
		}
		if c.UpToDate != (i == 4) {
			t.Errorf("page %d: up to date is %v", i, c.UpToDate)
		}
	}
}

func TestFollowersAreLeftWhenTheStreamIsGone(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(s *server)
	}{
		{"deleted", func(s *server) { s.do("DELETE", "a", "") }},
		{"trimmed", func(s *server) { s.append("a", "1"); s.append("a", "2") }},
		{"hub closed", func(s *server) { s.hub.Close() }},
	} {
		keep := hub.Retention{}
		if c.what == "trimmed" {
			keep.MaxEntries = -1
		}
		s := serveHub(t, newHub(t, keep), options())
		s.create("a")
		f := s.follow("a?live=sse&offset=now")
		f.page()
		c.do(s)
		if ev, err := f.next(); err == nil {
			t.Errorf("%s: the stream goes on with %+v", c.what, ev)
		}
	}
}

// A gate holds up the first flush of a response.
type gate struct {
	*httptest.ResponseRecorder
	open chan struct{}
}

func (g gate) Flush() { <-g.open }

// TestTheLastAppendIsDelivered appends and ends while a follower is busy, often enough
// for it to hear of either first.
func TestTheLastAppendIsDelivered(t *testing.T) {
	for range 30 {
		inBubble(t, func(b *bubble) {
			b.want(b.do("PUT", "a", "", text), 201)
			g := gate{httptest.NewRecorder(), make(chan struct{})}
			go b.durable.ServeHTTP(g, httptest.NewRequest("GET", "http://weir.test"+prefix+"a?live=sse&offset=now", nil))
			synctest.Wait()
			b.publish("a", "last")
			b.durable.EndReads()
			close(g.open)
			synctest.Wait()
			if got := g.Body.String(); !strings.Contains(got, "data:last\n") {
				t.Errorf("the follower has got %q", got)
			}
		})
	}
}

// TestTheEndOfTheServerDeliversWhatWasAppended drains while somebody follows.
func TestTheEndOfTheServerDeliversWhatWasAppended(t *testing.T) {
	s := serve(t)
	s.create("a")
	f := s.follow("a?live=sse&offset=now")
	f.page()
	s.append("a", "last")
	s.durable.Drain()
	s.want(s.do("POST", "a", "x", text), "503 unavailable")
	s.want(s.do("PUT", "b", "", text), "503 unavailable")
	s.want(s.do("DELETE", "a", ""), "503 unavailable")
	s.durable.EndReads()
	if data, _ := f.page(); strings.Join(data, "") != "last" {
		t.Errorf("the last page is %q", data)
	}
	f.end()
	s.read("a", "last")
	f = s.follow("a?live=sse&offset=-1")
	if data, c := f.page(); strings.Join(data, "") != "last" || !c.UpToDate {
		t.Errorf("a late follower gets %q %+v", data, c)
	}
	f.end()
}

func TestFollowersComeBackAfterAWhile(t *testing.T) {
	o := options()
	o.Rotate, o.Heartbeat = 50*time.Millisecond, time.Millisecond
	s := serveHub(t, newHub(t, hub.Retention{}), o)
	s.create("a")
	f := s.follow("a?live=sse&offset=now")
	_, c := f.page()
	f.end()
	if n := strings.Count(f.raw.String(), "\n:\n"); n == 0 {
		t.Errorf("no heartbeat in %q", f.raw.String())
	}
	s.append("a", "meanwhile")
	if data, _ := s.follow("a?live=sse&offset=" + c.StreamNextOffset).page(); strings.Join(data, "") != "meanwhile" {
		t.Errorf("the follower that comes back gets %q", data)
	}
}
