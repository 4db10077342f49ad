package stream_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// TestEndWithCompletesTheResponseWithoutFarewell reads to the end. A retry line would
// keep the reader from coming back at once.
func TestEndWithCompletesTheResponseWithoutFarewell(t *testing.T) {
	for _, reason := range []stream.Reason{stream.Expired, stream.Revoked, stream.MaxAge} {
		engines(t, func(t *testing.T, s *server) {
			reasons, errs := make(chan stream.Reason, 1), make(chan error, 2)
			s.serve(s.options(stream.Options{Retry: -1}).SSE(func(c *stream.Conn, r *http.Request) {
				c.OnClose(func(r stream.Reason) { reasons <- r })
				c.Send(sse.Text("sent before"))
				errs <- c.EndWith(reason)
				errs <- c.EndWith(reason)
				c.Send(sse.Text("sent after"))
			}))
			body, err := io.ReadAll(s.get(t).Body)
			if err != nil || string(body) != ":\ndata: sent before\n\n" {
				t.Errorf("%v: body %q, %v; want what was sent before, and a clean end", reason, body, err)
			}
			if got := <-reasons; got != reason || s.engine.Closed(reason) != 1 {
				t.Errorf("closed for %v, counted %d; want %v, 1", got, s.engine.Closed(reason), reason)
			}
			if first, second := <-errs, <-errs; first != nil || !errors.Is(second, stream.ErrClosed) {
				t.Errorf("%v: EndWith returned %v and %v, want nil and ErrClosed", reason, first, second)
			}
		})
	}
}

func TestReasonsHaveNames(t *testing.T) {
	var names []string
	for r := stream.Open; r <= stream.Panicked; r++ {
		names = append(names, r.String())
	}
	want := []string{"open", "ended", "client gone", "maximum age", "too slow", "shutdown", "write failed", "access expired", "access revoked", "callback panicked"}
	if !slices.Equal(names, want) {
		t.Errorf("reasons are %q, want %q", names, want)
	}
}

func TestEndWithRefusesWhatIsNoReason(t *testing.T) {
	c := new(stream.Conn)
	for _, r := range []stream.Reason{stream.Open, stream.Panicked + 1, 255} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("EndWith(%d) was accepted", r)
				}
			}()
			c.EndWith(r)
		}()
	}
}

// TestClientWhoseAccessExpiredKeepsItsConnection comes back over it. One whose access
// was revoked must make another.
func TestClientWhoseAccessExpiredKeepsItsConnection(t *testing.T) {
	for reason, kept := range map[stream.Reason]bool{stream.Expired: true, stream.Revoked: false} {
		engine := stream.NewEngine(1)
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		// Not one of httptest, which must not be closed while a connection is given back.
		srv := &http.Server{Handler: stream.Options{Engine: engine}.Chunked("text/plain", func(c *stream.Conn, r *http.Request) { c.EndWith(reason) })}
		go srv.Serve(ln) // ends with Close
		nc := rawRequest(t, ln.Addr().String(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		r := bufio.NewReader(nc)
		for i := range 2 {
			resp, err := http.ReadResponse(r, nil)
			if i == 1 && (err == nil) != kept {
				t.Errorf("%v: second response on the connection: %v", reason, err)
			}
			if err != nil {
				break
			}
			if _, err := io.ReadAll(resp.Body); err != nil {
				t.Errorf("%v: body: %v", reason, err)
			}
			_, _ = io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n") // it may be closed
		}
		nc.Close()
		eventually(t, "no streams", func() bool { return engine.Len() == 0 })
		srv.Close()
	}
}

func TestEachFindsStreamsByTheirIDs(t *testing.T) {
	engines(t, func(t *testing.T, s *server) {
		const streams = 6
		conns := make(chan *stream.Conn, streams)
		s.serve(s.options(stream.Options{Retry: -1}).SSE(func(c *stream.Conn, r *http.Request) { conns <- c }))
		bodies, ids := make(map[uint64]io.Reader), make(map[uint64]bool)
		for range streams {
			resp := s.get(t)
			c := <-conns
			bodies[c.ID()], ids[c.ID()] = resp.Body, true
		}
		sockets := 0
		if s.kind == "taken over" || s.kind == "tls" {
			sockets = streams
		}
		if len(ids) != streams || s.engine.Len() != streams || s.engine.Sockets() != sockets {
			t.Errorf("%d IDs of %d streams with %d sockets, want %d of %d with %d", len(ids), s.engine.Len(), s.engine.Sockets(), streams, streams, sockets)
		}
		var mu sync.Mutex // the loops run at once
		s.engine.Each(func(c *stream.Conn) {
			mu.Lock()
			defer mu.Unlock()
			if !ids[c.ID()] {
				t.Errorf("found ID %d, which is not or no more among %v", c.ID(), ids)
			}
			delete(ids, c.ID())
			if c.ID()%2 == 0 {
				c.EndWith(stream.Revoked)
			}
		})
		for id, body := range bodies {
			if id%2 == 0 {
				if b, err := io.ReadAll(body); err != nil || string(b) != ":\n" {
					t.Errorf("stream %d ended with %q, %v", id, b, err)
				}
			}
		}
		if len(ids) > 0 {
			t.Errorf("did not find %v", ids)
		}
		eventually(t, "half of them are left", func() bool {
			return s.engine.Len() == streams/2 && s.engine.Sockets() == sockets/2 && s.engine.Closed(stream.Revoked) == streams/2
		})
	})
}

func TestIDsAreNotUsedAgain(t *testing.T) {
	engine, seen := stream.NewEngine(2), make(map[uint64]bool)
	srv := httptest.NewServer(stream.Options{Engine: engine}.SSE(func(c *stream.Conn, r *http.Request) {
		if c.ID() == 0 || seen[c.ID()] {
			t.Errorf("ID %d is zero or was given before", c.ID())
		}
		seen[c.ID()] = true
		c.End()
	}))
	defer srv.Close()
	for range 20 {
		resp, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(b), "retry: ") {
			t.Fatalf("read %q, %v", b, err)
		}
	}
}
