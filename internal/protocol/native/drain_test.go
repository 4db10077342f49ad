package native_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
)

// TestDrainRefusesChangesAndServesReaders checks every call after Drain.
func TestDrainRefusesChangesAndServesReaders(t *testing.T) {
	s := serve(t, hub.Options{})
	s.publish(t, text("a", "1"))
	if s.native.Draining() {
		t.Error("it drains before Drain")
	}
	s.native.Drain()
	if !s.native.Draining() {
		t.Error("it does not drain after Drain")
	}
	for _, r := range []request{
		{"POST", "/v1/topics/a", nil, "x"},
		{"POST", "/v1/events", []string{ndjson}, lines(1)},
		{"DELETE", "/v1/topics/a", nil, ""},
	} {
		a := s.ask(t, r)
		if a.status != 503 || a.Code != "unavailable" || a.Detail != "the server is stopping; try again in a moment" || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %v %s", r.method, r.target, a.status, a.header, a.body)
		}
	}
	if a := s.ask(t, request{"GET", "/v1/topics/a?wait=0s&since=start", []string{"Accept: text/plain"}, ""}); a.body != "1\n" {
		t.Errorf("GET: %d %q", a.status, a.body)
	}
	if a := s.ask(t, request{"HEAD", "/v1/topics/a", nil, ""}); a.header.Get("Weir-Messages") != "1" {
		t.Errorf("HEAD: %d %v", a.status, a.header)
	}
}

// TestDrainAnswersPublishersThatAreSilent begins a body of lines and says nothing
// more: the answer tells what is kept, and does not wait for the next line.
func TestDrainAnswersPublishersThatAreSilent(t *testing.T) {
	for begun, line := range map[string]int{"": 3, `{"topic":"a",`: 3} {
		s := serve(t, hub.Options{})
		nc := s.dial(t)
		r := request{"POST", "/v1/events", []string{ndjson, "Transfer-Encoding: chunked"}, ""}
		sent := lines(2) + begun
		if _, err := io.WriteString(nc, r.head()+fmt.Sprintf("%x\r\n%s\r\n", len(sent), sent)); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the lines are published", func() bool { return s.hub.Log().Head() == 2 })
		start := time.Now()
		s.native.Drain()
		a := whole(t, readResponse(t, nc, "POST"))
		if a.status != 503 || a.Line != line || a.Published == nil || *a.Published != 2 || normal([]byte(a.LastID)) != "epochxyz-2" || a.header.Get("Retry-After") == "" || !a.close {
			t.Errorf("with %q begun: %d %v %s", begun, a.status, a.header, a.body)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("with %q begun: the answer took %v", begun, took)
		}
	}
}

// TestMessageThatArrivesAfterDrainIsNotAcknowledged completes a body late: readers
// may have been sent away by then.
func TestMessageThatArrivesAfterDrainIsNotAcknowledged(t *testing.T) {
	s := serve(t, hub.Options{})
	nc := s.dial(t)
	r := request{"POST", "/v1/topics/a", []string{"Content-Length: 10", "Expect: 100-continue"}, ""}
	if _, err := io.WriteString(nc, r.head()); err != nil {
		t.Fatal(err)
	}
	leave := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n")) // the handler reads the body
	if _, err := io.ReadFull(nc, leave); err != nil || !strings.HasPrefix(string(leave), "HTTP/1.1 100") {
		t.Fatalf("%q, %v", leave, err)
	}
	s.native.Drain()
	if _, err := io.WriteString(nc, "0123456789"); err != nil {
		t.Fatal(err)
	}
	if a := whole(t, readResponse(t, nc, "POST")); a.status != 503 || a.Code != "unavailable" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := s.data(t, "a"); !slices.Equal(got, nil) {
		t.Errorf("kept %q, which nobody is told of", got)
	}
}

// TestClosedHubIsUnavailable asks for everything after the hub was closed.
func TestClosedHubIsUnavailable(t *testing.T) {
	s := serve(t, hub.Options{})
	s.hub.Close()
	for _, r := range []request{
		{"POST", "/v1/topics/a", nil, "x"},
		{"POST", "/v1/events", []string{ndjson}, lines(1)},
		{"GET", "/v1/topics/a?wait=1m", nil, ""},
		{"GET", "/v1/topics/a", nil, ""},
	} {
		a := s.ask(t, r)
		if a.status != 503 || a.Code != "unavailable" || a.Detail != "the server is stopping" || a.header.Get("Retry-After") != "1" {
			t.Errorf("%s %s: %d %s", r.method, r.target, a.status, a.body)
		}
	}
}
