package tracing_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/tracing"
)

// TestSpansSayWhatWasPublished publishes in every way and compares all that the
// receiver got: the span of the request and those of its visits to the log.
func TestSpansSayWhatWasPublished(t *testing.T) {
	for _, c := range []struct {
		name, line, body string
		header           []string
		drain            bool
		span             string
		want             map[string]string // beside what all have
		commits          []string          // count of messages of each
		failed           bool
	}{
		{name: "one message", line: "POST /v1/topics/orders/7?key=secret", body: "x", span: "POST /v1/topics/{topic}", commits: []string{"#1"}, want: map[string]string{
			"http.response.status_code": "#201", "url.path": "/v1/topics/orders/7", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": "orders/7"}},
		{name: "lines to one topic", line: "POST /v1/events", body: "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"a\",\"data\":\"2\"}\n", span: "POST /v1/events", commits: []string{"#2"}, want: map[string]string{
			"http.response.status_code": "#200", "url.path": "/v1/events", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": "a", "messaging.batch.message_count": "#2"}},
		{name: "lines to two topics", line: "POST /v1/events", header: []string{"Content-Type: application/x-ndjson"}, body: "{\"topic\":\"a\",\"data\":\"1\"}\n{\"topic\":\"b\",\"data\":\"2\"}\n{\"topic\":\"a\",\"data\":\"3\"}\n", span: "POST /v1/events", commits: []string{"#3"}, want: map[string]string{
			"http.response.status_code": "#200", "url.path": "/v1/events", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.batch.message_count": "#3"}},
		{name: "refused", line: "POST /v1/topics/a//b", body: "x", span: "POST /v1/topics/{topic}", want: map[string]string{
			"http.response.status_code": "#400", "url.path": "/v1/topics/a//b", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": "a//b"}},
		{name: "while it stops", line: "POST /v1/topics/a", body: "x", drain: true, failed: true, span: "POST /v1/topics/{topic}", want: map[string]string{
			"http.response.status_code": "#503", "error.type": "503", "url.path": "/v1/topics/a", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": "a"}},
		{name: "forget", line: "DELETE /v1/topics/a", span: "DELETE /v1/topics/{topic}", want: map[string]string{
			"http.response.status_code": "#204", "url.path": "/v1/topics/a", "messaging.operation.name": "forget", "messaging.destination.name": "a"}},
		{name: "create a stream", line: "PUT /v1/streams/s", body: "[1,2]", header: []string{"Content-Type: application/json"}, span: "PUT /v1/streams/{name}", commits: []string{"#2"}, want: map[string]string{
			"http.response.status_code": "#201", "url.path": "/v1/streams/s", "messaging.operation.name": "create", "messaging.destination.name": "s", "messaging.batch.message_count": "#2"}},
		{name: "a long path", line: "POST /v1/topics/" + strings.Repeat("a", 3000), body: "x", span: "POST /v1/topics/{topic}", want: map[string]string{
			"http.response.status_code": "#400", "url.path": "/v1/topics/" + strings.Repeat("a", 501), "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": strings.Repeat("a", 512)}},
		{name: "bytes that are no text", line: "POST /v1/topics/a%ff%00%22", body: "x", span: "POST /v1/topics/{topic}", want: map[string]string{
			"http.response.status_code": "#400", "url.path": "/v1/topics/a%ff%00%22", "messaging.operation.name": "publish",
			"messaging.operation.type": "send", "messaging.destination.name": "a\uFFFD\x00\""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := receive(t, nil)
			tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1, Version: "v1.2.3"})
			s := serve(t, tracer)
			if c.drain {
				s.native.Drain()
			}
			s.do(t, c.line, c.body, append(c.header, "Authorization: Bearer secret", "Cookie: t=secret")...)
			tracer.Close(t.Context())
			method, _, _ := strings.Cut(c.line, " ")
			_, route, _ := strings.Cut(c.span, " ")
			host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
			want := map[string]string{"http.request.method": method, "http.route": route, "url.scheme": "http", "client.address": "127.0.0.1",
				"network.protocol.version": "1.1", "server.address": host, "server.port": "#" + port, "messaging.system": "weir"}
			maps.Copy(want, c.want)
			list := r.all()
			if len(list) != 1+len(c.commits) {
				t.Fatalf("%d spans, want %d: %+v", len(list), 1+len(c.commits), list)
			}
			checkRequest(t, list[0], c.span, want, c.failed)
			for i, n := range c.commits {
				checkCommit(t, list[0], list[1+i], n)
			}
			if strings.Contains(strings.Join(r.raw, ""), "secret") {
				t.Errorf("what was sent holds the query or a header: %s", r.raw)
			}
			checkResource(t, r)
		})
	}
}

func checkRequest(t *testing.T, s exported, name string, want map[string]string, failed bool) {
	t.Helper()
	check(t, s)
	if s.Name != name || s.Kind != 2 || s.ParentSpanID != "" || s.Flags != 0x103 || (s.Status.Code == 2) != failed {
		t.Errorf("the span is %+v, want %q of kind 2 without a parent, failed: %v", s, name, failed)
	}
	if got := texts(t, s.Attributes); !maps.Equal(got, want) {
		t.Errorf("attributes are\n%q\nwant\n%q", got, want)
	}
}

func checkCommit(t *testing.T, of, s exported, messages string) {
	t.Helper()
	check(t, s)
	if s.Name != "commit" || s.Kind != 1 || s.ParentSpanID != of.SpanID || s.TraceID != of.TraceID || s.SpanID == of.SpanID || s.Status.Code != 0 {
		t.Errorf("the commit is %+v, want one below %+v", s, of)
	}
	if s.StartTimeUnixNano < of.StartTimeUnixNano || s.EndTimeUnixNano > of.EndTimeUnixNano {
		t.Errorf("the commit is from %d to %d, its request from %d to %d", s.StartTimeUnixNano, s.EndTimeUnixNano, of.StartTimeUnixNano, of.EndTimeUnixNano)
	}
	if got, want := texts(t, s.Attributes), map[string]string{"messaging.system": "weir", "messaging.batch.message_count": messages}; !maps.Equal(got, want) {
		t.Errorf("attributes of the commit are %q, want %q", got, want)
	}
}

func checkResource(t *testing.T, r *receiver) {
	t.Helper()
	id := r.resource["service.instance.id"]
	delete(r.resource, "service.instance.id")
	if !regexp.MustCompile("^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$").MatchString(id) {
		t.Errorf("service.instance.id is %q, want a random UUID", id)
	}
	if want := map[string]string{"service.name": "weir", "service.version": "v1.2.3"}; !maps.Equal(r.resource, want) {
		t.Errorf("the resource is %q, want %q", r.resource, want)
	}
}

// TestAppendIsTraced appends to a stream; the time that its state takes in the log
// counts, too.
func TestAppendIsTraced(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := serve(t, tracer)
	s.do(t, "PUT /v1/streams/a/b", "", "Content-Type: application/json")
	if got := s.do(t, "POST /v1/streams/a/b", "[1,2,3]", "Content-Type: application/json"); got != 204 {
		t.Fatalf("append: %d", got)
	}
	s.do(t, "DELETE /v1/streams/a/b", "")
	tracer.Close(t.Context())
	var got []string
	for _, span := range servers(r.all()) {
		a := texts(t, span.Attributes)
		got = append(got, strings.Join([]string{span.Name, a["messaging.operation.name"], a["messaging.operation.type"], a["messaging.destination.name"], a["messaging.batch.message_count"]}, "|"))
	}
	if want := []string{"PUT /v1/streams/{name}|create||a/b|", "POST /v1/streams/{name}|append|send|a/b|#3", "DELETE /v1/streams/{name}|delete||a/b|"}; !slices.Equal(got, want) {
		t.Errorf("spans are %q, want %q", got, want)
	}
}

// TestManyCommitsAreBounded publishes lines that come one after the other.
func TestManyCommitsAreBounded(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := serve(t, tracer)
	const batches = 40
	if got := s.do(t, "POST /v1/events", strings.Repeat("{\"topic\":\"a\",\"data\":\"x\"}\n", batches*256)); got != 200 {
		t.Fatalf("publish: %d", got)
	}
	tracer.Close(t.Context())
	list := r.all()
	if len(list) != 1+16 {
		t.Errorf("%d spans, want that of the request and 16", len(list))
	}
	if got := texts(t, list[0].Attributes)["messaging.batch.message_count"]; got != "#10240" {
		t.Errorf("message count is %s", got)
	}
}

// TestReadersAreNotTraced makes all requests that do not publish.
func TestReadersAreNotTraced(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := serve(t, tracer)
	s.do(t, "PUT /v1/streams/s", "")
	form := "Application/X-WWW-Form-URLencoded ; charset=utf-8"
	for _, c := range []struct{ line, body, kind string }{
		{"GET /v1/topics/a?wait=0s", "", ""},
		{"HEAD /v1/topics/a", "", ""},
		{"OPTIONS /v1/topics/a", "", ""},
		{"PATCH /v1/topics/a", "", ""},
		{"GET /v1/events?topic=a&wait=0s", "", ""},
		{"POST /v1/events", "topic=a&wait=0s", form},
		{"QUERY /v1/events", "topic=a&wait=0s", form},
		{"GET /v1/streams/s", "", ""},
		{"HEAD /v1/streams/s", "", ""},
		{"POST /v1/tickets", "", ""},
		{"DELETE /v1/connections?user=x", "", ""},
		{"POST /v1/topics/", "x", ""},
		{"POST /v1/events/x", "x", ""},
		{"POST /elsewhere", "x", ""},
	} {
		s.do(t, c.line, c.body, "Content-Type: "+c.kind, "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	}
	tracer.Close(t.Context())
	if list := servers(r.all()); len(list) != 1 || list[0].Name != "PUT /v1/streams/{name}" {
		t.Errorf("spans are %+v, want that of the PUT", list)
	}
}

// TestAbortedRequestIsAnError has a handler that does not come to an end.
func TestAbortedRequestIsAnError(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := httptest.NewServer(tracer.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })))
	defer s.Close()
	if resp, err := http.Post(s.URL+"/v1/topics/a", "", nil); err == nil {
		resp.Body.Close()
		t.Fatalf("the answer is %s", resp.Status)
	}
	s.Close() // waits for the handler
	tracer.Close(t.Context())
	list := r.all()
	if len(list) != 1 || list[0].Status.Code != 2 {
		t.Fatalf("spans are %+v, want one that failed", list)
	}
	a := texts(t, list[0].Attributes)
	if _, sent := a["http.response.status_code"]; a["error.type"] != "aborted" || sent {
		t.Errorf("attributes are %q, want the error aborted and no status", a)
	}
}

// TestStatusIsTheFinalOne sends an informational one before.
func TestStatusIsTheFinalOne(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := httptest.NewServer(tracer.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusBadGateway) // net/http ignores it
	})))
	defer s.Close()
	s.Config.ErrorLog = discard
	resp, err := http.Post(s.URL+"/v1/topics/a", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.Close()
	tracer.Close(t.Context())
	if list := r.all(); len(list) != 1 || texts(t, list[0].Attributes)["http.response.status_code"] != "#202" {
		t.Errorf("spans are %+v, want one with status 202", list)
	}
}

// TestSpansSayHowTheRequestCame sends it over HTTP/2, and without what is usual.
func TestSpansSayHowTheRequestCame(t *testing.T) {
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
	s := httptest.NewUnstartedServer(tracer.Handler(status(201)))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	resp, err := s.Client().Post(s.URL+"/v1/topics/a", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	bare := httptest.NewRequest("POST", "/v1/topics/a", nil)
	bare.Host, bare.RemoteAddr, bare.ProtoMinor = "weir.test", "@", 0
	tracer.Handler(status(201)).ServeHTTP(httptest.NewRecorder(), bare)
	tracer.Close(t.Context())
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for i, want := range []map[string]string{
		{"url.scheme": "https", "network.protocol.version": "2", "client.address": "127.0.0.1", "server.address": host, "server.port": "#" + port},
		{"url.scheme": "http", "network.protocol.version": "1.0", "client.address": "", "server.address": "weir.test", "server.port": ""},
	} {
		got := texts(t, r.all()[i].Attributes)
		for key, value := range want {
			if got[key] != value {
				t.Errorf("span %d: %s is %q, want %q", i, key, got[key], value)
			}
		}
	}
}

// A failedLog is broken.
type failedLog struct{ *eventlog.Memory }

func (failedLog) Commit(context.Context, []eventlog.Put, ...*eventlog.Entry) error {
	return fmt.Errorf("%w: no disk", eventlog.ErrFailed)
}

// TestFailedCommitSaysWhy commits to logs that cannot do it.
func TestFailedCommitSaysWhy(t *testing.T) {
	memory := func(o eventlog.Options) *eventlog.Memory {
		m, err := eventlog.NewMemory(o)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	closed := memory(eventlog.Options{})
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for want, log := range map[string]tracing.Log{
		"full":   memory(eventlog.Options{ValueBytes: 1}),
		"closed": closed,
		"failed": failedLog{memory(eventlog.Options{})},
		"_OTHER": memory(eventlog.Options{}), // for want of a topic
	} {
		r := receive(t, nil)
		tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: 1})
		watched := tracer.Log(log)
		post(tracer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			e := &eventlog.Entry{Message: eventlog.Message{Topics: []string{"a"}}}
			if want == "_OTHER" {
				e.Topics = nil
			}
			if err := watched.Commit(r.Context(), []eventlog.Put{{Key: "k", Value: []byte("value")}}, e); err == nil {
				t.Errorf("%s: the commit did not fail", want)
			}
		})), 1)
		tracer.Close(t.Context())
		list := r.all()
		if len(list) != 2 || list[1].Status.Code != 2 || texts(t, list[1].Attributes)["error.type"] != want {
			t.Errorf("spans are %+v, want a commit that failed: %s", list, want)
		}
	}
}
