package stream_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/stream"
)

// A guest counts how often it has left.
type guest struct {
	left   atomic.Int32
	onLeft func()
}

func (g *guest) Left() {
	if g.left.Add(1); g.onLeft != nil {
		g.onLeft()
	}
}

// admits returns an Admit that gives every stream the guest.
func admits(g stream.Guest) func(http.ResponseWriter, *http.Request) (stream.Guest, error) {
	return func(http.ResponseWriter, *http.Request) (stream.Guest, error) { return g, nil }
}

// TestGuestLeavesOnceHoweverTheStreamEnds also looks whether it leaves before the
// program's functions are called, and knows why.
func TestGuestLeavesOnceHoweverTheStreamEnds(t *testing.T) {
	endings := map[stream.Reason]func(s *server, c *stream.Conn, resp *http.Response){
		stream.ClientGone: func(_ *server, _ *stream.Conn, resp *http.Response) { resp.Body.Close() },
		stream.Ended:      func(_ *server, c *stream.Conn, _ *http.Response) { c.End(); c.Close() },
		stream.Expired:    func(_ *server, c *stream.Conn, _ *http.Response) { c.EndWith(stream.Expired) },
		stream.Revoked: func(_ *server, c *stream.Conn, _ *http.Response) {
			c.EndWith(stream.Revoked)
			c.EndWith(stream.Expired)
		},
		stream.Panicked: func(_ *server, c *stream.Conn, _ *http.Response) { c.After(1, func() { panic("on purpose") }) },
		stream.Shutdown: func(s *server, _ *stream.Conn, _ *http.Response) { s.engine.Close() },
	}
	engines(t, func(t *testing.T, s *server) {
		conns, known := make(chan *stream.Conn, 1), make(chan stream.Reason, 1)
		o := s.options(stream.Options{
			Log:   discard,
			Admit: func(http.ResponseWriter, *http.Request) (stream.Guest, error) { return new(guest), nil },
			Opened: func(c *stream.Conn, _ *http.Request) {
				c.Guest().(*guest).onLeft = func() { known <- c.Reason() }
			},
		})
		s.serve(o.SSE(func(c *stream.Conn, r *http.Request) { conns <- c }))
		for reason, end := range endings {
			resp := s.get(t)
			c := <-conns
			g := c.Guest().(*guest)
			if n := g.left.Load(); n != 0 {
				t.Fatalf("%v: the guest has left %d times before the end", reason, n)
			}
			closed := make(chan int32, 1)
			c.OnClose(func(stream.Reason) { closed <- g.left.Load() })
			end(s, c, resp)
			if n := <-closed; n != 1 {
				t.Errorf("%v: OnClose was called when the guest had left %d times, want once", reason, n)
			}
			if got := <-known; got != reason {
				t.Errorf("the guest left for %v, want %v", got, reason)
			}
			resp.Body.Close()
			eventually(t, "the stream is gone", func() bool { return s.engine.Len() == 0 })
			if n := g.left.Load(); n != 1 {
				t.Errorf("%v: the guest has left %d times", reason, n)
			}
		}
	})
}

// TestPlaceIsFreeWhenTheClientSeesTheEnd comes back at once, many times.
func TestPlaceIsFreeWhenTheClientSeesTheEnd(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		var inside, refused atomic.Int32
		g := &guest{onLeft: func() { inside.Add(-1) }}
		s.serve(s.options(stream.Options{Admit: func(http.ResponseWriter, *http.Request) (stream.Guest, error) {
			if inside.Add(1) > 1 {
				refused.Add(1)
			}
			return g, nil
		}}).SSE(func(c *stream.Conn, r *http.Request) { c.Close() }))
		for range 100 {
			resp := s.get(t)
			_, _ = io.Copy(io.Discard, resp.Body) // closed at once, it may be cut off
			resp.Body.Close()
		}
		if n := refused.Load(); n > 0 || g.left.Load() != 100 {
			t.Errorf("%d of 100 came when the one before had not left; %d have", n, g.left.Load())
		}
	})
}

// TestRefusedRequestGetsNoStream also has the guest of others stay.
func TestRefusedRequestGetsNoStream(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		s.serve(s.options(stream.Options{
			Admit: func(w http.ResponseWriter, r *http.Request) (stream.Guest, error) {
				http.Error(w, "full", http.StatusTooManyRequests)
				return nil, errors.New("full")
			},
			Opened: func(*stream.Conn, *http.Request) { t.Error("Opened was called") },
		}).SSE(func(*stream.Conn, *http.Request) { t.Error("the handler was called") }))
		resp := s.get(t)
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 429 || string(body) != "full\n" || err != nil || strings.Contains(resp.Header.Get("Content-Type"), "event-stream") {
			t.Errorf("%s %v %q, %v; want what Admit has answered", resp.Status, resp.Header, body, err)
		}
	})
}

func TestOpenReturnsTheErrorOfAdmit(t *testing.T) {
	full := errors.New("full")
	op, err := stream.NewOpener(stream.Options{Admit: func(http.ResponseWriter, *http.Request) (stream.Guest, error) { return nil, full }}, stream.EventStream)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := op.Open(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), nil); c != nil || err != full {
		t.Errorf("Open: %v, %v; want no stream and the error", c, err)
	}
}

// A stub is a ResponseWriter of which nothing works but what is set.
type stub struct {
	header http.Header
	hijack func() (net.Conn, *bufio.ReadWriter, error)
	write  func([]byte) (int, error)
}

func (s *stub) Header() http.Header {
	if s.header == nil {
		s.header = make(http.Header)
	}
	return s.header
}
func (s *stub) WriteHeader(int)             {}
func (s *stub) Write(b []byte) (int, error) { return s.write(b) }
func (s *stub) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if s.hijack == nil {
		return nil, nil, http.ErrNotSupported
	}
	return s.hijack()
}

// TestGuestLeavesIfTheStreamDoesNotOpen goes through the ways in which it may not.
func TestGuestLeavesIfTheStreamDoesNotOpen(t *testing.T) {
	gone := func() (net.Conn, *bufio.ReadWriter, error) {
		here, there := net.Pipe()
		there.Close()
		return here, bufio.NewReadWriter(bufio.NewReader(here), bufio.NewWriter(here)), nil
	}
	broken := errors.New("broken on purpose")
	for name, w := range map[string]*stub{
		"client vanished during the take-over":   {hijack: gone},
		"hijack failed":                          {hijack: func() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, broken }, write: io.Discard.Write},
		"client vanished before the first bytes": {write: func([]byte) (int, error) { return 0, broken }},
		"server cannot stream":                   {write: io.Discard.Write},
		"write panicked":                         {write: func([]byte) (int, error) { panic(http.ErrAbortHandler) }},
	} {
		engine, g := stream.NewEngine(1), new(guest)
		h := stream.Options{Engine: engine, Admit: admits(g), Opened: func(*stream.Conn, *http.Request) { t.Errorf("%s: Opened was called", name) }}.
			SSE(func(*stream.Conn, *http.Request) { t.Errorf("%s: the handler was called", name) })
		func() {
			defer func() { _ = recover() }()
			h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		}()
		if g.left.Load() != 1 || engine.Len() != 0 || engine.Sockets() != 0 {
			t.Errorf("%s: the guest has left %d times, and there are %d streams; want once, none", name, g.left.Load(), engine.Len())
		}
	}
}

func TestHeadHasNoGuest(t *testing.T) {
	s := httptest.NewServer(stream.Options{Admit: func(http.ResponseWriter, *http.Request) (stream.Guest, error) {
		t.Error("Admit was called")
		return nil, nil
	}}.SSE(nil))
	defer s.Close()
	if resp, err := http.Head(s.URL); err != nil || resp.StatusCode != 200 {
		t.Errorf("HEAD: %v, %v", resp, err)
	}
}

// TestPanicInOpenedLeavesNothingBehind would leave a descriptor, and the guest inside.
func TestPanicInOpenedLeavesNothingBehind(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		g := new(guest)
		o := s.options(stream.Options{Opened: func(c *stream.Conn, _ *http.Request) {
			c.SetGuest(g)
			panic(http.ErrAbortHandler)
		}})
		s.serve(o.SSE(func(*stream.Conn, *http.Request) { t.Error("the handler was called") }))
		req, _ := http.NewRequest("GET", s.http.URL, nil)
		if resp, err := s.http.Client().Do(req); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		eventually(t, "the guest has left", func() bool { return g.left.Load() == 1 && s.engine.Len() == 0 })
		if n := s.engine.Closed(stream.Panicked); n != 1 {
			t.Errorf("%d streams were closed for the panic, want 1", n)
		}
	})
}

// TestStreamMayEndBeforeItsHandlerRuns ends it where it is first known to others; a
// stream that was there before must not notice.
func TestStreamMayEndBeforeItsHandlerRuns(t *testing.T) {
	for how, end := range map[string]func(*stream.Conn){
		"EndWith": func(c *stream.Conn) { c.EndWith(stream.Revoked) },
		"Close":   func(c *stream.Conn) { c.Close() },
	} {
		engines(t, func(t *testing.T, s *server) {
			g := new(guest)
			conns := make(chan *stream.Conn, 2)
			first := true
			s.serve(s.options(stream.Options{Opened: func(c *stream.Conn, _ *http.Request) {
				if !first {
					c.SetGuest(g)
					end(c)
					eventually(t, how+" has closed the stream", func() bool { return g.left.Load() == 1 })
				}
				first = false
			}}).Chunked("text/plain", func(c *stream.Conn, _ *http.Request) { conns <- c }))
			old := s.get(t, "Accept: */*")
			there := <-conns
			young := s.get(t, "Accept: */*")
			if body, _ := io.ReadAll(young.Body); len(body) > 0 {
				t.Errorf("%s: read %q of the ended stream", how, body)
			}
			if _, err := (<-conns).WriteString("late"); err != stream.ErrClosed {
				t.Errorf("%s: write: %v, want %v", how, err, stream.ErrClosed)
			}
			there.WriteString("still here")
			there.End()
			if body, err := io.ReadAll(old.Body); string(body) != "still here" || err != nil {
				t.Errorf("%s: the other stream got %q, %v", how, body, err)
			}
			if g.left.Load() != 1 {
				t.Errorf("%s: the guest has left %d times", how, g.left.Load())
			}
		})
	}
}

func TestSecondGuestIsRefused(t *testing.T) {
	engine := stream.NewEngine(1)
	panicked := make(chan bool, 1)
	o := stream.Options{Engine: engine, Admit: admits(new(guest)), Opened: func(c *stream.Conn, _ *http.Request) {
		defer func() { panicked <- recover() != nil }()
		c.SetGuest(new(guest))
	}}
	srv := httptest.NewServer(o.SSE(func(c *stream.Conn, _ *http.Request) { c.End() }))
	defer srv.Close()
	if resp, err := http.Get(srv.URL); err == nil {
		resp.Body.Close()
	}
	if !<-panicked {
		t.Error("a stream was given two guests")
	}
}

// TestGuestThatPanicsStopsNoLoop has all streams on one.
func TestGuestThatPanicsStopsNoLoop(t *testing.T) {
	var log bytes.Buffer
	engine := stream.NewEngine(1)
	closed := make(chan struct{})
	o := stream.Options{Engine: engine, Log: slog.New(slog.NewTextHandler(&log, nil)), Admit: admits(&guest{onLeft: func() { panic("on purpose") }})}
	srv := httptest.NewServer(o.SSE(func(c *stream.Conn, _ *http.Request) {
		c.OnClose(func(stream.Reason) { close(closed) })
		c.End()
	}))
	defer srv.Close()
	resp, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Error(err)
	}
	<-closed
	eventually(t, "the stream is gone", func() bool { return engine.Len() == 0 })
	if !strings.Contains(log.String(), "on purpose") {
		t.Errorf("logged %q, want the panic", log.String())
	}
}
