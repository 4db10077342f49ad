package access

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"testing"
)

// FuzzKeySetsHoldOnlySoundKeys reads key sets: whatever one says, a key that comes out
// is strong enough to check signatures with.
func FuzzKeySetsHoldOnlySoundKeys(f *testing.F) {
	for _, text := range []string{
		`{"keys":[]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":[{"kty":"RSA","n":"","e":"AA"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, `{"keys":null}`, `[`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseSet(text)
		if err != nil && len(keys) > 0 {
			t.Fatalf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			switch key := k.key.(type) {
			case *rsa.PublicKey:
				if key.N.BitLen() < 2048 || key.E < 3 {
					t.Errorf("an RSA key of %d bits, exponent %d", key.N.BitLen(), key.E)
				}
			case *ecdsa.PublicKey:
				if _, err := key.Bytes(); err != nil {
					t.Errorf("a point that is not on its curve: %v", err)
				}
			case ed25519.PublicKey:
				if len(key) != ed25519.PublicKeySize {
					t.Errorf("an Ed25519 key of %d bytes", len(key))
				}
			default:
				t.Errorf("a key set gave a %T", k.key)
			}
		}
	})
}
