package certs

import (
	"crypto/x509"
	"errors"
	"time"
)

// A Kind of event, as a word for the log.
type Kind string

const (
	// Loaded: a certificate is served from now on. It was read from files, from the
	// cache of ACME, or has been issued.
	Loaded Kind = "loaded"
	// Failed: files cannot be served, or no certificate was issued. What was served
	// before goes on to be served. The same failure of files is reported once a day.
	Failed Kind = "failed"
	// Expiring: the certificate has expired, or will within 14 days; within a quarter
	// of its life, if that is less. It is reported once a day.
	Expiring Kind = "expiring"
	// Warning: a certificate is served, but something about it is not as it should be.
	Warning Kind = "warning"
)

// An Event of a store.
type Event struct {
	Kind     Kind
	Pair     int       // index in Options.Pairs; -1: it is about ACME
	Names    []string  // of the certificate, or the domain that failed; nil: not known
	NotAfter time.Time // of the certificate; zero: there is none
	// Err is the reason of Failed and Warning. For Expiring of a certificate from the
	// ACME server it is what last went wrong there, or nil.
	Err error
}

const (
	day          = 24 * time.Hour
	longReminder = 14 * day
)

// A held certificate, and when its end was last reported.
type held struct {
	leaf     *x509.Certificate // nil: none
	reminded time.Time
}

// due reports whether the end of the certificate is to be reported now, and notes it.
func (h *held) due(now time.Time) bool {
	if h.leaf == nil || now.Before(remindFrom(h.leaf)) || now.Sub(h.reminded) < day {
		return false
	}
	h.reminded = now
	return true
}

// remindFrom leaves time to renew. A certificate that lives for six days should not be
// complained about when it is new.
func remindFrom(leaf *x509.Certificate) time.Time {
	before := min(longReminder, leaf.NotAfter.Sub(leaf.NotBefore)/4)
	return leaf.NotAfter.Add(-before)
}

func (s *Store) report(e Event) {
	s.reporting.Lock()
	defer s.reporting.Unlock()
	s.opts.Report(e)
}

func (s *Store) reportLoaded(p *pair) {
	e := p.event(Loaded, nil)
	s.report(e)
	for _, err := range p.warnings {
		e.Kind, e.Err = Warning, err
		s.report(e)
	}
}

// remind reports the certificates that expire.
func (s *Store) remind() {
	now := time.Now()
	for _, p := range s.pairs {
		if p.held.due(now) {
			s.report(p.event(Expiring, nil))
		}
	}
	if s.issuer != nil {
		s.issuer.remind(now)
	}
}

func certEvent(kind Kind, pair int, leaf *x509.Certificate, err error) Event {
	e := Event{Kind: kind, Pair: pair, Err: err}
	if leaf != nil {
		e.Names, e.NotAfter = namesOf(leaf), leaf.NotAfter
	}
	return e
}

// namesOf returns the DNS names and addresses that a certificate is for.
func namesOf(leaf *x509.Certificate) []string {
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

func firstName(leaf *x509.Certificate) string {
	for _, name := range namesOf(leaf) {
		return name
	}
	return ""
}

// concerns lists what clients will not like about a certificate.
func concerns(leaf *x509.Certificate) (errs []error) {
	if len(namesOf(leaf)) == 0 {
		errs = append(errs, errors.New("the certificate is for no DNS name and no address, so clients will refuse it"))
	}
	if time.Now().Before(leaf.NotBefore) {
		errs = append(errs, errors.New("the certificate is not valid before "+leaf.NotBefore.UTC().Format(time.RFC3339)))
	}
	return errs
}
