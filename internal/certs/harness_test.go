package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const day = 24 * time.Hour

// An authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := template(time.Now().Add(365*day), "The authority of this test")
	template.NotBefore = time.Now().Add(-day)
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))(t)
	return &authority{cert: must(x509.ParseCertificate(der))(t), key: key}
}

func template(notAfter time.Time, names ...string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62)))(nil),
		NotBefore:    notAfter.Add(-90 * day), NotAfter: notAfter,
		Subject: pkix.Name{CommonName: slices.Concat(names, []string{""})[0]},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return c
}

// A material is a certificate and its key in PEM form.
type material struct{ cert, key []byte }

// issue makes a certificate of an ECDSA key that is valid for 60 days.
func (a *authority) issue(t *testing.T, names ...string) material {
	t.Helper()
	return a.sign(t, template(time.Now().Add(60*day), names...), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t))
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key crypto.Signer) material {
	t.Helper()
	der := must(x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key))(t)
	return material{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))(t)}),
	}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	return must(rsa.GenerateKey(rand.Reader, 2048))(t)
}

// write makes the files name.crt and name.key, which others may not read.
func (m material) write(t *testing.T, dir, name string) certs.Pair {
	t.Helper()
	p := certs.Pair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	write(t, p.Cert, m.cert)
	write(t, p.Key, m.key)
	return p
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// open opens a store that is closed with the test.
func open(t *testing.T, o certs.Options) *certs.Store {
	t.Helper()
	s, err := certs.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// A journal keeps the events of a store.
type journal struct {
	mu     sync.Mutex
	events []certs.Event
}

func (j *journal) report(e certs.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

// take returns the events since the last call.
func (j *journal) take() []certs.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	events := j.events
	j.events = nil
	return events
}

func kinds(events []certs.Event) (kinds []certs.Kind) {
	for _, e := range events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// wantKinds checks what has been reported since the last look.
func (j *journal) wantKinds(t *testing.T, when string, want ...certs.Kind) []certs.Event {
	t.Helper()
	events := j.take()
	if got := kinds(events); !slices.Equal(got, want) {
		t.Fatalf("%s: reported %v, want %v", when, events, want)
	}
	return events
}

// serve answers TLS connections with what they send. It returns the address.
func serve(t *testing.T, config *tls.Config) string {
	t.Helper()
	ln := must(tls.Listen("tcp", "127.0.0.1:0", config))(t)
	t.Cleanup(serveOn(ln))
	return ln.Addr().String()
}

// serveOn returns what ends it.
func serveOn(ln net.Listener) (stop func()) {
	var all sync.WaitGroup
	all.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				io.Copy(nc, nc)
			})
		}
	})
	return func() { ln.Close(); all.Wait() }
}

// dial makes a TLS connection that is closed with the test.
func dial(t *testing.T, address string, config *tls.Config) (*tls.Conn, error) {
	t.Helper()
	config.InsecureSkipVerify = true
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	nc, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { nc.Close() })
	return nc.(*tls.Conn), nil
}

// served returns the certificate that a client gets who asks for name.
func served(t *testing.T, address, name string) *x509.Certificate {
	t.Helper()
	c, err := dial(t, address, &tls.Config{ServerName: name})
	if err != nil {
		t.Fatalf("handshake for %q: %v", name, err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0]
}

func (m material) leaf(t *testing.T) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(m.cert)
	return must(x509.ParseCertificate(block.Bytes))(t)
}

func (m material) wantServed(t *testing.T, address, name, when string) {
	t.Helper()
	if got := served(t, address, name); !got.Equal(m.leaf(t)) {
		t.Errorf("%s: %q is served the certificate %v of %v", when, name, got.SerialNumber, got.DNSNames)
	}
}

// must ends the test on an error, or panics without a test.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		if err == nil {
			return value
		}
		if t == nil {
			panic(err)
		}
		t.Helper()
		t.Fatal(err)
		return value
	}
}

func marshalSEC1(t *testing.T, key any) []byte {
	t.Helper()
	return must(x509.MarshalECPrivateKey(key.(*ecdsa.PrivateKey)))(t)
}
