package tracing

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"strconv"
	"time"
)

// The types of this file are the messages of OTLP that are sent, with the JSON names of
// their fields. IDs are hexadecimal, enumerations numbers and 64-bit numbers strings.
//
// Source: open-telemetry/opentelemetry-proto, trace/v1/trace.proto and
// docs/specification.md, "JSON Protobuf Encoding".

type payload struct {
	ResourceSpans []resourceSpans `json:"resourceSpans"`
}

type resourceSpans struct {
	Resource   resource     `json:"resource"`
	ScopeSpans []scopeSpans `json:"scopeSpans"`
	SchemaURL  string       `json:"schemaUrl"`
}

type resource struct {
	Attributes []attribute `json:"attributes"`
}

type scopeSpans struct {
	Scope scope      `json:"scope"`
	Spans []wireSpan `json:"spans"`
}

type scope struct {
	Name string `json:"name"`
}

type wireSpan struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	TraceState string      `json:"traceState,omitempty"`
	ParentID   string      `json:"parentSpanId,omitempty"`
	Flags      uint32      `json:"flags"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      int64       `json:"startTimeUnixNano,string"`
	End        int64       `json:"endTimeUnixNano,string"`
	Attributes []attribute `json:"attributes"`
	Status     *wireStatus `json:"status,omitempty"`
}

type wireStatus struct {
	Code int `json:"code"`
}

type attribute struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// A value has one field.
type value struct {
	Text   *string `json:"stringValue,omitempty"`
	Number *int64  `json:"intValue,omitempty,string"`
}

const (
	schemaURL = "https://opentelemetry.io/schemas/1.43.0"

	kindInternal = 1
	kindServer   = 2

	statusError = 2

	flagRemoteKnown = 0x100 // it is known whether the parent is remote
	flagRemote      = 0x200
)

// attributes collect, in order.
type attributes []attribute

func (a *attributes) text(key, v string) {
	if v != "" {
		*a = append(*a, attribute{key, value{Text: &v}})
	}
}

func (a *attributes) number(key string, v int) {
	n := int64(v)
	*a = append(*a, attribute{key, value{Number: &n}})
}

// newResource describes this process. Its ID is random, so that several on one
// machine, or one after its restart, are told apart.
func newResource(version string) resource {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	var a attributes
	a.text("service.name", "weir")
	a.text("service.version", version)
	a.text("service.instance.id", fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]))
	return resource{a}
}

func (r resource) payload(batch []*span) payload {
	var spans []wireSpan
	for _, s := range batch {
		spans = append(spans, s.wire())
		for i := range s.commits {
			spans = append(spans, s.commits[i].wire(s))
		}
	}
	scopes := []scopeSpans{{scope{"weir"}, spans}}
	return payload{[]resourceSpans{{r, scopes, schemaURL}}}
}

// flags of a span of the trace are the publisher's, or those of a trace that begins here.
func (s *span) flags() uint32 {
	flags := byte(flagSampled | flagRandom)
	if s.remote {
		flags &= s.parent.flags
	}
	return uint32(flags) | flagRemoteKnown
}

func (s *span) wire() wireSpan {
	w := wireSpan{
		TraceID: hex.EncodeToString(s.trace[:]), SpanID: hex.EncodeToString(s.id[:]), TraceState: s.parent.state, Flags: s.flags(),
		Name: s.op.method + " " + s.op.route(), Kind: kindServer, Attributes: s.attributes(), Status: statusOf(s.failure()),
	}
	if s.remote {
		w.ParentID = hex.EncodeToString(s.parent.span[:])
		w.Flags |= flagRemote
	}
	w.Start, w.End = interval(s.start, s.took)
	return w
}

func (s *span) attributes() attributes {
	var a attributes
	a.text("http.request.method", s.op.method)
	a.text("http.route", s.op.route())
	if s.status != 0 {
		a.number("http.response.status_code", s.status)
	}
	a.text("error.type", s.failure())
	a.text("url.path", s.path)
	a.text("url.scheme", s.scheme)
	a.text("client.address", s.client)
	a.text("network.protocol.version", s.version)
	s.addServer(&a)
	s.addMessaging(&a)
	return a
}

func (s *span) addServer(a *attributes) {
	host, port, err := net.SplitHostPort(s.host)
	if err != nil {
		host = s.host // it has no port
	}
	a.text("server.address", host)
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		a.number("server.port", int(n))
	}
}

func (s *span) addMessaging(a *attributes) {
	a.text("messaging.system", "weir")
	a.text("messaging.operation.name", s.op.verb)
	if s.op.sends {
		a.text("messaging.operation.type", "send")
	}
	if !s.mixed {
		a.text("messaging.destination.name", cut(s.topic))
	}
	if s.op.name == "" || s.messages > 1 { // the conventions want none of what publishes single messages
		a.number("messaging.batch.message_count", s.messages)
	}
}

func (c *commit) wire(s *span) wireSpan {
	var a attributes
	a.text("messaging.system", "weir")
	a.number("messaging.batch.message_count", c.messages)
	a.text("error.type", c.failure)
	w := wireSpan{
		TraceID: hex.EncodeToString(s.trace[:]), SpanID: hex.EncodeToString(c.id[:]), TraceState: s.parent.state,
		ParentID: hex.EncodeToString(s.id[:]), Flags: s.flags(),
		Name: "commit", Kind: kindInternal, Attributes: a, Status: statusOf(c.failure),
	}
	w.Start, w.End = interval(c.start, c.took)
	return w
}

func statusOf(failure string) *wireStatus {
	if failure == "" {
		return nil
	}
	return &wireStatus{statusError}
}

// interval returns both ends in nanoseconds since 1970. That the clock is set meanwhile
// does not change how long it was.
func interval(start time.Time, took time.Duration) (from, to int64) {
	from = start.UnixNano()
	return from, from + int64(took)
}
