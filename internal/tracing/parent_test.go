package tracing_test

import (
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/tracing"
)

const (
	traceOfParent = "0af7651916cd43dd8448eb211c80319c"
	spanOfParent  = "b7ad6b7169203331"
)

// publish sends one message with header lines and returns the spans of the request and
// of its commit, or none.
func publish(t *testing.T, ratio float64, header ...string) []exported {
	t.Helper()
	r := receive(t, nil)
	tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: ratio})
	s := serve(t, tracer)
	if got := s.do(t, "POST /v1/topics/a", "x", header...); got != 201 {
		t.Fatalf("publish with %q: %d", header, got)
	}
	tracer.Close(t.Context())
	list := r.all()
	if len(list) != 0 && len(list) != 2 {
		t.Fatalf("%d spans, want none or that of the request and that of the commit: %+v", len(list), list)
	}
	return list
}

// TestPublisherDecides states that the ratio has no say if there is a traceparent.
func TestPublisherDecides(t *testing.T) {
	for _, c := range []struct {
		name, parent string
		ratio        float64
		flags        uint32 // of the span; 0: none
	}{
		{"sampled", "00-" + traceOfParent + "-" + spanOfParent + "-01", 0, 0x301},
		{"sampled, random ID", "00-" + traceOfParent + "-" + spanOfParent + "-03", 0, 0x303},
		{"sampled, unknown flags", "00-" + traceOfParent + "-" + spanOfParent + "-ff", 0, 0x303},
		{"later version", "cc-" + traceOfParent + "-" + spanOfParent + "-01", 0, 0x301},
		{"later version with more", "cc-" + traceOfParent + "-" + spanOfParent + "-01-what-may-come", 0, 0x301},
		{"not sampled", "00-" + traceOfParent + "-" + spanOfParent + "-00", 1, 0},
		{"not sampled, random ID", "00-" + traceOfParent + "-" + spanOfParent + "-02", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			list := publish(t, c.ratio, "Traceparent: "+c.parent, "Tracestate: a=1,b@x=2", "Tracestate: c= x", "Baggage: secret=1")
			if c.flags == 0 {
				if len(list) != 0 {
					t.Errorf("it is traced: %+v", list)
				}
				return
			}
			if len(list) != 2 {
				t.Fatal("it is not traced")
			}
			s, commit := list[0], list[1]
			if s.TraceID != traceOfParent || s.ParentSpanID != spanOfParent || s.SpanID == spanOfParent || s.Flags != c.flags || s.TraceState != "a=1,b@x=2,c= x" {
				t.Errorf("the span is %+v", s)
			}
			if commit.TraceID != traceOfParent || commit.ParentSpanID != s.SpanID || commit.Flags != c.flags&^0x200 || commit.TraceState != s.TraceState {
				t.Errorf("the commit is %+v, below %+v", commit, s)
			}
		})
	}
}

// TestMalformedParentIsIgnored states that the ratio decides then, and that the trace is
// a new one.
func TestMalformedParentIsIgnored(t *testing.T) {
	good := "00-" + traceOfParent + "-" + spanOfParent + "-01"
	for name, header := range map[string][]string{
		"none":              nil,
		"empty":             {""},
		"two":               {good, good},
		"short":             {good[:54]},
		"long":              {good + "0"},
		"long, version 0":   {good + "-00"},
		"long, no dash":     {"01" + good[2:] + "x"},
		"version ff":        {"ff" + good[2:]},
		"version not hex":   {"0x" + good[2:]},
		"flags not hex":     {good[:53] + "0g"},
		"trace not hex":     {strings.Replace(good, "0af", "0ag", 1)},
		"upper case":        {strings.ToUpper(good)},
		"trace zero":        {"00-" + strings.Repeat("0", 32) + "-" + spanOfParent + "-01"},
		"span zero":         {"00-" + traceOfParent + "-" + strings.Repeat("0", 16) + "-01"},
		"other dashes":      {strings.ReplaceAll(good, "-", "_")},
		"first dash moved":  {"000" + good[3:]},
		"second dash moved": {good[:35] + "0" + good[36:]},
		"third dash moved":  {good[:52] + "0" + good[53:]},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			for _, value := range header {
				lines = append(lines, "Traceparent: "+value)
			}
			if list := publish(t, 0, lines...); len(list) != 0 {
				t.Errorf("with ratio 0 it is traced: %+v", list)
			}
			list := publish(t, 1, append(lines, "Tracestate: a=1")...)
			if len(list) == 0 {
				t.Fatal("with ratio 1 it is not traced")
			}
			if s := list[0]; s.TraceID == traceOfParent || s.ParentSpanID != "" || s.TraceState != "" {
				t.Errorf("the span is %+v, want the first of a new trace", s)
			}
		})
	}
}

// TestBadStateIsLeftOut states that the trace holds without its tracestate.
func TestBadStateIsLeftOut(t *testing.T) {
	member := func(i int) string { return "k" + strings.Repeat("x", i) + "=v" }
	var many []string
	for i := range 33 {
		many = append(many, member(i%5))
	}
	for name, c := range map[string]struct{ state, want string }{
		"empty members": {"a=1, ,b=2,", "a=1, ,b=2,"},
		"32 members":    {strings.Join(many[:32], ","), strings.Join(many[:32], ",")},
		"33 members":    {strings.Join(many, ","), ""},
		"512 bytes":     {"a=" + strings.Repeat("x", 256) + ",b=" + strings.Repeat("x", 251), "a=" + strings.Repeat("x", 256) + ",b=" + strings.Repeat("x", 251)},
		"513 bytes":     {"a=" + strings.Repeat("x", 256) + ",b=" + strings.Repeat("x", 252), ""},
		"long value":    {"a=" + strings.Repeat("x", 257), ""},
		"no value":      {"a=1,b=", ""},
		"no key":        {"=1", ""},
		"upper case":    {"A=1", ""},
		"two signs":     {"a=b=c", ""},
		"not ASCII":     {"a=\u00e4", ""},
	} {
		t.Run(name, func(t *testing.T) {
			list := publish(t, 0, "Traceparent: 00-"+traceOfParent+"-"+spanOfParent+"-01", "Tracestate: "+c.state)
			if len(list) == 0 || list[0].TraceID != traceOfParent || list[0].TraceState != c.want {
				t.Errorf("with tracestate %q the spans are %+v, want tracestate %q", c.state, list, c.want)
			}
		})
	}
}

// TestRatioIsTheShareThatIsTraced leaves the publishes to chance. That it fails for want
// of luck is as likely as one in 10^20.
func TestRatioIsTheShareThatIsTraced(t *testing.T) {
	for ratio, want := range map[float64][2]int{0: {0, 0}, 0.5: {350, 650}, 1: {1000, 1000}} {
		r := receive(t, nil)
		tracer := open(t, tracing.Options{Endpoint: r.URL, Ratio: ratio})
		post(tracer.Handler(status(201)), 1000)
		tracer.Close(t.Context())
		list := r.all()
		if len(list) < want[0] || len(list) > want[1] || tracer.Dropped() != 0 {
			t.Errorf("with ratio %v, %d of 1000 are traced and %d dropped, want %d to %d", ratio, len(list), tracer.Dropped(), want[0], want[1])
		}
		ids := make(map[string]bool)
		for _, s := range list {
			ids[s.TraceID], ids[s.SpanID] = true, true
		}
		if len(ids) != 2*len(list) {
			t.Errorf("%d spans have %d IDs, want no ID twice", len(list), len(ids))
		}
	}
}

func TestOpenRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []struct {
		o    tracing.Options
		want string
	}{
		{tracing.Options{Endpoint: "127.0.0.1:4318"}, `"127.0.0.1:4318" is not the URL of a receiver of traces: write it like http://127.0.0.1:4318`},
		{tracing.Options{Endpoint: "grpc://a:4317"}, `"grpc://a:4317" is not the URL of a receiver of traces: write it like http://127.0.0.1:4318`},
		{tracing.Options{Endpoint: "http:///v1/traces"}, `"http:///v1/traces" is not the URL of a receiver of traces: write it like http://127.0.0.1:4318`},
		{tracing.Options{Endpoint: "http://a:password@b"}, `the URL of a receiver of traces must not hold a name or password`},
		{tracing.Options{Endpoint: "http://a", Ratio: 1.5}, `ratio of traces is 1.5: want 0 to 1`},
		{tracing.Options{Endpoint: "http://a", Ratio: -0.1}, `ratio of traces is -0.1: want 0 to 1`},
	} {
		if tracer, err := tracing.Open(c.o); tracer != nil || err == nil || err.Error() != c.want {
			tracer.Close(t.Context())
			t.Errorf("Open(%q, %v): %v, want %s", c.o.Endpoint, c.o.Ratio, err, c.want)
		}
	}
}

// TestEndpointMayHaveThePath states where spans are sent to.
func TestEndpointMayHaveThePath(t *testing.T) {
	for _, path := range []string{"", "/", "/v1/traces"} {
		r := receive(t, nil) // which wants /v1/traces
		tracer := open(t, tracing.Options{Endpoint: r.URL + path, Ratio: 1})
		post(tracer.Handler(status(201)), 3)
		tracer.Close(t.Context())
		if got := len(r.all()); got != 3 {
			t.Errorf("with path %q %d spans arrive, want 3", path, got)
		}
	}
}
