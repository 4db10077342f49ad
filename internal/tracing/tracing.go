// Package tracing tells an OpenTelemetry receiver how publishing went.
//
// [Open] makes a [Tracer]. Its Handler stands around the handlers of requests and
// makes a span for those that publish, its Log around the log and makes a span below
// it for the time in there. A nil Tracer is off, and costs nothing. All methods may be
// called at once.
//
// Whether a publish is traced is decided by its traceparent, or else by chance. Spans
// wait in a queue with a bound for the one goroutine that sends them; nobody waits for
// it, and what has no room is dropped. Baggage is not read, and nothing of a trace is
// stored with messages, so readers do not see it.
//
// Spans say what the semantic conventions of OpenTelemetry 1.43 have for servers of
// HTTP and for messaging. They hold no query, no cookie and no header, which may be
// secrets, and no text of a client is longer than 512 bytes.
//
// Sources: W3C Trace Context; OpenTelemetry protocol (OTLP) 1.9, over HTTP in JSON.
package tracing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxQueue    = 1024             // requests that wait to be sent; later ones are dropped
	maxBatch    = 256              // requests that are sent together
	gatherFor   = time.Second      // time that the first of a batch waits for others
	sendFor     = 10 * time.Second // bounds one attempt to send
	flushFor    = 2 * time.Second  // bounds Close
	reportEvery = time.Minute
)

// Options configure a Tracer.
type Options struct {
	Endpoint string  // URL of an OTLP receiver, without or with its path /v1/traces; "": off
	Ratio    float64 // of publishes that are traced if no traceparent decides; 0 to 1
	Streams  string  // prefix of the paths of durable streams, like "/v1/streams/"; "": none
	Version  string  // of this program
	// Report is told of a failure to send, at most once a minute, and with nil when it
	// is over. It may be nil, must not block, and is not called twice at once.
	Report func(error)
	// Transport makes the requests. nil: one like [http.DefaultTransport].
	Transport http.RoundTripper
}

// A Tracer makes spans and sends them.
type Tracer struct {
	opts       Options
	url        string
	client     *http.Client
	resource   resource
	operations []operation

	queue   chan *span
	dropped atomic.Int64 // spans

	closing chan struct{} // closed by the first Close
	once    sync.Once
	sending context.Context // of requests to the receiver
	cancel  context.CancelFunc
	done    chan struct{} // closed when the goroutine has ended

	// Owned by that goroutine.
	batch   []*span
	told    time.Time // when a failure was reported last
	failing bool      // it was, and not yet that it is over
}

// Open starts a goroutine that sends spans. The caller must call Close. With no
// endpoint it returns nil, which is a Tracer that is off.
func Open(o Options) (*Tracer, error) {
	if o.Endpoint == "" {
		return nil, nil
	}
	target, err := tracesURL(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if !(o.Ratio >= 0 && o.Ratio <= 1) {
		return nil, fmt.Errorf("ratio of traces is %v: want 0 to 1", o.Ratio)
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport.(*http.Transport).Clone() // whose idle connections Close can close
	}
	t := &Tracer{
		opts: o, url: target, resource: newResource(o.Version), operations: operations(o.Streams),
		client: &http.Client{CheckRedirect: noRedirect, Transport: o.Transport},
		queue:  make(chan *span, maxQueue), closing: make(chan struct{}), done: make(chan struct{}),
	}
	t.sending, t.cancel = context.WithCancel(context.Background())
	go t.run()
	return t, nil
}

// noRedirect: where spans go is a setting, not the choice of who answers.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// tracesPath is where a receiver takes traces.
const tracesPath = "/v1/traces"

func tracesURL(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err == nil && u.User != nil {
		return "", errors.New("the URL of a receiver of traces must not hold a name or password") // so it is not quoted
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%q is not the URL of a receiver of traces: write it like http://127.0.0.1:4318", endpoint)
	}
	if strings.HasSuffix(u.Path, tracesPath) {
		return u.String(), nil
	}
	return u.JoinPath(tracesPath).String(), nil
}

// Dropped is how many spans were not sent, because the queue was full or because the
// receiver did not take them.
func (t *Tracer) Dropped() int64 {
	if t == nil {
		return 0
	}
	return t.dropped.Load()
}

// Close sends what waits, until ctx ends but for 2 s at most, and returns when the
// goroutine is gone. Spans that end later are dropped. It may be called several times.
func (t *Tracer) Close(ctx context.Context) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, flushFor)
	defer cancel()
	t.once.Do(func() { close(t.closing) })
	defer context.AfterFunc(ctx, t.cancel)()
	<-t.done
	t.cancel()
	t.client.CloseIdleConnections()
}

// Handler returns a handler that makes a span of each request that publishes, if it is
// traced, and has next serve it. Other requests go to next as they are.
//
// Connections that are taken over from net/http are not traced: nobody must do that to
// those that publish.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		op := t.operation(r)
		if op == nil {
			next.ServeHTTP(w, r)
			return
		}
		p, known := readParent(r.Header)
		if known && !p.sampled() || !known && rand.Float64() >= t.opts.Ratio {
			next.ServeHTTP(w, r)
			return
		}
		t.record(newSpan(op, p, known, r), next, w, r)
	})
}

type spanKey struct{}

// record serves a request that is traced.
func (t *Tracer) record(s *span, next http.Handler, w http.ResponseWriter, r *http.Request) {
	defer t.end(s)
	next.ServeHTTP(&answer{w, s}, r.WithContext(context.WithValue(r.Context(), spanKey{}, s)))
	s.answered(http.StatusOK) // net/http sends that now, if nothing was sent
	s.returned = true
}

// end hands a span over to be sent, or drops it.
func (t *Tracer) end(s *span) {
	s.took = time.Since(s.start)
	select {
	case <-t.closing:
		t.drop(s)
		return
	default:
	}
	select {
	case t.queue <- s:
	default:
		t.drop(s)
	}
}

func (t *Tracer) drop(s *span) { t.dropped.Add(int64(s.count())) }

// An answer notes the status of what is answered.
type answer struct {
	http.ResponseWriter
	span *span
}

func (a *answer) WriteHeader(status int) {
	if status >= 200 {
		a.span.answered(status)
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	a.span.answered(http.StatusOK)
	return a.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach what a wraps.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
