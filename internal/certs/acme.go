package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME says who issues certificates for which names. Using it accepts the terms of
// service of the server.
type ACME struct {
	// Domains are the names, exactly, in ASCII. None: no ACME.
	Domains []string
	// Email is where the server may write to. It may be "".
	Email string
	// Directory is the URL of the server, with https. "": Let's Encrypt.
	Directory string
	// Cache is the directory that keeps keys and certificates. It is made if it is
	// not there, for nobody else to read.
	Cache string
	// RootCAs are whom to trust for the directory. nil: those of the system.
	RootCAs *x509.CertPool
}

// An issuer gets certificates from an ACME server, one ECDSA certificate for each
// domain, with the first handshake that wants it. They are renewed by timers of
// autocert that last as long as the program.
type issuer struct {
	manager *autocert.Manager
	server  *http.Transport
	report  func(Event)
	domains map[string]*domain // does not change
	closed  context.Context
	close   func()

	mu   sync.Mutex // guards what domains point to, and last
	last error      // what last went wrong with the server; nil after it has issued
}

func newIssuer(o ACME, report func(Event)) (*issuer, error) {
	a := &issuer{report: report, domains: make(map[string]*domain)}
	for _, name := range o.Domains {
		name = strings.ToLower(name)
		if err := checkDomain(name); err != nil {
			return nil, err
		}
		a.domains[name] = &domain{name: name}
	}
	if err := errors.Join(checkDirectory(o.Directory), a.openCache(o.Cache)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a.closed = ctx
	a.close = func() { cancel(); a.server.CloseIdleConnections() }
	a.connect(o)
	return a, nil
}

// connect puts the parts between this package and the server together:
// issuer -> autocert -> ACME client -> RoundTrip of the issuer -> server.
func (a *issuer) connect(o ACME) {
	a.server = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: o.RootCAs},
		ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute,
		// A connection that is being made outlives its request.
		DialContext: (&net.Dialer{Timeout: connectTimeout}).DialContext, TLSHandshakeTimeout: connectTimeout,
	}
	if o.Directory == "" {
		o.Directory = autocert.DefaultACMEDirectory
	}
	a.manager = &autocert.Manager{
		Prompt: autocert.AcceptTOS, Email: o.Email, HostPolicy: a.policy,
		Cache: &cache{DirCache: autocert.DirCache(o.Cache), issuer: a},
		Client: &acme.Client{
			DirectoryURL: o.Directory, UserAgent: "weir", RetryBackoff: backoff,
			HTTPClient: &http.Client{Transport: a, Timeout: requestTimeout},
		},
	}
}

var domainForm = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func checkDomain(name string) error {
	_, err := netip.ParseAddr(name)
	switch {
	case err == nil:
		return fmt.Errorf("ACME is for names, and %q is an address", name)
	case strings.HasPrefix(name, "*."):
		return fmt.Errorf("ACME for %q would need control of its DNS: list the names one by one, or use certificate files", name)
	case len(name) > 253 || !domainForm.MatchString(name):
		return fmt.Errorf("%q is no domain that ACME can be asked for: write it like www.example.com, other letters in their ASCII form (xn--...)", name)
	}
	return nil
}

func checkDirectory(text string) error {
	if text == "" {
		return nil
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q is no URL of an ACME directory: write it like https://acme.example.com/directory", text)
	}
	return nil
}

// openCache makes the directory and finds out now whether it can be written to: later
// there would be a certificate, and after each restart another, until the server refuses.
func (a *issuer) openCache(dir string) error {
	if dir == "" {
		return errors.New("ACME needs a directory for what it is issued")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the directory of ACME: %w", err)
	}
	probe, err := os.CreateTemp(dir, "probe")
	if err != nil {
		return fmt.Errorf("the directory of ACME cannot be written to: %w", err)
	}
	if err := errors.Join(probe.Close(), os.Remove(probe.Name())); err != nil {
		return fmt.Errorf("the directory of ACME: %w", err)
	}
	info, err := os.Stat(dir)
	if err == nil && info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		a.warn(fmt.Errorf("others can look into %q, which holds keys of ACME: its mode is %#o, 0700 is enough", dir, info.Mode().Perm()))
	}
	return err
}

func (a *issuer) warn(err error) { a.report(Event{Kind: Warning, Pair: -1, Err: err}) }

// policy is asked by autocert before it does anything for a host.
func (a *issuer) policy(_ context.Context, host string) error {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if a.domains[strings.ToLower(host)] == nil {
		return fmt.Errorf("%q is not among the domains of ACME", host)
	}
	return nil
}

// isChallenge reports whether the ACME server asks for proof.
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto
}

func (a *issuer) challenge(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if err := a.policy(hello.Context(), hello.ServerName); err != nil {
		return nil, err
	}
	return a.manager.GetCertificate(hello)
}

// HTTPHandler answers HTTP-01 challenges, for which the ACME server connects to port 80
// of the domain, and hands all other requests to fallback. Only when it has been called
// are such challenges asked for, and only where TLS-ALPN-01 fails. Without ACME it
// returns fallback.
func (s *Store) HTTPHandler(fallback http.Handler) http.Handler {
	if s.issuer == nil {
		return fallback
	}
	return s.issuer.manager.HTTPHandler(fallback)
}

func (a *issuer) sorted() []*domain {
	var all []*domain
	for _, name := range slices.Sorted(maps.Keys(a.domains)) {
		all = append(all, a.domains[name])
	}
	return all
}

func (a *issuer) expiry() (all []Expiry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.sorted() {
		if d.held.leaf != nil {
			all = append(all, Expiry{Name: d.name, Pair: -1, NotAfter: d.held.leaf.NotAfter})
		}
	}
	return all
}

// remind reports the certificates that expire, and renewals that failed.
func (a *issuer) remind(now time.Time) {
	var events []Event
	a.mu.Lock()
	for _, d := range a.sorted() {
		if err := d.failedRenewal(now); err != nil {
			a.last = err
			events = append(events, certEvent(Failed, -1, d.held.leaf, err))
		}
		if d.held.due(now) {
			events = append(events, certEvent(Expiring, -1, d.held.leaf, a.last))
		}
	}
	a.mu.Unlock()
	for _, e := range events {
		a.report(e)
	}
}

// A cache is the directory of autocert, and tells the issuer what goes through it: the
// only way to learn of a renewal.
type cache struct {
	autocert.DirCache
	issuer *issuer
}

func (c *cache) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := c.DirCache.Get(ctx, key)
	d := c.issuer.domains[key]
	switch {
	case err == nil && d != nil:
		c.issuer.loaded(d, data)
	case err != nil && strings.HasSuffix(key, "+http-01"):
		// The key is what a stranger asked for, and is told the error.
		return nil, autocert.ErrCacheMiss
	}
	return data, err
}

// Put fails loudly, which autocert does not.
func (c *cache) Put(ctx context.Context, key string, data []byte) error {
	err := c.DirCache.Put(ctx, key, data)
	if err != nil {
		c.issuer.warn(fmt.Errorf("ACME cannot store %q, and it will be lost with a restart: %w", key, err))
	}
	if d := c.issuer.domains[key]; d != nil {
		c.issuer.loaded(d, data)
	}
	return err
}
