package access

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// waitingShare is how many calls may wait for each that may be under way.
const waitingShare = 10

// ForwardOptions say which application is asked, and how. Zero values are the
// defaults.
type ForwardOptions struct {
	URL string // http or https
	// Timeout bounds how long a call waits for its turn and the answer. A request waits
	// for one call, or for two if the answer to the first must not be shared. 0: 5 s.
	Timeout time.Duration
	// Cache is the longest that an answer is used again, also for requests that come
	// while it is awaited. 0: 10 s; negative: not at all.
	Cache time.Duration
	// MaxCache is how many answers are kept; the oldest are dropped. 0: 10,000.
	MaxCache int
	// MaxInFlight is how many calls run at once. Ten times as many wait for their turn,
	// and further ones are refused. 0: 100.
	MaxInFlight int
	// Client returns what the server knows of who sent a request. Empty fields, and all
	// if it is nil, are what the request itself says.
	Client func(*http.Request) Client
	// Report is called when a call fails, at most once a second, and with nil when one
	// goes well again. It may be nil, must not block, and is not called twice at once.
	Report func(error)
	// Transport makes the calls. nil: one like [http.DefaultTransport].
	Transport http.RoundTripper
}

// A Client is who sent a request, where the server is behind proxies.
type Client struct {
	Address string // IP address without a port
	Host    string // that the client asked for
	Proto   string // "http" or "https"
}

// A Forward asks an application who a request is from and what it may do.
//
// An answer is about who sends the request and not about the request. Requests with
// equal Authorization, Cookie and Origin get the same one, for as long as Cache, the
// Cache-Control of the answer and its grant allow. If the application looks at other
// things, it must say so with Cache-Control: no-store or with Vary: no two requests
// share such an answer.
type Forward struct {
	opts   ForwardOptions
	client *http.Client
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	slots  chan struct{} // one element for each call under way
	calls  sync.WaitGroup

	requests, hits, started, refusals, failures atomic.Uint64
	latency                                     atomic.Int64 // of the last call, in ns

	mu      sync.Mutex
	closed  bool
	pending int // calls under way or waiting
	shared  map[digest]*call
	kept    answers

	reports reporter
}

// ForwardStats count since the start.
type ForwardStats struct {
	Requests uint64        // decided
	Hits     uint64        // of those, by an answer that was there, or under way for another
	Calls    uint64        // of the application
	Refusals uint64        // calls answered with 401 or 403
	Failures uint64        // calls without an answer that counts, those for want of room included
	Latency  time.Duration // of the last call, without the time it waited; 0: there was none
	Cached   int           // answers kept now
	InFlight int           // calls under way or waiting now
}

// A call is one question under way. Its answer is set before done is closed.
type call struct {
	done   chan struct{}
	answer answer
}

// OpenForward makes no call yet. The caller must call Close, which ends the
// goroutines: one for each call.
func OpenForward(o ForwardOptions) (*Forward, error) {
	if err := checkForwardURL(o.URL); err != nil {
		return nil, err
	}
	if o.Timeout < 0 || o.MaxCache < 0 || o.MaxInFlight < 0 {
		return nil, fmt.Errorf("forward auth: a timeout of %v, %d answers and %d calls: want 0 or more", o.Timeout, o.MaxCache, o.MaxInFlight)
	}
	o = o.withDefaults()
	f := &Forward{
		opts:    o,
		client:  &http.Client{CheckRedirect: noRedirect, Transport: o.Transport},
		slots:   make(chan struct{}, o.MaxInFlight),
		shared:  make(map[digest]*call),
		kept:    newAnswers(o.MaxCache),
		reports: reporter{report: o.Report},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f, nil
}

func checkForwardURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return fmt.Errorf("%q: the URL of an application must not hold a name or password", u.Redacted())
	}
	if err != nil || u.Host == "" || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("%q is not the URL of an application: write it like http://app.internal:3000/auth", text)
	}
	return nil
}

func (o ForwardOptions) withDefaults() ForwardOptions {
	setDefault(&o.Timeout, 5*time.Second)
	setDefault(&o.Cache, 10*time.Second)
	if o.MaxCache == 0 {
		o.MaxCache = 10_000
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 100
	}
	if o.Client == nil {
		o.Client = func(*http.Request) Client { return Client{} }
	}
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.MaxIdleConns, own.MaxIdleConnsPerHost = o.MaxInFlight, o.MaxInFlight
		own.MaxResponseHeaderBytes = maxAnswer
		o.Transport = own
	}
	return o
}

// Close ends calls that are under way and returns when their goroutines are gone.
// Requests are refused then. It may be called several times.
func (f *Forward) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.calls.Wait()
	f.client.CloseIdleConnections()
}

// Stats returns the counts.
func (f *Forward) Stats() ForwardStats {
	f.mu.Lock()
	cached, pending := f.kept.len(), f.pending
	f.mu.Unlock()
	return ForwardStats{
		Requests: f.requests.Load(), Hits: f.hits.Load(), Calls: f.started.Load(),
		Refusals: f.refusals.Load(), Failures: f.failures.Load(),
		Latency: time.Duration(f.latency.Load()), Cached: cached, InFlight: pending,
	}
}
