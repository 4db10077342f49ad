package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

func TestSecretsAreLongAndNotPEM(t *testing.T) {
	for _, c := range []struct{ secret, want string }{
		{strings.Repeat("x", 32), ""},
		{strings.Repeat("x", 31), "the secret has 31 bytes, at least 32 are needed"},
		{"", "the secret has 0 bytes, at least 32 are needed"},
		{string(publicPEM(p256Key())), "the secret is a PEM file; public keys have a setting of their own"},
		{"\n\n" + string(publicPEM(p256Key())), "the secret is a PEM file; public keys have a setting of their own"},
	} {
		_, err := access.NewSecret("", []byte(c.secret))
		if got := errorText(err); got != c.want {
			t.Errorf("NewSecret(%q) gives %q, want %q", c.secret, got, c.want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestSecretFileLosesItsLineEnd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	for content, want := range map[string]string{"abc\n": "abc", "abc\r\n": "abc", " abc ": " abc ", "a\nb": "a\nb"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := access.ReadSecret(file); err != nil || string(got) != want {
			t.Errorf("ReadSecret of %q gives %q, %v, want %q", content, got, err, want)
		}
	}
	if _, err := access.ReadSecret(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("ReadSecret of no file gives no error")
	}
}

func TestSecretIsNotShared(t *testing.T) {
	mine := slices.Clone(secret)
	k, err := access.NewSecret("", mine)
	if err != nil {
		t.Fatal(err)
	}
	clear(mine)
	if _, err := verifier(t, access.Options{Keys: []access.Key{k}}).Token(t.Context(), good(t)); err != nil {
		t.Errorf("after the caller has cleared its slice: %v", err)
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestPublicKeysAreReadFromPEM(t *testing.T) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotAfter: time.Now()}
	cert := block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, p256Key().Public(), p256Key())))
	pkcs1 := block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey))
	all := "a comment\n" + string(publicPEM(ed25519Key())) + cert + pkcs1
	file := filepath.Join(t.TempDir(), "keys.pem")
	if err := os.WriteFile(file, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := access.ReadPublicKeys(file)
	if err != nil || len(keys) != 3 {
		t.Fatalf("ReadPublicKeys gives %d keys, %v, want 3", len(keys), err)
	}
	v := verifier(t, access.Options{Keys: keys})
	for _, token := range []string{
		sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "", claims(nil)),
		sign(t, jwt.SigningMethodES256, p256Key(), "any", claims(nil)),
		sign(t, jwt.SigningMethodPS256, rsaKey(), "", claims(nil)),
	} {
		if _, err := v.Token(t.Context(), token); err != nil {
			t.Errorf("Token gives %v", err)
		}
	}
}

func TestKeysThatAreWeakOrPrivateAreRefused(t *testing.T) {
	p224 := must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))
	short := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 1023), E: 65537}
	long := &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}
	pkix := func(public any) string { return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(public))) }
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "hello", "no public key in PEM form"},
		{"private", block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(p256Key()))), "key 1: it is a private key"},
		{"private, old form", string(publicPEM(p256Key())) + block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())), "key 2: it is a private key"},
		{"other", block("X509 CRL", nil), `key 1: it is a "X509 CRL"`},
		{"broken", block("PUBLIC KEY", []byte("x")), "key 1: "},
		{"short RSA", pkix(short), "key 1: an RSA key of 1024 bits, want 2048 to 8192"},
		{"long RSA", pkix(long), "key 1: an RSA key of 8193 bits, want 2048 to 8192"},
		{"other curve", pkix(p224.Public()), "key 1: a key on the curve P-224"},
		{"many", strings.Repeat(string(publicPEM(p256Key())), 33), "more than 32 keys"},
	} {
		if _, err := access.ParsePublicKeys([]byte(c.text)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
