package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

const day = 24 * time.Hour

// An authority issues certificates.
type authority struct{ *certtest.Authority }

func newAuthority() authority {
	return authority{certtest.NewAuthority("The authority of this test")}
}

// A material is a certificate and its key in PEM form.
type material certtest.Pair

func (a authority) issue(names ...string) material { return material(a.Issue(names...)) }

func (a authority) sign(template *x509.Certificate, key crypto.Signer) material {
	return material(a.Sign(template, key))
}

func newRSAKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	return must(rsa.GenerateKey(rand.Reader, 2048))(t)
}

// write makes the files name.crt and name.key, which others may not read.
func (m material) write(t *testing.T, dir, name string) certs.Pair {
	t.Helper()
	p := certs.Pair{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	write(t, p.Cert, m.Cert)
	write(t, p.Key, m.Key)
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
	block, _ := pem.Decode(m.Cert)
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
