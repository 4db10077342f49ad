package certs_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/certtest"
)

func TestBadPairsAreNamedWithTheReason(t *testing.T) {
	a := newAuthority()
	good, other := a.issue("example.com"), a.issue("example.com")
	der, _ := pem.Decode(good.Cert)
	large := bytes.Repeat([]byte("x"), 1<<20+1)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES"}, Bytes: []byte("secret")})
	nonsense := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")})
	badKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("nonsense")})
	for want, m := range map[string]material{
		"the key does not belong to the certificate":                         {good.Cert, other.Key},
		"they are swapped":                                                   {good.Key, good.Cert},
		"the certificate file: it is empty":                                  {nil, good.Key},
		"the key file: it is empty":                                          {good.Cert, nil},
		"the certificate file: there is no PEM block with a certificate":     {[]byte("Hello"), good.Key},
		"the key file: there is no PEM block with a private key":             {good.Cert, []byte("Hello")},
		"the certificate file: there is no PEM block in it; it seems to":     {der.Bytes, good.Key},
		"the certificate file: it holds a private key, not a certificate":    {good.Key, good.Key},
		"the key file: it holds a certificate, not a private key":            {good.Cert, other.Cert},
		"the key file: the key is encrypted":                                 {good.Cert, encrypted},
		"the key file: the key is encrypted, and there is nobody":            {good.Cert, old},
		"the key file: the private key cannot be read":                       {good.Cert, badKey},
		"the certificate file: certificate 2 of 2":                           {slices.Concat(good.Cert, nonsense), good.Key},
		"the certificate file: a PEM block in it is damaged or not complete": {good.Cert[:len(good.Cert)/2], good.Key},
		"the certificate file: a PEM block in it is damaged":                 {slices.Concat(good.Cert, a.PEM()[:99]), good.Key},
		"the key file: a PEM block in it is damaged":                         {good.Cert, good.Key[:len(good.Key)-5]},
		"the key belongs to certificate 2 of 2: the certificate of the":      {slices.Concat(a.PEM(), good.Cert), good.Key},
		"the certificate file: it has more than 1048576 bytes":               {large, good.Key},
	} {
		pair := m.write(t, t.TempDir(), "bad")
		_, err := certs.Open(certs.Options{Pairs: []certs.Pair{pair}})
		wantError(t, err, want, pair)
	}
}

// wantError wants an error that names both files.
func wantError(t *testing.T, err error, want string, pair certs.Pair) {
	t.Helper()
	for _, part := range []string{want, pair.Cert, pair.Key} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want an error with %q", err, part)
		}
	}
}

func TestFilesThatCannotBeReadAreNamed(t *testing.T) {
	dir := t.TempDir()
	good := newAuthority().issue("example.com").write(t, dir, "good")
	missing := filepath.Join(dir, "missing")
	for want, pair := range map[string]certs.Pair{
		"the certificate file: no such file":          {Cert: missing, Key: good.Key},
		"the key file: no such file":                  {Cert: good.Cert, Key: missing},
		"the certificate file: it is no regular file": {Cert: dir, Key: good.Key},
		"the key file: it is no regular file":         {Cert: good.Cert, Key: os.DevNull},
	} {
		second := certs.Pair{Cert: filepath.Join(dir, "second"), Key: good.Key}
		_, err := certs.Open(certs.Options{Pairs: []certs.Pair{good, pair, second}})
		wantError(t, err, want, pair)
		wantError(t, err, "no such file", second)
	}
}

func TestKeysOfAllKindsAreServed(t *testing.T) {
	a := newAuthority()
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	inDays := certtest.Template(time.Now().Add(30*day), "example.com")
	rsaKey := newRSAKey(t)
	pkcs1 := a.sign(inDays, rsaKey)
	pkcs1.Key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})
	ec := a.issue("example.com")
	block, _ := pem.Decode(ec.Key)
	key := must(x509.ParsePKCS8PrivateKey(block.Bytes))(t)
	sec1 := material{ec.Cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: marshalSEC1(t, key)})}
	both := slices.Concat(ec.Cert, a.PEM(), ec.Key)
	for name, m := range map[string]material{
		"Ed25519":          a.sign(inDays, edwards),
		"RSA in PKCS #8":   a.sign(inDays, rsaKey),
		"RSA in PKCS #1":   pkcs1,
		"ECDSA in PKCS #8": ec,
		"ECDSA in SEC 1":   sec1,
		"in one file":      {both, both},
	} {
		t.Run(name, func(t *testing.T) {
			pair := m.write(t, t.TempDir(), "a")
			address := serve(t, open(t, certs.Options{Pairs: []certs.Pair{pair}}).TLSConfig())
			m.wantServed(t, address, "example.com", "at first")
		})
	}
}

func TestQuestionablePairsAreServedWithAWarning(t *testing.T) {
	a := newAuthority()
	later := certtest.Template(time.Now().Add(91*day), "example.com") // from tomorrow on
	key := newRSAKey(t)
	for _, c := range []struct {
		name string
		m    material
		mode os.FileMode
		kind certs.Kind
		want string // part of the reason
	}{
		{"expired", a.sign(certtest.Template(time.Now().Add(-time.Hour), "example.com"), key), 0o600, certs.Expiring, ""},
		{"open key", a.issue("example.com"), 0o644, certs.Warning, "can read the key file"},
		{"not yet valid", a.sign(later, key), 0o600, certs.Warning, "is not valid before"},
		{"without a name", a.issue(), 0o600, certs.Warning, "no DNS name"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var j journal
			pair := c.m.write(t, t.TempDir(), "a")
			if err := os.Chmod(pair.Key, c.mode); err != nil {
				t.Fatal(err)
			}
			address := serve(t, open(t, certs.Options{Pairs: []certs.Pair{pair}, Report: j.report}).TLSConfig())
			e := j.wantKinds(t, "after opening", certs.Loaded, c.kind)[1]
			if c.want != "" && !strings.Contains(e.Err.Error(), c.want) {
				t.Errorf("reported %v, want %q", e.Err, c.want)
			}
			c.m.wantServed(t, address, "example.com", "after the warning")
		})
	}
}
