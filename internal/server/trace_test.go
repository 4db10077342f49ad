package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A traceReceiver keeps what a server tells about its publishing.
type traceReceiver struct {
	*httptest.Server
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func receiveTraces(t *testing.T) *traceReceiver {
	t.Helper()
	r := new(traceReceiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if _, err := io.Copy(&r.text, req.Body); err != nil {
			t.Errorf("read spans: %v", err)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// count returns how often a JSON text was sent.
func (r *traceReceiver) count(text string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), text)
}

// TestEveryPublishIsTraced publishes on one connection, which without traces would leave
// net/http, to a log on disk, and looks for the spans after the end of the server.
func TestEveryPublishIsTraced(t *testing.T) {
	receiver := receiveTraces(t)
	s := defaults(t)
	s.Data = t.TempDir()
	s.Trace.Endpoint, s.Trace.Ratio = receiver.URL, 1
	s.Durable.Prefix = "/streams/"
	r := start(t, s)
	r.follow(t, "/v1/topics/a", "text/plain")
	c := r.connect(t)
	const messages = 20
	for range messages {
		if resp := c.send(t, "POST", "/v1/topics/a", "x"); resp.StatusCode != 201 {
			t.Fatal(resp.Status)
		} else if _, err := c.body.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	}
	if r.Adopted() != 0 {
		t.Error("the connection has left net/http, where nothing is traced")
	}
	r.do(t, "PUT", "/streams/s", "x")
	if got := figures(r.scrape(t))["weir_trace_spans_dropped_total"]; got != 0 {
		t.Errorf("%v spans are dropped", got)
	}
	c.Close()
	r.stop(t)
	for text, want := range map[string]int{
		`"name":"POST /v1/topics/{topic}"`: messages,
		`"name":"PUT /streams/{name}"`:     1,
		`"name":"commit"`:                  messages + 1,
		`"spanId":`:                        2*messages + 2,
	} {
		if got := receiver.count(text); got != want {
			t.Errorf("%s was sent %d times, want %d", text, got, want)
		}
	}
}

// TestNoReceiverIsToldOnce has nobody listen.
func TestNoReceiverIsToldOnce(t *testing.T) {
	receiver := receiveTraces(t)
	receiver.Close()
	s := defaults(t)
	s.Trace.Endpoint, s.Trace.Ratio = receiver.URL, 1
	r := start(t, s)
	for range 3 {
		r.publish(t, "a", "x")
		r.publish(t, "a", "x")
		dropped := figures(r.scrape(t))["weir_trace_spans_dropped_total"]
		eventually(t, "spans are dropped", func() bool { return figures(r.scrape(t))["weir_trace_spans_dropped_total"] > dropped })
	}
	r.stop(t)
	if got := strings.Count(r.log.String(), "trace.endpoint"); got != 1 {
		t.Errorf("that there is no receiver is logged %d times, want once:\n%s", got, r.log)
	}
}
