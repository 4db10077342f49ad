package native_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/intake"
	"github.com/weirstream/weir/internal/protocol/native"
)

// serveAdopting starts a server that adopts busy publishers. served counts what is
// answered without net/http.
func serveAdopting(t *testing.T) (s *server, served *atomic.Int64) {
	t.Helper()
	h, err := hub.New(hub.Options{MaxBytes: maxBytes})
	if err != nil {
		t.Fatal(err)
	}
	served = new(atomic.Int64)
	handler := native.New(h, native.Options{MaxBytes: maxBytes, Adopt: true, Served: func() { served.Add(1) }})
	srv := httptest.NewUnstartedServer(handler)
	srv.Config.ConnContext = native.ConnContext
	srv.Start()
	t.Cleanup(func() {
		handler.Drain()
		srv.CloseClientConnections()
		srv.Close()
		h.Close()
	})
	return &server{hub: h, native: handler, http: srv}, served
}

// A conversation is one connection that serves several requests.
type conversation struct {
	io.Writer
	in *bufio.Reader
}

// talk opens a connection.
func (s *server) talk(t *testing.T) *conversation {
	nc := s.dial(t)
	return &conversation{nc, bufio.NewReader(nc)}
}

// ask sends a request with its length and reads the answer.
func (c *conversation) ask(t *testing.T, r request) answer {
	t.Helper()
	if r.body != "" {
		r.header = append(r.header, "Content-Length: "+strconv.Itoa(len(r.body)))
	}
	if _, err := io.WriteString(c, r.head()+r.body); err != nil {
		t.Fatal(err)
	}
	resp, err := readFrom(c.in, r.method)
	if err != nil {
		t.Fatalf("%s %s: %v", r.method, r.target, err)
	}
	return whole(t, resp)
}

// TestBusyPublisherGetsTheSameAnswers sends many messages over one connection,
// which is adopted on the way.
func TestBusyPublisherGetsTheSameAnswers(t *testing.T) {
	s, served := serveAdopting(t)
	c := s.talk(t)
	var first http.Header
	var want []string
	for i := range 20 {
		data := strconv.Itoa(i)
		want = append(want, data)
		a := c.ask(t, request{"POST", "/v1/topics/a/b:c?type=t&key=k%20" + data, nil, data})
		if a.status != 201 || normal([]byte(a.body)) != fmt.Sprintf("{\"id\":\"epochxyz-%d\"}\n", i+1) {
			t.Fatalf("message %d: %d %s", i, a.status, a.body)
		}
		if got := a.header.Get("Content-Length"); got != strconv.Itoa(len(a.body)) {
			t.Errorf("message %d: Content-Length is %q", i, got)
		}
		a.header.Del("Date")
		a.header.Del("Content-Length")
		if first == nil {
			first = a.header
		}
		if !maps.EqualFunc(a.header, first, slices.Equal) {
			t.Errorf("message %d: header is\n%v\nthe first answer has\n%v", i, a.header, first)
		}
	}
	if intake.Supported && served.Load() == 0 {
		t.Error("no request was served by an adopted connection, so this test proves nothing")
	}
	if got := s.data(t, "a/b:c"); !slices.Equal(got, want) {
		t.Errorf("kept %q", got)
	}
}

// TestBusyPublisherIsRefusedLikeAnyOther has a connection adopted and then sends
// what is no plain publish.
func TestBusyPublisherIsRefusedLikeAnyOther(t *testing.T) {
	s, served := serveAdopting(t)
	for _, r := range []struct {
		request
		status int
	}{
		{request{"POST", "/v1/topics/a%2f", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a//b", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a/../b", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a/*", nil, "x"}, 400},
		{request{"POST", "/v1/topics/weir/stats", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a?nope=1", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a?id=1&id=2", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a?id=%0a", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a?key=%ff", nil, "x"}, 400},
		{request{"POST", "/v1/topics/a", []string{stranger}, "x"}, 403},
		{request{"POST", "/v1/topics/a", []string{"Sec-Fetch-Site: cross-site"}, "x"}, 403},
		{request{"POST", "/v1/topics/a", []string{"Content-Encoding: gzip"}, "x"}, 415},
		{request{"POST", "/v1/topics/a", nil, strings.Repeat("x", maxBytes+1)}, 413},
		{request{"POST", "/v1/events", []string{ndjson}, "oops"}, 400},
		{request{"PUT", "/v1/topics/a", nil, "x"}, 405},
		{request{"HEAD", "/v1/topics/a", nil, ""}, 200},
		{request{"GET", "/v1/topics/a?wait=0s", nil, ""}, 200},
	} {
		c := s.talk(t)
		before := served.Load()
		for range 5 {
			if a := c.ask(t, request{"POST", "/v1/topics/busy", nil, "x"}); a.status != 201 {
				t.Fatalf("publish: %d", a.status)
			}
		}
		if intake.Supported && served.Load() == before {
			t.Fatal("the connection was not adopted, so this test proves nothing")
		}
		if a := c.ask(t, r.request); a.status != r.status {
			t.Errorf("%s %s %q: %d %s, want %d", r.method, r.target, r.header, a.status, a.Detail, r.status)
		}
	}
	if got := s.data(t, "a/**"); got != nil {
		t.Errorf("refused requests published %q", got)
	}
}

// TestDrainLetsGoOfBusyPublishers closes adopted connections, and what was
// acknowledged on them is kept.
func TestDrainLetsGoOfBusyPublishers(t *testing.T) {
	s, _ := serveAdopting(t)
	c := s.talk(t)
	for range 5 {
		c.ask(t, request{"POST", "/v1/topics/a", nil, "x"})
	}
	s.native.Drain()
	r := request{"POST", "/v1/topics/a", []string{"Content-Length: 1"}, "y"}
	if _, err := io.WriteString(c, r.head()+r.body); err == nil {
		if resp, err := readFrom(c.in, "POST"); err == nil && resp.StatusCode != 503 {
			t.Errorf("a message after Drain is answered with %s", resp.Status)
		}
	}
	if got := s.data(t, "a"); len(got) != 5 {
		t.Errorf("%d messages are kept, want 5", len(got))
	}
}
