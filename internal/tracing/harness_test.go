package tracing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/protocol/durable"
	"github.com/weirstream/weir/internal/protocol/native"
	"github.com/weirstream/weir/internal/tracing"
	"github.com/weirstream/weir/stream"
)

// TestMain fails if a goroutine of a tracer or a connection is left.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// patience bounds every wait on a socket.
const patience = 20 * time.Second

// An exported span is what a receiver has read.
type exported struct {
	TraceID           string
	SpanID            string
	TraceState        string
	ParentSpanID      string
	Flags             uint32
	Name              string
	Kind              int
	StartTimeUnixNano int64 `json:",string"`
	EndTimeUnixNano   int64 `json:",string"`
	Attributes        []attribute
	Status            struct {
		Code    int
		Message string
	}
}

type attribute struct {
	Key   string
	Value struct {
		StringValue *string
		IntValue    *json.Number
	}
}

// A request is one of OTLP, with all fields that are expected.
type request struct {
	ResourceSpans []struct {
		Resource   struct{ Attributes []attribute }
		ScopeSpans []struct {
			Scope struct{ Name, Version string }
			Spans []exported
		}
		SchemaURL string
	}
}

// texts returns attributes by key, and fails if one is there twice or has not one value.
func texts(t *testing.T, list []attribute) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, a := range list {
		_, twice := all[a.Key]
		if twice || (a.Value.StringValue == nil) == (a.Value.IntValue == nil) {
			t.Errorf("attribute %s is there twice, or has no value or two: %+v", a.Key, a.Value)
			continue
		}
		if a.Value.StringValue != nil {
			all[a.Key] = *a.Value.StringValue
		} else {
			all[a.Key] = "#" + a.Value.IntValue.String()
		}
	}
	return all
}

// A receiver takes OTLP in JSON on loopback.
type receiver struct {
	*httptest.Server
	answer http.HandlerFunc // nil: it takes all

	mu       sync.Mutex
	spans    []exported        // guarded by mu
	raw      []string          // guarded by mu; the bodies
	resource map[string]string // guarded by mu; of the last request
}

func receive(t *testing.T, answer http.HandlerFunc) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.take(t, w, req) }))
	t.Cleanup(r.Close)
	return r
}

// take reads a request strictly: an unknown field fails the test.
func (r *receiver) take(t *testing.T, w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the tracer has given up
	}
	if got := req.Method + " " + req.URL.Path + " " + req.Header.Get("Content-Type"); got != "POST /v1/traces application/json" {
		t.Errorf("the receiver got %s", got)
	}
	var in request
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		t.Errorf("the receiver cannot read %v: %s", err, body)
	}
	if r.answer != nil {
		r.answer(w, req)
	} else {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "{}")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw = append(r.raw, string(body))
	for _, rs := range in.ResourceSpans {
		r.resource = texts(t, rs.Resource.Attributes)
		for _, ss := range rs.ScopeSpans {
			r.spans = append(r.spans, ss.Spans...)
		}
	}
}

// all returns what has come so far, in the order of their beginning.
func (r *receiver) all() []exported {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := slices.Clone(r.spans)
	slices.SortStableFunc(list, func(a, b exported) int { return int(a.StartTimeUnixNano - b.StartTimeUnixNano) })
	return list
}

// servers are the spans of requests.
func servers(list []exported) []exported {
	return slices.DeleteFunc(slices.Clone(list), func(s exported) bool { return s.Name == "commit" })
}

// open opens a tracer that is closed with the test.
func open(t *testing.T, o tracing.Options) *tracing.Tracer {
	t.Helper()
	o.Streams = "/v1/streams/"
	tracer, err := tracing.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tracer.Close(context.Background()) })
	return tracer
}

// A server is a real one with both protocols.
type server struct {
	*httptest.Server
	native *native.Handler
}

// serve starts a server whose publishing is traced.
func serve(t *testing.T, tracer *tracing.Tracer) *server {
	t.Helper()
	memory, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	engine := stream.NewEngine(1)
	h, err := hub.New(hub.Options{Log: tracer.Log(memory), Stream: stream.Options{Engine: engine}})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{native: native.New(h, native.Options{})}
	streams := durable.New(h, durable.Options{Prefix: "/v1/streams/"})
	mux := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/v1/streams/") {
			streams.ServeHTTP(w, r)
			return
		}
		s.native.ServeHTTP(w, r)
	})
	s.Server = httptest.NewServer(tracer.Handler(mux))
	t.Cleanup(func() {
		s.native.Drain()
		engine.Close()
		s.CloseClientConnections()
		s.Close()
		streams.Close()
		h.Close()
	})
	return s
}

// do sends a request, "POST /v1/topics/a", with header lines "Name: value", and returns
// the status.
func (s *server) do(t *testing.T, line, body string, header ...string) int {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	req, err := http.NewRequest(method, s.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range header {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

var hexID = regexp.MustCompile(`^[0-9a-f]+$`)

// check fails if a span is none that receivers take.
func check(t *testing.T, s exported) {
	t.Helper()
	now := time.Now().UnixNano()
	if len(s.TraceID) != 32 || len(s.SpanID) != 16 || !hexID.MatchString(s.TraceID+s.SpanID) || strings.Trim(s.TraceID, "0") == "" ||
		s.ParentSpanID != "" && len(s.ParentSpanID) != 16 {
		t.Errorf("bad IDs: trace %q, span %q, parent %q", s.TraceID, s.SpanID, s.ParentSpanID)
	}
	if s.StartTimeUnixNano > s.EndTimeUnixNano || s.EndTimeUnixNano > now || s.StartTimeUnixNano < now-int64(time.Minute) {
		t.Errorf("the span is from %d to %d, now it is %d", s.StartTimeUnixNano, s.EndTimeUnixNano, now)
	}
}

// eventually waits for what real sockets make true.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// quiet are handlers that answer with a status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// post serves a publish to a handler, without a socket.
func post(h http.Handler, n int) {
	for i := range n {
		r := httptest.NewRequest("POST", "/v1/topics/t"+strconv.Itoa(i), nil)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
