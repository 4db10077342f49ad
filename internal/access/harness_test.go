package access_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/leak"
)

// TestMain fails if a goroutine of this package or of a connection is left over.
func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// secret is the one that most tests sign with.
var secret = []byte("0123456789abcdef0123456789abcdef")

// Key pairs of all kinds. Making RSA keys takes long, so each is made once.
var (
	rsaKey     = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	p256Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	p384Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	p521Key    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	ed25519Key = sync.OnceValue(func() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(secret) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// publicPEM returns the public half of a key as a server has it in a file.
func publicPEM(k crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(k.Public()))})
}

func secretKey(t testing.TB, id string) access.Key {
	t.Helper()
	k, err := access.NewSecret(id, secret)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func publicKeys(t testing.TB, signers ...crypto.Signer) []access.Key {
	t.Helper()
	var text []byte
	for _, k := range signers {
		text = append(text, publicPEM(k)...)
	}
	keys, err := access.ParsePublicKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// verifier returns one that knows secret, unless the options have keys.
func verifier(t testing.TB, o access.Options) *access.Verifier {
	t.Helper()
	if o.Keys == nil && o.Remote == nil {
		o.Keys = []access.Key{secretKey(t, "")}
	}
	v, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// claims returns those of a good token, and others in place of them. A nil takes
// one away.
func claims(others jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{
		"sub":  "alice",
		"exp":  time.Now().Add(time.Hour).Unix(),
		"weir": map[string]any{"publish": []string{"a/*"}, "subscribe": []string{"a/**"}},
	}
	maps.Copy(c, others)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

// sign returns a token with a header that has alg, kid unless it is "", and claims.
func sign(t testing.TB, m jwt.SigningMethod, key any, kid string, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(m, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func good(t testing.TB) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, secret, "", claims(nil))
}

// raw signs header and claims as they are written, which no library would write.
func raw(t testing.TB, header, claims string) string {
	t.Helper()
	text := encode(header) + "." + encode(claims)
	signature, err := jwt.SigningMethodHS256.Sign(text, secret)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(string(signature))
}

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// plain returns what a grant says, without when and for what it was made.
func plain(g access.Grant) access.Grant {
	return access.Grant{User: g.User, ID: g.ID, Publish: g.Publish, Subscribe: g.Subscribe, Expires: g.Expires, Limits: g.Limits}
}

// code returns that of an error, "" for nil, and "?" if it is not an *access.Error.
func code(err error) access.Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*access.Error](err); ok {
		return e.Code
	}
	return "?"
}
