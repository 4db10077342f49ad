package stream_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

func TestHandlerReturnsAndStreamLivesOn(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		conns := make(chan *stream.Conn, 1)
		returned := make(chan struct{})
		s.serve(s.options(stream.Options{}).SSE(func(c *stream.Conn, r *http.Request) {
			defer close(returned)
			conns <- c
		}))
		resp := s.get(t)
		<-returned
		body := bufio.NewReader(resp.Body)
		if got := line(t, body); !strings.HasPrefix(got, "retry: ") {
			t.Fatalf("first line %q, want a reconnection time", got)
		}
		c := <-conns
		if err := c.Send(sse.Event{Type: "tick", ID: "7", Data: []byte("a\nb")}); err != nil {
			t.Fatal(err)
		}
		skipTo(t, body, "event: tick")
		for _, want := range []string{"id: 7", "data: a", "data: b", ""} {
			if got := line(t, body); got != want {
				t.Fatalf("line %q, want %q", got, want)
			}
		}
		if c.State() != stream.Established {
			t.Fatalf("state %v, want established", c.State())
		}
	})
}

func TestFirstEventArrivesWhileHandlerRuns(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		release := make(chan struct{})
		s.serve(s.options(stream.Options{}).SSE(func(c *stream.Conn, r *http.Request) {
			c.Send(sse.Text("early"))
			<-release
		}))
		defer close(release)
		skipTo(t, bufio.NewReader(s.get(t).Body), "data: early")
	})
}

func TestResponseHead(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Mine", "yes")
			s.options(stream.Options{AllowOrigins: []string{"https://a.example"}, AllowCredentials: true}).
				SSE(func(*stream.Conn, *http.Request) {}).ServeHTTP(w, r)
		}))
		resp := s.get(t, "Origin: https://a.example")
		if resp.StatusCode != 200 {
			t.Fatalf("status %d", resp.StatusCode)
		}
		want := map[string]string{
			"Content-Type":                     "text/event-stream",
			"X-Accel-Buffering":                "no",
			"X-Mine":                           "yes",
			"Access-Control-Allow-Origin":      "https://a.example",
			"Access-Control-Allow-Credentials": "true",
			"Connection":                       "keep-alive",
		}
		switch s.kind {
		case "http2": // forbidden there
			want["Connection"] = ""
		case "tls": // it serves nothing after the stream; the client notes "close" and drops the header
			want["Connection"] = ""
			if !resp.Close {
				t.Error("the response does not say that it is the last")
			}
		}
		for name, value := range want {
			if got := resp.Header.Get(name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
		if cc := resp.Header.Get("Cache-Control"); !strings.Contains(cc, "no-cache") {
			t.Errorf("Cache-Control: %q, want no-cache in it", cc)
		}
		if resp.Header.Get("Date") == "" {
			t.Error("no Date")
		}
	})
}

func TestProxiesMayBeLetBuffer(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		s.serve(s.options(stream.Options{ProxyBuffering: true}).SSE(func(*stream.Conn, *http.Request) {}))
		if got := s.get(t).Header.Values("X-Accel-Buffering"); len(got) > 0 {
			t.Errorf("X-Accel-Buffering is %q, want none", got)
		}
	})
}

func TestCloseReasonWhenClientGoes(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		reason := make(chan stream.Reason, 1)
		done := make(chan struct{})
		s.serve(s.options(stream.Options{}).SSE(func(c *stream.Conn, r *http.Request) {
			c.OnClose(func(r stream.Reason) { reason <- r })
			context.AfterFunc(r.Context(), func() { close(done) })
		}))
		resp := s.get(t)
		line(t, bufio.NewReader(resp.Body))
		resp.Body.Close()
		if got := <-reason; got != stream.ClientGone {
			t.Fatalf("reason %v, want client gone", got)
		}
		<-done
	})
}

func TestWritesAfterEndSendNothing(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		errs := make(chan error, 2)
		s.serve(s.options(stream.Options{}).Chunked("text/plain", func(c *stream.Conn, r *http.Request) {
			c.WriteString("one ")
			c.WriteString("two")
			c.End()
			_, err := c.WriteString("three")
			errs <- err
			errs <- c.End()
		}))
		body, err := io.ReadAll(s.get(t, "Accept: */*").Body)
		if err != nil || string(body) != "one two" {
			t.Fatalf("body %q, %v; want the two pieces and a clean end", body, err)
		}
		for range 2 {
			if err := <-errs; !errors.Is(err, stream.ErrClosed) {
				t.Fatalf("after the end: %v, want ErrClosed", err)
			}
		}
	})
}

// TestConnectionServesAgainAfterEnd reads two ended streams and an ordinary
// answer from one connection, the second request being sent before the first
// stream has ended.
func TestConnectionServesAgainAfterEnd(t *testing.T) {
	engine := stream.NewEngine(1)
	mux := http.NewServeMux()
	mux.Handle("/chunks", stream.Options{Engine: engine}.Chunked("text/plain", func(c *stream.Conn, r *http.Request) {
		c.WriteString("piece")
		c.After(20*time.Millisecond, func() { c.End() })
	}))
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ordinary") })
	srv := httptest.NewServer(mux)
	defer srv.Close()

	req := func(path string) string { return "GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n" }
	for _, pipelined := range []string{req("/chunks") + req("/chunks") + req("/plain"), req("/chunks")} {
		nc := rawRequest(t, srv.URL, pipelined)
		r := bufio.NewReader(nc)
		if pipelined == req("/chunks") { // send the others while the stream is open
			if _, err := r.Peek(1); err != nil {
				t.Fatal(err)
			}
			io.WriteString(nc, req("/chunks")+req("/plain"))
		}
		for _, want := range []string{"piece", "piece", "ordinary"} {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatalf("response for %q: %v", want, err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
				t.Fatalf("body %q, %v; want %q", body, err, want)
			}
		}
		nc.Close()
	}
	eventually(t, "no streams", func() bool { return engine.Len() == 0 })
}

func TestChunkedPiecesArriveSeparately(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		next := make(chan string)
		defer close(next)
		s.serve(s.options(stream.Options{}).Chunked("text/html", func(c *stream.Conn, r *http.Request) {
			for piece := range next {
				c.WriteString(piece)
			}
		}))
		resp := s.get(t, "Accept: text/html")
		if ct := resp.Header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
			t.Errorf("Content-Type %q", ct)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Error("no nosniff")
		}
		padding := make([]byte, 1024)
		if _, err := io.ReadFull(resp.Body, padding); err != nil || !strings.HasPrefix(string(padding), "<!--") {
			t.Fatalf("padding %.20q, %v; want a comment of 1 KiB", padding, err)
		}
		for _, piece := range []string{"第一段<br>", "second<br>"} {
			next <- piece
			got := make([]byte, len(piece))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != piece {
				t.Fatalf("got %q, %v; want %q before the next is written", got, err, piece)
			}
		}
	})
}

func TestFullBufferRefusesWholeEvents(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		conns := make(chan *stream.Conn, 1)
		s.serve(s.options(stream.Options{Buffer: 4096}).Chunked("text/plain", func(c *stream.Conn, r *http.Request) { conns <- c }))
		resp := s.get(t, "Accept: */*")
		c := <-conns
		var reading atomic.Bool
		drained := make(chan struct{})
		c.OnDrain(func() {
			if reading.Swap(false) {
				close(drained)
			}
		})

		piece := strings.Repeat("x", 1023) + "\n"
		accepted := 0
		for { // until the kernel's buffers and ours are full
			_, err := c.WriteString(piece)
			if err == nil {
				accepted++
			} else if !errors.Is(err, stream.ErrFull) {
				t.Fatal(err)
			} else if settled(c) {
				break
			}
		}
		reading.Store(true)
		go func() {
			<-drained
			c.End()
		}()
		body, err := io.ReadAll(resp.Body)
		if err != nil || len(body) != accepted*len(piece) {
			t.Fatalf("read %d bytes, %v; want the %d accepted pieces = %d bytes", len(body), err, accepted, accepted*len(piece))
		}
	})
}

// settled reports whether c stays full: nothing moves any more.
func settled(c *stream.Conn) bool {
	n := c.Buffered()
	for since := time.Now(); c.Buffered() == n; runtime.Gosched() {
		if time.Since(since) > 200*time.Millisecond {
			return n > 0
		}
	}
	return false
}

func TestCopyWaitsForRoom(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		const size = 8 << 20
		s.serve(s.options(stream.Options{Buffer: 64 << 10}).Chunked("application/octet-stream", func(c *stream.Conn, r *http.Request) {
			n, err := io.Copy(c, io.LimitReader(zeros{}, size))
			if n != size || err != nil {
				t.Errorf("copied %d, %v", n, err)
			}
			c.End()
		}))
		n, err := io.Copy(io.Discard, s.get(t, "Accept: */*").Body)
		if n != size || err != nil {
			t.Fatalf("read %d, %v; want %d", n, err, size)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPanicInCallbackClosesOnlyItsStream(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		reasons := make(chan stream.Reason, 1)
		s.serve(s.options(stream.Options{Log: discard}).SSE(func(c *stream.Conn, r *http.Request) {
			if r.Header.Get("X-Panic") == "" {
				c.Send(sse.Text("fine"))
				return
			}
			c.OnClose(func(r stream.Reason) { reasons <- r })
			c.After(time.Millisecond, func() { panic("on purpose") })
		}))
		s.get(t, "X-Panic: 1")
		if got := <-reasons; got != stream.Panicked {
			t.Fatalf("reason %v, want panicked", got)
		}
		skipTo(t, bufio.NewReader(s.get(t).Body), "data: fine")
	})
}

func TestServerShutdownEndsStreams(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		reason := make(chan stream.Reason, 1)
		s.serve(s.options(stream.Options{}).SSE(func(c *stream.Conn, r *http.Request) {
			c.OnClose(func(r stream.Reason) { reason <- r })
		}))
		resp := s.get(t)
		go s.http.Config.Shutdown(context.Background())
		body, err := io.ReadAll(resp.Body)
		if err != nil || strings.Count(string(body), "retry: ") != 2 {
			t.Fatalf("body %q, %v; want a clean end after a second retry line", body, err)
		}
		if got := <-reason; got != stream.Shutdown {
			t.Fatalf("reason %v, want shutdown", got)
		}
	})
}

func TestLastEventIDFromHeaderAndQuery(t *testing.T) {
	ids := make(chan string, 1)
	engine := stream.NewEngine(1)
	srv := httptest.NewServer(stream.Options{Engine: engine}.SSE(func(c *stream.Conn, r *http.Request) {
		ids <- c.LastEventID()
		c.End()
	}))
	defer srv.Close()
	for query, want := range map[string]string{
		"":                 "from-header",
		"?last_event_id=q": "from-header",
	} {
		req, _ := http.NewRequest("GET", srv.URL+query, nil)
		req.Header.Set("Last-Event-ID", "from-header")
		if _, err := http.DefaultClient.Do(req); err != nil {
			t.Fatal(err)
		}
		if got := <-ids; got != want {
			t.Errorf("%q with header: %q, want %q", query, got, want)
		}
	}
	for _, name := range []string{"last_event_id", "lastEventID", "lastEventId", "Last-Event-ID"} {
		resp, err := http.Get(srv.URL + "?" + name + "=x%2041")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := <-ids; got != "x 41" {
			t.Errorf("query %s: %q, want %q", name, got, "x 41")
		}
	}
}

// TestOpenedComesBeforeTheHandlerWithItsRequest also looks whether the end is counted.
func TestOpenedComesBeforeTheHandlerWithItsRequest(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		type opening struct {
			conn   *stream.Conn
			method string
			value  any
		}
		type key struct{}
		opened, handled := make(chan opening, 10), make(chan *stream.Conn, 10)
		o := s.options(stream.Options{Opened: func(c *stream.Conn, r *http.Request) {
			opened <- opening{c, r.Method, r.Context().Value(key{})}
		}})
		inner := o.SSE(func(c *stream.Conn, r *http.Request) {
			if len(opened) != 1 {
				t.Errorf("the handler runs after %d openings, want 1", len(opened))
			}
			handled <- c
		})
		s.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "mine")))
		}))
		if resp, err := s.http.Client().Head(s.http.URL); err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		skipTo(t, bufio.NewReader(s.get(t).Body), "")
		c := <-handled
		select {
		case got := <-opened:
			if got.conn != c || got.method != "GET" || got.value != "mine" {
				t.Errorf("Opened got %+v, want %p and the request", got, c)
			}
		default:
			t.Fatal("Opened was not called")
		}
		if n := s.engine.Closed(stream.Ended); n != 0 {
			t.Errorf("%d streams have ended, want 0", n)
		}
		c.End()
		eventually(t, "the end is counted", func() bool { return s.engine.Closed(stream.Ended) == 1 })
		if len(opened) > 0 {
			t.Error("Opened was called for HEAD")
		}
	})
}
