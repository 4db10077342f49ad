package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// maxRemoteKeys is how many keys of one set are used.
const maxRemoteKeys = 64

// A jwk is one public key of a set.
//
// Source: RFC 7517; RFC 7518, section 6; RFC 8037.
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Crv    string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
}

// parseSet returns the keys of a JWK set that check signatures. Keys it cannot use,
// such as those for encryption, or of a kind that came up later, are left out. A
// set without any other is an error.
func parseSet(text []byte) ([]Key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("not a JWK set")
	}
	var keys []Key
	var why error
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			why = fmt.Errorf("; key %d: %w", i+1, err)
			continue
		}
		if keys = append(keys, k); len(keys) > maxRemoteKeys {
			return nil, fmt.Errorf("more than %d keys", maxRemoteKeys)
		}
	}
	switch {
	case len(keys) > 0:
		return keys, nil
	case why != nil:
		return nil, fmt.Errorf("none of its %d keys can be used%w", len(set.Keys), why)
	}
	return nil, errors.New("it holds no keys")
}

func parseKey(raw []byte) (Key, error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil {
		return Key{}, errors.New("not a JWK")
	}
	if j.Use != "" && j.Use != "sig" || j.KeyOps != nil && !slices.Contains(j.KeyOps, "verify") {
		return Key{}, errors.New("not for signatures")
	}
	public, err := j.public()
	if err != nil {
		return Key{}, err
	}
	k, err := newPublicKey(j.Kid, public)
	if err != nil {
		return Key{}, err
	}
	return k.only(j.Alg)
}

// only narrows the algorithms of a key to the one that its owner names, if any.
func (k Key) only(algorithm string) (Key, error) {
	if algorithm == "" || algorithm == "Ed25519" && k.algorithms[0] == "EdDSA" { // its name since RFC 9864
		return k, nil
	}
	if !slices.Contains(k.algorithms, algorithm) {
		return Key{}, fmt.Errorf("its alg does not belong to a key of this kind; possible are %q", k.algorithms)
	}
	k.algorithms = []string{algorithm}
	return k, nil
}

// public decodes the key. There are no secrets ("oct") in public.
func (j jwk) public() (any, error) {
	switch j.Kty {
	case "RSA":
		return j.rsa()
	case "EC":
		return j.ecdsa()
	case "OKP":
		x, err := base64.RawURLEncoding.DecodeString(j.X)
		if j.Crv != "Ed25519" || err != nil || len(x) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("want an Ed25519 key of %d bytes", ed25519.PublicKeySize)
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errors.New("its kty is not RSA, EC or OKP")
}

func (j jwk) rsa() (any, error) {
	n, errN := base64.RawURLEncoding.DecodeString(j.N)
	e, errE := base64.RawURLEncoding.DecodeString(j.E)
	if errN != nil || errE != nil || len(e) == 0 || len(e) > 4 {
		return nil, errors.New("its n or e is not a number")
	}
	exponent := new(big.Int).SetBytes(e).Int64()
	if exponent > 1<<31-1 {
		return nil, errors.New("its e is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent)}, nil
}

func (j jwk) ecdsa() (any, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
	if curve == nil {
		return nil, errors.New("its crv is not P-256, P-384 or P-521")
	}
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	size := (curve.Params().BitSize + 7) / 8
	if errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, fmt.Errorf("its x or y does not have %d bytes", size)
	}
	// Points that are not on the curve are refused.
	return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
}
