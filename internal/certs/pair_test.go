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
)

func TestBadPairsAreNamedWithTheReason(t *testing.T) {
	a := newAuthority(t)
	good, other := a.issue(t, "example.com"), a.issue(t, "example.com")
	der, _ := pem.Decode(good.cert)
	large := bytes.Repeat([]byte("x"), 1<<20+1)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})
	old := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES"}, Bytes: []byte("secret")})
	nonsense := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("nonsense")})
	badKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("nonsense")})
	for want, m := range map[string]material{
		"the key does not belong to the certificate":                         {good.cert, other.key},
		"they are swapped":                                                   {good.key, good.cert},
		"the certificate file: it is empty":                                  {nil, good.key},
		"the key file: it is empty":                                          {good.cert, nil},
		"the certificate file: there is no PEM block with a certificate":     {[]byte("Hello"), good.key},
		"the key file: there is no PEM block with a private key":             {good.cert, []byte("Hello")},
		"the certificate file: there is no PEM block in it; it seems to":     {der.Bytes, good.key},
		"the certificate file: it holds a private key, not a certificate":    {good.key, good.key},
		"the key file: it holds a certificate, not a private key":            {good.cert, other.cert},
		"the key file: the key is encrypted":                                 {good.cert, encrypted},
		"the key file: the key is encrypted, and there is nobody":            {good.cert, old},
		"the key file: the private key cannot be read":                       {good.cert, badKey},
		"the certificate file: certificate 2 of 2":                           {slices.Concat(good.cert, nonsense), good.key},
		"the certificate file: a PEM block in it is damaged or not complete": {good.cert[:len(good.cert)/2], good.key},
		"the certificate file: a PEM block in it is damaged":                 {slices.Concat(good.cert, a.pem()[:99]), good.key},
		"the key file: a PEM block in it is damaged":                         {good.cert, good.key[:len(good.key)-5]},
		"the key belongs to certificate 2 of 2: the certificate of the":      {slices.Concat(a.pem(), good.cert), good.key},
		"the certificate file: it has more than 1048576 bytes":               {large, good.key},
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
	good := newAuthority(t).issue(t, "example.com").write(t, dir, "good")
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
	a := newAuthority(t)
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	inDays := template(time.Now().Add(30*day), "example.com")
	rsaKey := newRSAKey(t)
	pkcs1 := a.sign(t, inDays, rsaKey)
	pkcs1.key = pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey)})
	ec := a.issue(t, "example.com")
	block, _ := pem.Decode(ec.key)
	key := must(x509.ParsePKCS8PrivateKey(block.Bytes))(t)
	sec1 := material{ec.cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: marshalSEC1(t, key)})}
	both := slices.Concat(ec.cert, a.pem(), ec.key)
	for name, m := range map[string]material{
		"Ed25519":          a.sign(t, inDays, edwards),
		"RSA in PKCS #8":   a.sign(t, inDays, rsaKey),
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
	a := newAuthority(t)
	later := template(time.Now().Add(91*day), "example.com") // from tomorrow on
	key := newRSAKey(t)
	for _, c := range []struct {
		name string
		m    material
		mode os.FileMode
		kind certs.Kind
		want string // part of the reason
	}{
		{"expired", a.sign(t, template(time.Now().Add(-time.Hour), "example.com"), key), 0o600, certs.Expiring, ""},
		{"open key", a.issue(t, "example.com"), 0o644, certs.Warning, "can read the key file"},
		{"not yet valid", a.sign(t, later, key), 0o600, certs.Warning, "is not valid before"},
		{"without a name", a.issue(t), 0o600, certs.Warning, "no DNS name"},
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
