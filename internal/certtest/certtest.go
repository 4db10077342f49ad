// Package certtest makes certificates for tests.
//
// [SelfSigned] makes one that a server and its clients can share, an [Authority] issues
// others. What the functions return may be used by several goroutines at once. They panic
// only where the standard library fails for no reason that a test could have.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const day = 24 * time.Hour

// A Pair is a certificate and its key in PEM form.
type Pair struct{ Cert, Key []byte }

// SelfSigned makes a certificate for domains and IP addresses that clients can have as
// their authority. It is valid from yesterday on, for a year.
func SelfSigned(names ...string) Pair {
	return NewAuthority(names...).Pair()
}

// Write writes the files cert.pem and key.pem, which others may not read.
func (p Pair) Write(dir string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "cert.pem"), p.Cert, 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), p.Key, 0o600))
}

// An Authority issues certificates.
type Authority struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// NewAuthority makes one, whose own certificate is that of [SelfSigned].
func NewAuthority(names ...string) *Authority {
	c := Template(time.Now().Add(365*day), names...)
	c.NotBefore = time.Now().Add(-day)
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign
	key := newKey()
	return &Authority{Cert: must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)))), Key: key}
}

// Pair is the authority's own certificate.
func (a *Authority) Pair() Pair { return pair(a.Cert.Raw, a.Key) }

// PEM is the same without the key.
func (a *Authority) PEM() []byte { return encode("CERTIFICATE", a.Cert.Raw) }

// Pool holds the authority's own certificate.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Cert)
	return pool
}

// Issue makes a certificate of an ECDSA key that is valid for 60 days.
func (a *Authority) Issue(names ...string) Pair {
	return a.Sign(Template(time.Now().Add(60*day), names...), newKey())
}

// Sign makes the certificate that a template describes, of a key.
func (a *Authority) Sign(template *x509.Certificate, key crypto.Signer) Pair {
	return pair(must(x509.CreateCertificate(rand.Reader, template, a.Cert, key.Public(), a.Key)), key)
}

// Template describes a certificate for domains and IP addresses that is valid for 90 days.
// It has a number of its own, and the first of the names as its subject.
func Template(notAfter time.Time, names ...string) *x509.Certificate {
	c := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		NotBefore:    notAfter.Add(-90 * day), NotAfter: notAfter,
	}
	if len(names) > 0 {
		c.Subject = pkix.Name{CommonName: names[0]}
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

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func pair(cert []byte, key crypto.Signer) Pair {
	return Pair{Cert: encode("CERTIFICATE", cert), Key: encode("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key)))}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
