// Package certs holds the TLS certificates of a server: those of files, read again
// when they change, and those that an ACME server issues.
//
// [Open] reads everything and says what is wrong with it. [Store.TLSConfig] serves it,
// [Store.Watch] keeps it fresh, [Store.HTTPHandler] answers the challenges that come
// without TLS. All methods may be called at once from several goroutines.
package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// Options say where certificates come from: from files, by ACME, or both.
type Options struct {
	// Pairs are served by server name, an exact name before a wildcard. Of several
	// with the same name the first that the client can use is served. The first
	// pair is also for clients whose name fits nothing, or that send none.
	Pairs []Pair
	// ACME gets certificates for names that no pair has.
	ACME ACME
	// MinVersion is [tls.VersionTLS12] or [tls.VersionTLS13]. 0: TLS 1.2.
	MinVersion uint16
	// Every is the time between two looks of [Store.Watch] at the files. 0: 10 s.
	Every time.Duration
	// Report is told what happens, for the log. It may be nil, must not block, must
	// not call the store, and is not called twice at once.
	Report func(Event)
}

// A Store serves certificates.
type Store struct {
	opts   Options
	table  atomic.Pointer[table] // what handshakes read
	issuer *issuer               // nil: no ACME

	reporting sync.Mutex // held during Report
	mu        sync.Mutex // guards pairs
	pairs     []*pair
}

// Open reads all pairs and prepares for ACME without asking the server anything. The
// error names every file that cannot be served and says why. A certificate that has
// expired is served and reported as [Expiring]. The caller must call Close.
func Open(o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{opts: o}
	var errs []error
	for i, files := range o.Pairs {
		p := &pair{index: i, files: files}
		s.pairs = append(s.pairs, p)
		errs = append(errs, p.load())
	}
	if len(o.ACME.Domains) > 0 {
		s.issuer, err = newIssuer(o.ACME, s.report)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	s.table.Store(newTable(s.pairs))
	for _, p := range s.pairs {
		s.reportLoaded(p)
	}
	s.remind()
	return s, nil
}

func (o Options) withDefaults() (Options, error) {
	if o.MinVersion == 0 {
		o.MinVersion = tls.VersionTLS12
	}
	if o.Every == 0 {
		o.Every = 10 * time.Second
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	switch {
	case len(o.Pairs)+len(o.ACME.Domains) == 0:
		return o, errors.New("TLS needs a certificate: name its files, or domains for ACME")
	case o.MinVersion != tls.VersionTLS12 && o.MinVersion != tls.VersionTLS13:
		return o, fmt.Errorf("the least version cannot be %s: TLS 1.2 or TLS 1.3", tls.VersionName(o.MinVersion))
	case o.Every < 0:
		return o, fmt.Errorf("the time between two looks at the files is %v, at least 0 is needed", o.Every)
	}
	return o, nil
}

// Close ends what is under way with the ACME server. It may be called several times.
// What is loaded goes on to be served.
func (s *Store) Close() {
	if s.issuer != nil {
		s.issuer.close()
	}
}

// TLSConfig returns a new configuration, which the caller may change, for HTTP/2 and
// HTTP/1.1 with session tickets. With ACME it also answers TLS-ALPN-01 challenges, for
// which the ACME server connects to port 443 of the domain.
func (s *Store) TLSConfig() *tls.Config {
	protocols := []string{"h2", "http/1.1"}
	if s.issuer != nil {
		protocols = append(protocols, acme.ALPNProto)
	}
	return &tls.Config{GetCertificate: s.certificate, MinVersion: s.opts.MinVersion, NextProtos: protocols}
}

// certificate chooses by server name. With neither a certificate nor an error, crypto/tls
// tells the client that the name is not known.
func (s *Store) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.issuer != nil && isChallenge(hello) {
		return s.issuer.challenge(hello)
	}
	t := s.table.Load()
	if c := t.find(hello); c != nil {
		return c, nil
	}
	if s.issuer != nil {
		if d := s.issuer.domains[strings.ToLower(hello.ServerName)]; d != nil {
			return s.issuer.certificate(hello, d)
		}
	}
	return t.first, nil
}

// A table of certificates by name. It does not change.
type table struct {
	first *tls.Certificate              // of the first pair; nil: there are no pairs
	names map[string][]*tls.Certificate // in lower case; a wildcard is "*.example.com"
}

func newTable(pairs []*pair) *table {
	t := &table{names: make(map[string][]*tls.Certificate)}
	for _, p := range pairs {
		if t.first == nil {
			t.first = p.cert
		}
		for _, name := range p.cert.Leaf.DNSNames {
			name = strings.ToLower(name)
			t.names[name] = append(t.names[name], p.cert)
		}
	}
	return t
}

func (t *table) find(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.ToLower(hello.ServerName)
	certs := t.names[name]
	if certs == nil {
		_, parent, _ := strings.Cut(name, ".")
		certs = t.names["*."+parent]
	}
	if len(certs) == 0 {
		return nil
	}
	usable := func(c *tls.Certificate) bool { return hello.SupportsCertificate(c) == nil }
	return certs[max(0, slices.IndexFunc(certs, usable))]
}

// An Expiry says until when a certificate is valid.
type Expiry struct {
	Name     string // the first DNS name of the certificate, or else its first address; "" if it has none
	Pair     int    // its index in Options.Pairs; -1: it is from the ACME server
	NotAfter time.Time
}

// Expiry describes all certificates: those of files in the order of the options, then those
// of ACME by name. One from the ACME server is there after the first handshake for it.
func (s *Store) Expiry() []Expiry {
	s.mu.Lock()
	var all []Expiry
	for _, p := range s.pairs {
		all = append(all, Expiry{Name: firstName(p.cert.Leaf), Pair: p.index, NotAfter: p.cert.Leaf.NotAfter})
	}
	s.mu.Unlock()
	if s.issuer != nil {
		all = append(all, s.issuer.expiry()...)
	}
	return all
}
