package native_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/internal/testnet"
	"github.com/weirstream/weir/stream"
)

// openSite returns a site that adopts connections.
func openSite(t *testing.T, o hub.Options) *site {
	t.Helper()
	s, err := newSite(true, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// A publisher is a client on one connection.
type publisher struct {
	net.Conn
	in *bufio.Reader
}

func (s *site) connect(t *testing.T) *publisher {
	t.Helper()
	nc, err := net.Dial("tcp", s.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return &publisher{nc, bufio.NewReader(nc)}
}

// send sends a request as it stands and returns the answer, whose body it has read.
func (p *publisher) send(request string) (*http.Response, error) {
	if _, err := io.WriteString(p, request); err != nil {
		return nil, err
	}
	return p.receive()
}

func (p *publisher) receive() (*http.Response, error) {
	resp, err := readFrom(p.in, "POST")
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
	}
	return resp, err
}

// publish sends n plain messages, one after the other.
func (p *publisher) publish(t *testing.T, n int) {
	t.Helper()
	for range n {
		if resp, err := p.send(raw("POST", "/v1/topics/a", "x")); err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("publish: %v, %v", resp, err)
		}
	}
}

// TestPagesThatPublishAreLeftToNetHTTP: a browser wants CORS headers with every
// answer, also with the one that would otherwise be the last of net/http.
func TestPagesThatPublishAreLeftToNetHTTP(t *testing.T) {
	s := openSite(t, hub.Options{Stream: stream.Options{AllowOrigins: []string{"https://friend.example"}}})
	p := s.connect(t)
	for i := range 6 {
		resp, err := p.send(raw("POST", "/v1/topics/a", "x", friend))
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "https://friend.example" {
			t.Errorf("message %d: Access-Control-Allow-Origin is %q", i, got)
		}
	}
	if n := s.served.Load(); n != 0 {
		t.Errorf("%d requests of a page are served without net/http", n)
	}
}

// TestOldClientsAreLeftToNetHTTP keeps a connection of HTTP/1.0 open, which takes a
// header in every answer.
func TestOldClientsAreLeftToNetHTTP(t *testing.T) {
	s := openSite(t, hub.Options{})
	p := s.connect(t)
	for i := range 6 {
		resp, err := p.send("POST /v1/topics/a HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("message %d: %v, %v", i, resp, err)
		}
		if got := resp.Header.Get("Connection"); got != "keep-alive" {
			t.Errorf("message %d: Connection is %q", i, got)
		}
	}
}

// TestLastMessageOfAConnectionIsLeftToNetHTTP announces the end with the message
// that is otherwise the last before adoption.
func TestLastMessageOfAConnectionIsLeftToNetHTTP(t *testing.T) {
	s := openSite(t, hub.Options{})
	p := s.connect(t)
	p.publish(t, 2)
	resp, err := p.send(raw("POST", "/v1/topics/a", "x", "Connection: close"))
	if err != nil || resp.StatusCode != http.StatusCreated || !resp.Close {
		t.Errorf("the last message: %v, %v; want 201 and Connection: close", resp, err)
	}
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		t.Errorf("then %q, %v; want the end", rest, err)
	}
}

// TestEncryptedConnectionsAreLeftToNetHTTP publishes over TLS, with both protocols.
// The handler goes on seeing that.
func TestEncryptedConnectionsAreLeftToNetHTTP(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s := openSite(t, hub.Options{})
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.TLS == nil || (r.ProtoMajor == 2) != http2 {
				t.Errorf("HTTP/2 %v: the handler sees %s, TLS %v", http2, r.Proto, r.TLS)
			}
			s.native.ServeHTTP(w, r)
		}))
		srv.Config.ConnContext, srv.EnableHTTP2 = native.ConnContext, http2
		srv.StartTLS()
		for range 6 {
			resp, err := srv.Client().Post(srv.URL+"/v1/topics/a", "text/plain", strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			if _, _ = io.Copy(io.Discard, resp.Body); resp.StatusCode != http.StatusCreated {
				t.Errorf("HTTP/2 %v: %s", http2, resp.Status)
			}
			resp.Body.Close()
		}
		if n := s.served.Load(); n != 0 {
			t.Errorf("HTTP/2 %v: %d requests are served without net/http", http2, n)
		}
		srv.Client().CloseIdleConnections()
		srv.Close()
	}
}

// TestConnectionIsAdoptedOnce: who sent something unusual will do so again.
func TestConnectionIsAdoptedOnce(t *testing.T) {
	if !intake.Supported {
		t.Skip("no connection is adopted on this system")
	}
	s := openSite(t, hub.Options{})
	p := s.connect(t)
	p.publish(t, 10)
	before := s.served.Load()
	if before == 0 {
		t.Fatal("the connection was not adopted, so this test proves nothing")
	}
	if resp, err := p.send(raw("PUT", "/v1/topics/a", "x")); err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Fatalf("PUT: %v, %v", resp, err)
	}
	p.publish(t, 10)
	if n := s.served.Load() - before; n != 0 {
		t.Errorf("%d requests are served without net/http after the connection was given back", n)
	}
}

// TestConnectionsWithoutADescriptorAreServedOn: net/http must not be left with the
// deadline that adoption has set.
func TestConnectionsWithoutADescriptorAreServedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := hub.New(hub.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		handler := native.New(h, native.Options{Adopt: true})
		ln := testnet.Listen()
		srv := &http.Server{Handler: handler, ConnContext: native.ConnContext}
		go srv.Serve(ln) // ends with srv.Close
		nc, err := ln.Dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		p := &publisher{nc, bufio.NewReader(nc)}
		p.publish(t, 3) // adoption is tried after the third
		time.Sleep(time.Minute)
		p.publish(t, 3)
		handler.Drain()
		nc.Close()
		srv.Close()
	})
}

// TestAllRequestsAreCounted counts at the handler, as the server does, and in
// Served.
func TestAllRequestsAreCounted(t *testing.T) {
	s := openSite(t, hub.Options{})
	var counted atomic.Int64
	next := s.http.Config.Handler
	s.http.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counted.Add(1)
		next.ServeHTTP(wrapper{w}, r)
	})
	p := s.connect(t)
	p.publish(t, 10)
	if _, err := p.send(raw("POST", "/v1/topics/*", "x")); err != nil {
		t.Fatal(err)
	}
	p.publish(t, 5)
	if n := counted.Load() + s.served.Load(); n != 16 {
		t.Errorf("%d requests by net/http and %d without are counted, 16 were sent", counted.Load(), s.served.Load())
	}
	if want := int64(7); intake.Supported && s.served.Load() != want {
		t.Errorf("%d requests are served without net/http, want %d", s.served.Load(), want)
	}
}

// A wrapper hides what it wraps from all but http.ResponseController.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// perTopic returns the data that is kept, in order, of each topic "t/<n>".
func (s *site) perTopic(t *testing.T, n int) [][]string {
	t.Helper()
	all := make([][]string, n)
	for _, e := range (&server{hub: s.hub}).kept(t, "t/*") {
		i, err := strconv.Atoi(strings.TrimPrefix(e.Topics[0], "t/"))
		if err != nil {
			t.Fatal(err)
		}
		all[i] = append(all[i], string(e.Data))
	}
	return all
}

// TestManyBusyPublishersKeepTheirOrder publishes from many connections at once,
// each some messages ahead of its answers.
func TestManyBusyPublishersKeepTheirOrder(t *testing.T) {
	const conns, each, ahead = 64, 1000, 8
	s := openSite(t, hub.Options{})
	var wg sync.WaitGroup
	for n := range conns {
		p := s.connect(t)
		_ = p.SetDeadline(time.Now().Add(3 * patience))
		wg.Go(func() {
			for i := range each + ahead {
				if i < each {
					_, _ = io.WriteString(p, raw("POST", fmt.Sprintf("/v1/topics/t/%d", n), strconv.Itoa(i)))
				}
				if i < ahead {
					continue
				}
				if resp, err := p.receive(); err != nil || resp.StatusCode != http.StatusCreated {
					t.Errorf("connection %d, message %d: %v, %v", n, i-ahead, resp, err)
					return
				}
			}
		})
	}
	wg.Wait()
	want := make([]string, each)
	for i := range want {
		want[i] = strconv.Itoa(i)
	}
	for n, got := range s.perTopic(t, conns) {
		if !slices.Equal(got, want) {
			t.Errorf("connection %d: %d messages are kept, or in another order; want %d", n, len(got), each)
		}
	}
	if n := s.served.Load(); intake.Supported && n != conns*(each-3) { // net/http answers three
		t.Errorf("%d requests are served without net/http, want %d", n, conns*(each-3))
	}
}

// TestDrainKeepsWhatWasAcknowledged drains while connections publish, and while
// others are just being adopted.
func TestDrainKeepsWhatWasAcknowledged(t *testing.T) {
	const rounds, conns = 10, 16
	before := descriptors()
	for range rounds {
		s, err := newSite(true, hub.Options{})
		if err != nil {
			t.Fatal(err)
		}
		acknowledged := make([]int, conns)
		var wg sync.WaitGroup
		var total atomic.Int64
		for n := range conns {
			p := s.connect(t)
			wg.Go(func() {
				defer p.Close()
				for i := 0; ; i++ {
					resp, err := p.send(raw("POST", fmt.Sprintf("/v1/topics/t/%d", n), strconv.Itoa(i)))
					if err != nil || resp.StatusCode != http.StatusCreated {
						return
					}
					acknowledged[n] = i + 1
					total.Add(1)
				}
			})
		}
		eventually(t, "some messages are acknowledged", func() bool { return total.Load() > 5*conns })
		s.native.Drain()
		adopted := s.served.Load()
		kept := s.perTopic(t, conns)
		s.http.CloseClientConnections()
		wg.Wait()
		if n := s.served.Load(); n != adopted {
			t.Errorf("%d requests are answered after Drain", n-adopted)
		}
		for n, got := range kept {
			if len(got) < acknowledged[n] || len(got) > acknowledged[n]+1 { // one may be under way
				t.Errorf("connection %d: %d messages are acknowledged, %d kept", n, acknowledged[n], len(got))
			}
			for i, data := range got {
				if data != strconv.Itoa(i) {
					t.Fatalf("connection %d: message %d is %q", n, i, data)
				}
			}
		}
		s.close()
	}
	eventually(t, "all descriptors are closed", func() bool { return descriptors() <= before })
}

// descriptors returns how many the process has open, as far as the system tells.
func descriptors() int {
	names, _ := filepath.Glob("/proc/self/fd/*")
	return len(names)
}

// FuzzAnswerAgreesWithServeHTTP publishes with any path, query and body, directly
// and by way of net/http's request. Both give the same answer, or the first none.
func FuzzAnswerAgreesWithServeHTTP(f *testing.F) {
	f.Add("a", "type=t&id=i&key=k&retry=5", "", []byte("x"))
	f.Add("a/b", "id=%3C%26%22%E2%80%A8", "k", []byte(nil))
	f.Add("*", "retry=x", "", []byte("x"))
	f.Add(`"<>^{}|\#`, "id=abcdefgh-7&", "", []byte("x"))
	f.Add("weir/a", "nope=1;", "", []byte("x"))
	f.Add("a", "idempotency_key=k", `"k"`, []byte("x"))
	var handlers [2]*native.Handler
	var hubs [2]*hub.Hub
	for i := range handlers {
		h, err := hub.New(hub.Options{MaxBytes: maxBytes})
		if err != nil {
			f.Fatal(err)
		}
		f.Cleanup(func() { h.Close() })
		hubs[i], handlers[i] = h, native.New(h, native.Options{MaxBytes: maxBytes})
	}
	f.Fuzz(func(t *testing.T, topic, query, key string, body []byte) {
		target := "/v1/topics/" + topic
		if u, err := url.ParseRequestURI(target); err != nil || u.Path != target || strings.ContainsAny(target, "?%\r\n") || strings.ContainsAny(query, "# \r\n") || key != strings.TrimSpace(key) {
			return // package intake gives no such path
		}
		before := hubs[0].Log().Head()
		req := &intake.Request{Method: []byte("POST"), Path: []byte(target), Query: []byte(query), Body: body}
		if key != "" {
			req.IdempotencyKey = []byte(key)
		}
		got, ok := carryOut(handlers[0].NewBatch(), []byte("before"), req)
		if !ok {
			if string(got) != "before" || hubs[0].Log().Head() != before {
				t.Fatalf("%q %q: no answer, but %q is appended, and %d messages", target, query, got, hubs[0].Log().Head()-before)
			}
			return
		}
		r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
		r.URL = &url.URL{Path: target, RawQuery: query}
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		w := httptest.NewRecorder()
		handlers[1].ServeHTTP(w, r)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(got[len("before"):])), r)
		if err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != w.Code || normal(text) != normal(w.Body.Bytes()) || resp.Header.Get("Location") != w.Header().Get("Location") || resp.Header.Get("Idempotency-Replayed") != w.Header().Get("Idempotency-Replayed") {
			t.Fatalf("%q %q\n answered with %q\nServeHTTP with %d %q %q", target, query, got, w.Code, w.Header(), w.Body)
		}
		a, b := newest(t, hubs[0]), newest(t, hubs[1])
		if fmt.Sprintf("%+v", a.Message) != fmt.Sprintf("%+v", b.Message) || a.Seq != b.Seq {
			t.Fatalf("%q %q: kept are\n%+v and\n%+v", target, query, a.Message, b.Message)
		}
	})
}

// newest returns a copy of the last entry of a hub's log.
func newest(t *testing.T, h *hub.Hub) eventlog.Entry {
	t.Helper()
	sel, err := eventlog.Select("**")
	if err != nil {
		t.Fatal(err)
	}
	head := h.Log().Head()
	page, err := h.Log().Read(context.Background(), sel, head-1, head, eventlog.Limit{})
	if err != nil || len(page.Entries) != 1 {
		t.Fatalf("read message %d: %d entries, %v", head, len(page.Entries), err)
	}
	e := page.Entries[0]
	return eventlog.Entry{Message: e.Message, Seq: e.Seq, Time: e.Time}
}

// carryOut carries one request out.
func carryOut(b intake.Batch, dst []byte, r *intake.Request) ([]byte, bool) {
	defer b.Reset()
	if !b.Add(r) || b.Commit() != nil {
		return dst, false
	}
	return b.Answer(dst, 0), true
}

// BenchmarkAnswer publishes one message as package intake has it done.
func BenchmarkAnswer(b *testing.B) {
	for _, c := range []struct{ query, key string }{{"", ""}, {"type=price&id=17&key=k", ""}, {"", "0197a3c2-5d1e-7c4b-9f60-2f3f5b0c7a11"}} {
		b.Run(fmt.Sprintf("query=%s/idempotency=%v", c.query, c.key != ""), func(b *testing.B) {
			h, err := hub.New(hub.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer h.Close()
			batch := native.New(h, native.Options{}).NewBatch()
			r := &intake.Request{Method: []byte("POST"), Path: []byte("/v1/topics/prices/17"), Query: []byte(c.query), Body: make([]byte, 128)}
			dst := make([]byte, 0, 1024)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if c.key != "" {
					r.IdempotencyKey = strconv.AppendInt(append(r.IdempotencyKey[:0], c.key...), int64(n), 10)
				}
				if _, ok := carryOut(batch, dst, r); !ok {
					b.Fatal("not answered")
				}
			}
		})
	}
}
