package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const maxSet = 1 << 20 // bytes of a JWK set

// RemoteOptions say where keys come from. Zero values are the defaults.
type RemoteOptions struct {
	URL string // of a JWK set; https, or http on this machine
	// Every is the time between two fetches. 0: 15 min.
	Every time.Duration
	// AtMostEvery is the least time between a fetch and one because of a key that is
	// not known, so that invented key IDs are not a way to make requests. 0: 1 min.
	AtMostEvery time.Duration
	// Retry is the time after a failure while there are no keys yet. 0: 5 s.
	Retry time.Duration
	// Timeout bounds one fetch. 0: 10 s.
	Timeout time.Duration
	// Report is called after each fetch, with nil if it went well. It may be nil, must
	// not block, and is not called twice at once.
	Report func(error)
	// Transport makes the requests. nil: one like [http.DefaultTransport].
	Transport http.RoundTripper
}

// A Remote holds the keys of a URL. When a fetch fails, it keeps those it has. A
// key that is no longer in the set is forgotten with the next fetch.
type Remote struct {
	opts   RemoteOptions
	client *http.Client
	wake   chan struct{} // one slot: a fetch is wanted before the time
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	keys    []Key
	err     error         // of the last fetch
	busy    bool          // a fetch runs, or has been asked for
	started time.Time     // of the last fetch
	round   chan struct{} // closed when the fetch that runs, or else the next one, is over
}

// OpenRemote starts to fetch keys and does not wait for them. The caller must call
// Close, which ends the one goroutine.
func OpenRemote(o RemoteOptions) (*Remote, error) {
	if err := checkKeyURL(o.URL); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	r := &Remote{
		opts:   o,
		client: &http.Client{CheckRedirect: noRedirect, Transport: o.Transport},
		wake:   make(chan struct{}, 1),
		cancel: cancel,
		done:   make(chan struct{}),
		round:  make(chan struct{}),
		busy:   true,
	}
	go r.run(ctx)
	return r, nil
}

func (o RemoteOptions) withDefaults() RemoteOptions {
	setDefault(&o.Every, 15*time.Minute)
	setDefault(&o.AtMostEvery, time.Minute)
	setDefault(&o.Retry, 5*time.Second)
	setDefault(&o.Timeout, 10*time.Second)
	if o.Report == nil {
		o.Report = func(error) {}
	}
	if o.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.DisableKeepAlives = true // minutes pass between two requests
		o.Transport = own
	}
	return o
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// noRedirect: where keys come from is a setting, not the choice of who answers.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// checkKeyURL refuses what others on the way could change.
func checkKeyURL(text string) error {
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return fmt.Errorf("%q: the URL of a JWK set must not hold a name or password", u.Redacted())
	}
	if err != nil || u.Host == "" || u.Fragment != "" {
		return fmt.Errorf("%q is not the URL of a JWK set: write it like https://example.com/jwks.json", text)
	}
	ip := net.ParseIP(u.Hostname())
	local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return fmt.Errorf("%q: keys are fetched with https only, or with http from this machine", text)
	}
	return nil
}

// Close ends the fetches and returns when the goroutine is gone. Keys that were
// fetched go on to hold. It may be called several times.
func (r *Remote) Close() {
	r.cancel()
	<-r.done
	r.client.CloseIdleConnections()
}

// Err returns what went wrong with the last fetch, or nil.
func (r *Remote) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *Remote) run(ctx context.Context) {
	defer close(r.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-r.wake:
		}
		timer.Reset(r.update(ctx))
	}
}

// update fetches the keys and returns the time until the next fetch.
func (r *Remote) update(ctx context.Context) time.Duration {
	r.begin()
	keys, err := r.fetch(ctx)
	if ctx.Err() == nil {
		r.opts.Report(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err = err; err == nil {
		r.keys = keys
	}
	r.busy = false
	close(r.round)
	r.round = make(chan struct{})
	if r.keys == nil {
		return r.opts.Retry
	}
	return r.opts.Every
}

// begin takes back a call to wake up, because this fetch is what it wants.
func (r *Remote) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy, r.started = true, time.Now()
	select {
	case <-r.wake:
	default:
	}
}

func (r *Remote) fetch(ctx context.Context) ([]Key, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, r.opts.Timeout, fmt.Errorf("timed out after %v", r.opts.Timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.opts.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	keys, err := r.request(req)
	if err != nil {
		return nil, r.failed(ctx, err)
	}
	return keys, nil
}

func (r *Remote) request(req *http.Request) ([]Key, error) {
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxSet:
		return nil, fmt.Errorf("more than %d bytes", maxSet)
	}
	return parseSet(text)
}

func (r *Remote) failed(ctx context.Context, err error) error {
	return fmt.Errorf("fetch keys from %s: %v", r.opts.URL, causeOf(ctx, err))
}

// causeOf returns why a request failed, without its URL.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// known returns the keys that fit, of those it has.
func (r *Remote) known(id, algorithm string) []Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fitting(r.keys, id, algorithm)
}

// find returns the keys that fit. For a key ID that is not known it has the set
// fetched, if that was not done just now, and waits for it.
func (r *Remote) find(ctx context.Context, id, algorithm string) ([]Key, error) {
	keys, round := r.look(id, algorithm)
	if round != nil {
		select {
		case <-round:
		case <-ctx.Done():
		case <-r.done:
		}
		keys = r.known(id, algorithm)
	}
	if len(keys) == 0 && r.empty() {
		return nil, refuse(KeysUnavailable, "the keys that tokens are checked with could not be fetched so far")
	}
	return keys, nil
}

// look returns the keys that fit, or what to wait for if there are none.
func (r *Remote) look(id, algorithm string) (keys []Key, round <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if keys = fitting(r.keys, id, algorithm); len(keys) > 0 {
		return keys, nil
	}
	if r.busy {
		return nil, r.round
	}
	if time.Since(r.started) < r.opts.AtMostEvery {
		return nil, nil
	}
	r.busy = true
	r.wake <- struct{}{} // it has room: begin empties it, and busy was false
	return nil, r.round
}

func (r *Remote) empty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys == nil
}
