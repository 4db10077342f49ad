package stream_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// TestNoticesAreEventsWithoutID reads exact bytes. The last is what EventSource keeps.
func TestNoticesAreEventsWithoutID(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		at := time.Now().Add(time.Hour).Truncate(time.Second)
		s.serve(s.options(stream.Options{Retry: -1}).SSE(func(c *stream.Conn, r *http.Request) {
			c.Send(sse.Event{ID: "7", Data: []byte("x")})
			for _, n := range []stream.Notice{stream.ExpiringNotice(at), stream.RevokedNotice(), {Type: "app.mine", Data: "<a>\n"}} {
				if err := c.Notify(n); err != nil {
					t.Error(err)
				}
			}
			c.EndWith(stream.Revoked)
			if err := c.Notify(stream.RevokedNotice()); err != stream.ErrClosed {
				t.Errorf("after the end: %v, want %v", err, stream.ErrClosed)
			}
		}))
		body, err := io.ReadAll(s.get(t).Body)
		want := ":\nid: 7\ndata: x\n\n" +
			"event: weir.expiring\ndata: {\"expires\":\"" + at.UTC().Format(time.RFC3339) + "\",\"seconds\":" + `(3599|3600)` + "}\n\n" +
			"event: weir.revoked\ndata: {}\n\n" +
			"event: app.mine\ndata: \"<a>\\n\"\n\n"
		want = regexp.MustCompile(`[{}\\]`).ReplaceAllString(want, `\$0`)
		if err != nil || !regexp.MustCompile("^"+want+"$").Match(body) {
			t.Errorf("read %q, %v\nwant %q", body, err, want)
		}
		var d sse.Decoder
		if err := d.Feed(body, func(sse.Event) error { return nil }); err != nil || d.LastEventID() != "7" {
			t.Errorf("the reader's last event ID is %q, %v; want 7", d.LastEventID(), err)
		}
	})
}

func TestExpiringNoticeCountsSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for in, want := range map[time.Duration]int64{30 * time.Second: 30, 1700 * time.Millisecond: 2, 0: 0, -time.Hour: 0} {
			if got := fmt.Sprint(stream.ExpiringNotice(time.Now().Add(in)).Data); got != fmt.Sprintf("{%s %d}", time.Now().Add(in).UTC().Format(time.RFC3339), want) {
				t.Errorf("in %v: data is %s, want %d seconds", in, got, want)
			}
		}
	})
}

// TestNoticesThatCannotBeSentAreErrors sends nothing in place of them.
func TestNoticesThatCannotBeSentAreErrors(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		errs := make(chan error, 3)
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			send := func(c *stream.Conn, r *http.Request) {
				errs <- c.Notify(stream.Notice{Type: "a\nb"})
				errs <- c.Notify(stream.Notice{Type: "a", Data: func() {}})
				errs <- c.Notify(stream.Notice{Type: "a"})
				c.End()
			}
			o := s.options(stream.Options{Retry: -1})
			if r.URL.Path == "/chunked" {
				o.Chunked("text/plain", send).ServeHTTP(w, r)
			} else {
				o.SSE(send).ServeHTTP(w, r)
			}
		}))
		if body, err := io.ReadAll(s.get(t).Body); string(body) != ":\nevent: a\ndata: null\n\n" || err != nil {
			t.Errorf("read %q, %v", body, err)
		}
		if err := <-errs; !errors.Is(err, sse.ErrField) {
			t.Errorf("bad type: %v, want %v", err, sse.ErrField)
		}
		if err := <-errs; err == nil {
			t.Error("data that is not JSON was accepted")
		}
		if err := <-errs; err != nil {
			t.Error(err)
		}
		s.http.URL += "/chunked"
		if body, err := io.ReadAll(s.get(t, "Accept: */*").Body); len(body) > 0 || err != nil {
			t.Errorf("a format without notices: read %q, %v", body, err)
		}
		for range 3 {
			if err := <-errs; err != nil {
				t.Errorf("a format without notices: %v", err)
			}
		}
	})
}

// TestRefusalIsAStreamOfOneEvent also holds that readers come back at various times, and
// none at once.
func TestRefusalIsAStreamOfOneEvent(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		retry := time.Minute
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stream.Refuse(w, stream.Refusal{Code: "too_many_connections", Detail: "50 < 51\n", Status: 429}, retry)
		}))
		seen := make(map[int]bool)
		pattern := regexp.MustCompile(`^retry: (\d+)\nevent: weir.error\ndata: \{"code":"too_many_connections","detail":"50 < 51\\n","status":429\}\n\n$`)
		for i := range 20 {
			want := 60_000
			if i >= 18 {
				retry, want = 0, 500
			}
			resp := s.get(t)
			body, err := io.ReadAll(resp.Body)
			m := pattern.FindSubmatch(body)
			if err != nil || m == nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-cache, no-store, no-transform" {
				t.Fatalf("%s %v %q, %v", resp.Status, resp.Header, body, err)
			}
			ms, _ := strconv.Atoi(string(m[1]))
			if ms < want*4/5 || ms > want*6/5 {
				t.Errorf("retry: %d, want %d plus or minus a fifth", ms, want)
			}
			seen[ms] = true
		}
		if len(seen) < 5 {
			t.Errorf("20 readers come back after only %d different times", len(seen))
		}
		if resp, err := s.http.Client().Head(s.http.URL); err != nil || resp.StatusCode != 200 || resp.ContentLength <= 0 {
			t.Errorf("HEAD: %v, %v", resp, err)
		}
		if n := s.engine.Len(); n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}
