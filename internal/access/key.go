package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	// MinSecret is the shortest secret accepted, in bytes.
	MinSecret = 32
	// MaxKeys is how many keys a verifier holds, those of a URL not counted.
	MaxKeys = 32

	maxKeyFile = 64 << 10
	minRSABits = 2048
	maxRSABits = 8192 // verification gets slow beyond
)

// A Key checks signatures of one family of algorithms. Which family is decided by
// the key, never by a token.
type Key struct {
	ID         string   // "kid" of the tokens it is for; "" if it is for any
	algorithms []string // that a token may name, such as "RS256"
	key        any      // as package jwt wants it: []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// NewSecret returns the key of HS256, HS384 and HS512. The secret has at least
// [MinSecret] bytes. Text in PEM form is refused: who takes a public key for a
// secret lets everybody sign.
func NewSecret(id string, secret []byte) (Key, error) {
	switch {
	case len(secret) < MinSecret:
		return Key{}, fmt.Errorf("the secret has %d bytes, at least %d are needed", len(secret), MinSecret)
	case bytes.Contains(secret, []byte("-----BEGIN ")):
		return Key{}, errors.New("the secret is a PEM file; public keys have a setting of their own")
	}
	return Key{ID: id, algorithms: []string{"HS256", "HS384", "HS512"}, key: bytes.Clone(secret)}, nil
}

// ReadSecret returns the content of a file without the line end that editors add.
// [NewSecret] says whether it is long enough.
func ReadSecret(file string) ([]byte, error) {
	text, err := readKeyFile(file)
	return bytes.TrimRight(text, "\r\n"), err
}

// readKeyFile reads a whole file, but not a large one.
func readKeyFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s has %d bytes, limit %d", name, info.Size(), maxKeyFile)
	}
	return os.ReadFile(name)
}

// ReadPublicKeys is [ParsePublicKeys] of a file.
func ReadPublicKeys(file string) ([]Key, error) {
	text, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	keys, err := ParsePublicKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return keys, nil
}

// ParsePublicKeys reads the keys of PEM text: one or more public keys or
// certificates, of which only the key counts. They are for tokens with any "kid".
func ParsePublicKeys(text []byte) ([]Key, error) {
	var keys []Key
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		key, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", len(keys)+1, err)
		}
		if keys = append(keys, key); len(keys) > MaxKeys {
			return nil, fmt.Errorf("more than %d keys", MaxKeys)
		}
		text = rest
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key in PEM form, which begins with -----BEGIN PUBLIC KEY-----")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (Key, error) {
	var public any
	var err error
	switch {
	case block.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case block.Type == "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			public = cert.PublicKey
		}
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return Key{}, errors.New("it is a private key; the server needs the public one")
	default:
		return Key{}, fmt.Errorf("it is a %q, want a PUBLIC KEY", block.Type)
	}
	if err != nil {
		return Key{}, err
	}
	return newPublicKey("", public)
}

// newPublicKey finds the family of a public key, and refuses weak ones.
func newPublicKey(id string, public any) (Key, error) {
	k := Key{ID: id, key: public}
	switch p := public.(type) {
	case *rsa.PublicKey:
		if bits := p.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return Key{}, fmt.Errorf("an RSA key of %d bits, want %d to %d", bits, minRSABits, maxRSABits)
		}
		if p.E < 3 || p.E%2 == 0 {
			return Key{}, fmt.Errorf("an RSA key with the exponent %d", p.E)
		}
		k.algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		name := curves[p.Curve.Params().Name]
		if name == "" {
			return Key{}, fmt.Errorf("a key on the curve %s, want P-256, P-384 or P-521", p.Curve.Params().Name)
		}
		k.algorithms = []string{name}
	case ed25519.PublicKey:
		k.algorithms = []string{"EdDSA"}
	default:
		return Key{}, fmt.Errorf("a key of the type %T, want RSA, ECDSA or Ed25519", public)
	}
	return k, nil
}

// curves maps them to the one algorithm that uses each.
var curves = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}

// fits reports whether a token that names this key and algorithm, of which the
// first may be "", may have been signed with k.
func (k Key) fits(id, algorithm string) bool {
	return (k.ID == "" || id == "" || k.ID == id) && slices.Contains(k.algorithms, algorithm)
}
