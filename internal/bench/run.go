package bench

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Errors of Run that callers may test for.
var (
	// ErrUnreachable says that no connection to the server could be opened.
	ErrUnreachable = errors.New("bench: no answer")
	// ErrRefused says that the server answers, but not with what the scenario needs.
	ErrRefused = errors.New("bench: refused")
	// ErrTimeLimit says that the run took longer than Options.TimeLimit.
	ErrTimeLimit = errors.New("bench: time limit reached")
)

const (
	longestWait   = 50 * time.Millisecond // between looks at the context and at progress
	progressEvery = 100 * time.Millisecond
)

// Run runs one scenario and returns what it measured. It ends by itself: when
// nothing happens for Options.Patience a wait is given up, and what is missing is
// counted. When ctx ends, or with another error, the result holds what is known
// so far; it is nil only if nothing was begun. A [*Mistake] says that the options
// are wrong.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	restore, err := confine(o.CPUs)
	if err != nil {
		return nil, err
	}
	defer restore()
	r, err := newRun(ctx, o)
	if err != nil {
		return nil, err
	}
	defer r.wire.close()
	err = r.scenario()
	return r.finish(), err
}

// A run is the state of one call of Run. All of it belongs to one goroutine.
type run struct {
	o     Options
	ctx   context.Context
	wire  wire
	clock clock
	tag   tag
	limit int64 // the time at which the time limit ends

	readers   []*conn
	audiences []*group
	book      *book
	dial      dialling
	publisher *publisher
	probed    int  // readers that have received a probe
	resume    bool // readers ask for what follows the last event they saw
	result    *Result
	meter     *meter
	before    cost // when the run began

	fatal    error // ends the run
	progress struct {
		step        string
		done, total func() int64
		shown       int64 // when
		before      int64 // done, then
	}
}

// A group is readers that are counted together.
type group struct {
	readers   int
	byTopic   []int // readers of each topic
	stalled   bool  // its readers do not read
	expected  int64
	delivered int64
	late      int64
	doubled   int64
	misrouted int64 // messages of topics the reader has not asked for
	damaged   int64 // payloads of the wrong length
	latency   histogram
	last      int64 // when the last message arrived
}

func newRun(ctx context.Context, o Options) (*run, error) {
	r := &run{o: o, ctx: ctx, clock: newClock(), result: newResult(o)}
	r.limit = r.clock.now() + int64(o.TimeLimit)
	var random [8]byte
	_, _ = rand.Read(random[:])
	copy(r.tag[:], hex.EncodeToString(random[:2]))
	if r.o.Topic == "" {
		r.o.Topic = "bench/" + hex.EncodeToString(random[2:6])
	}
	subscribe, err := r.target(o.SubscribeURL)
	if err != nil {
		return nil, err
	}
	publish, err := r.target(o.PublishURL)
	if err != nil {
		return nil, err
	}
	lanes := 0
	if o.publishes() {
		lanes = o.InFlight
	}
	if err := raiseLimit(o.Connections + o.Others + o.Patterns + lanes); err != nil {
		return nil, err
	}
	if r.meter, err = newMeter(o.PIDs); err != nil {
		return nil, err
	}
	r.publisher = newPublisher(r, publish, lanes)
	r.makeReaders(subscribe)
	return r, r.openWire(subscribe, publish)
}

// openWire chooses how connections are served.
func (r *run) openWire(targets ...*target) (err error) {
	for _, t := range targets {
		if t.tls != nil || r.o.Goroutines {
			r.wire = newGoroutines(r, r.clock)
			return nil
		}
	}
	r.wire, err = newEpoll(r, r.clock, r.o.Nap)
	return err
}

// target finds the address behind a URL template.
func (r *run) target(template string) (*target, error) {
	u, err := url.Parse(expandURL(template, []string{"t"}))
	if err != nil {
		return nil, err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	ips, err := net.DefaultResolver.LookupNetIP(r.ctx, "ip", u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("%w from %s: %w", ErrUnreachable, u.Host, err)
	}
	addr, err := netip.ParseAddrPort(net.JoinHostPort(preferred(ips).String(), port))
	if err != nil {
		return nil, mistake("%q has a bad port", template)
	}
	t := &target{addr: addr, host: u.Host}
	if u.Scheme == "https" {
		t.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: r.o.Insecure, NextProtos: []string{"http/1.1"}}
	}
	return t, nil
}

// preferred returns the first IPv4 address, or the first.
func preferred(ips []netip.Addr) netip.Addr {
	for _, ip := range ips {
		if ip.Unmap().Is4() {
			return ip.Unmap()
		}
	}
	return ips[0]
}

// path returns the request target of an expanded URL.
func path(expanded string) string {
	_, rest, _ := strings.Cut(expanded, "://")
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		rest = rest[i:]
		rest, _, _ = strings.Cut(rest, "#")
		if rest[0] == '?' {
			return "/" + rest
		}
		return rest
	}
	return "/"
}

// topicName returns the name of topic i.
func (r *run) topicName(i int) string {
	if r.o.Topics == 1 {
		return r.o.Topic
	}
	return fmt.Sprintf("%s/%d", r.o.Topic, i)
}

// await serves the connections until done, and reports whether it came to that.
// It gives up when moved, which grows with every step ahead, stands still for
// Options.Patience. An error ends the run.
func (r *run) await(done func() bool, moved func() int64) (bool, error) {
	return r.awaitFor(r.o.Patience, done, moved)
}

func (r *run) awaitFor(patience time.Duration, done func() bool, moved func() int64) (bool, error) {
	since, at := r.clock.now(), moved()
	for !done() {
		now := r.clock.now()
		due := r.publisher.fill(now)
		if n := moved(); n != at || r.publisher.scheduled() {
			since, at = now, n
		}
		if err := r.mayGoOn(now); err != nil {
			return false, err
		}
		if now-since > int64(patience) {
			return false, nil
		}
		if err := r.wire.wait(min(due, longestWait)); err != nil {
			return false, fmt.Errorf("wait for events: %w", err)
		}
		r.report(now)
	}
	return true, nil
}

func (r *run) mayGoOn(now int64) error {
	switch {
	case r.fatal != nil:
		return r.fatal
	case r.ctx.Err() != nil:
		return r.ctx.Err()
	case now > r.limit:
		return fmt.Errorf("%w: %v", ErrTimeLimit, r.o.TimeLimit)
	}
	return nil
}

// pause serves the connections for d.
func (r *run) pause(d time.Duration) error {
	start := r.clock.now()
	passed := func() int64 { return r.clock.now() - start }
	_, err := r.await(func() bool { return passed() >= int64(d) }, passed)
	return err
}

// step names what is done next, for the progress display and for errors.
func (r *run) step(name string, done, total func() int64) {
	r.progress.step, r.progress.done, r.progress.total = name, done, total
	r.progress.before = done()
}

func (r *run) report(now int64) {
	p := &r.progress
	passed := now - p.shown
	if passed < int64(progressEvery) {
		return
	}
	p.shown = now
	r.meter.sample()
	if r.o.Progress == nil || p.done == nil {
		return
	}
	n := p.done()
	r.o.Progress(Progress{Step: p.step, Done: n, Total: p.total(), Rate: float64(n-p.before) / time.Duration(passed).Seconds()})
	p.before = n
}
