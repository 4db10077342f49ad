package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	patience  = time.Minute      // of a handshake that waits for a certificate
	shortWait = 61 * time.Second // after a failure; autocert itself keeps one for a minute
	longWait  = time.Hour        // after many; servers count failures by the hour
)

// A domain and the attempts to get a certificate for it.
type domain struct {
	name string
	held held

	ready   bool          // the manager has a certificate and answers at once
	attempt chan struct{} // closed when the one under way is over; nil: none is
	err     error         // of the last attempt
	failed  time.Time     // when that was
	wait    time.Duration // from then to the next attempt; 0: there was no failure

	refusals refusals // of the attempt, or renewal, under way
}

// certificate waits until there is a certificate. All handshakes for a domain wait
// for the same attempt, and fail with its error until it is time for the next.
func (a *issuer) certificate(hello *tls.ClientHelloInfo, d *domain) (*tls.Certificate, error) {
	if err := a.await(hello.Context(), d); err != nil {
		return nil, err
	}
	return a.manager.GetCertificate(question(d.name))
}

func (a *issuer) await(ctx context.Context, d *domain) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if decided := a.begin(d); decided != nil {
		select {
		case <-decided:
		case <-ctx.Done():
			return fmt.Errorf("ACME for %q takes longer than this handshake can wait", d.name)
		case <-a.closed.Done():
			return fmt.Errorf("ACME for %q: the server is closing", d.name)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return d.err
}

// question asks autocert for an ECDSA certificate, whatever the client can do. It would
// get one of RSA as well for clients that do not say they know ECDSA in TLS 1.2, and a
// hello costs a stranger nothing.
func question(name string) *tls.ClientHelloInfo {
	return &tls.ClientHelloInfo{ServerName: name, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}}
}

// begin starts an attempt, if one is needed and none is under way. The channel is closed
// when d.err is decided; nil: it is.
func (a *issuer) begin(d *domain) <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case d.attempt != nil:
		return d.attempt
	case d.ready, d.wait > 0 && time.Since(d.failed) < d.wait:
		return nil
	}
	d.attempt = make(chan struct{})
	d.refusals.clear()
	go a.obtain(d, d.attempt) // ends by itself within the 5 minutes that autocert takes at most
	return d.attempt
}

func (a *issuer) obtain(d *domain, done chan struct{}) {
	defer close(done)
	_, err := a.manager.GetCertificate(question(d.name))
	if err = a.finish(d, err); err != nil && a.closed.Err() == nil {
		a.report(Event{Kind: Failed, Pair: -1, Names: []string{d.name}, Err: err})
	}
}

func (a *issuer) finish(d *domain, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	d.attempt, d.ready, d.err = nil, err == nil, nil
	if err == nil {
		d.wait = 0
		return nil
	}
	if reasons := d.refusals.clear(); len(reasons) > 0 { // err says only that nothing is left to try
		err = errors.New(strings.Join(reasons, "; "))
	}
	d.err = fmt.Errorf("ACME for %q: %w", d.name, err)
	d.failed, d.wait = time.Now(), min(max(2*d.wait, shortWait), longWait)
	a.last = d.err
	return d.err
}

// forgive lets the next handshake try again soon: somebody may have set right what
// was wrong.
func (a *issuer) forgive() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.domains {
		d.wait = min(d.wait, shortWait)
	}
}

// loaded notes a certificate that autocert has read or stored, in its form: a key and
// the chain.
func (a *issuer) loaded(d *domain, text []byte) {
	certs := blocksOf(text).certs
	if len(certs) == 0 {
		return
	}
	leaf, err := x509.ParseCertificate(certs[0].Bytes)
	if err != nil || time.Now().After(leaf.NotAfter) { // autocert will not use it
		return
	}
	if a.hold(d, leaf) {
		a.report(certEvent(Loaded, -1, leaf, nil))
	}
}

// hold reports whether the certificate is another than before.
func (a *issuer) hold(d *domain, leaf *x509.Certificate) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if d.held.leaf != nil && d.held.leaf.Equal(leaf) {
		return false
	}
	d.held, a.last = held{leaf: leaf}, nil
	d.refusals.clear()
	return true
}
