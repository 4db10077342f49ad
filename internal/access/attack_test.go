package access_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

// A victim is a server that accepts tokens of all kinds, and what an attacker has: a
// token of somebody else, and keys of their own.
type victim struct {
	v       *access.Verifier
	visited atomic.Int32 // requests to a server of the attacker
	url     string       // of that
}

const (
	victimIssuer   = "https://id.example"
	victimAudience = "weir"
)

func newVictim(t *testing.T) *victim {
	t.Helper()
	x := new(victim)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.visited.Add(1)
		keys(edJWK("evil"))(w, r)
	}))
	t.Cleanup(s.Close)
	x.url = s.URL
	x.v = verifier(t, access.Options{
		Keys:   append(publicKeys(t, rsaKey(), p256Key()), secretKey(t, "hs")),
		Issuer: victimIssuer, Audience: []string{victimAudience},
	})
	return x
}

// body returns the claims of a good token for the victim, and others in their place.
func body(others jwt.MapClaims) jwt.MapClaims {
	c := claims(jwt.MapClaims{"iss": victimIssuer, "aud": victimAudience, "sub": "root"})
	for name, value := range others {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

func text(v any) string { return string(must(json.Marshal(v))) }

// es256 signs with the key of the victim and has the two numbers changed.
func es256(t *testing.T, change func(r, s, order *big.Int) (*big.Int, *big.Int)) string {
	t.Helper()
	signed := encode(`{"alg":"ES256"}`) + "." + encode(text(body(nil)))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p256Key(), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	r, s = change(r, s, p256Key().Curve.Params().N)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + b64(signature)
}

// replace puts text in place of part n of a token.
func replace(token string, n int, text string) string {
	parts := strings.Split(token, ".")
	parts[n] = text
	return strings.Join(parts, ".")
}

// TestAttacksOnTokensAreRefused has one subtest for each. That the token which the
// attacks begin with is accepted shows that it is the attack that is refused.
func TestAttacksOnTokensAreRefused(t *testing.T) {
	x := newVictim(t)
	hs := sign(t, jwt.SigningMethodHS256, secret, "hs", body(nil))
	rs := sign(t, jwt.SigningMethodRS256, rsaKey(), "", body(nil))
	same := func(r, s, _ *big.Int) (*big.Int, *big.Int) { return r, s }
	good := text(body(nil))
	exp := fmt.Sprintf(`"iss":%q,"aud":%q,"exp":%d`, victimIssuer, victimAudience, time.Now().Add(time.Hour).Unix())
	header := func(more string) string { return raw(t, `{"alg":"HS256"`+more+`}`, good) }
	for name, token := range map[string]string{
		"HS256": hs, "RS256": rs, "ES256": es256(t, same), "PS256": sign(t, jwt.SigningMethodPS256, rsaKey(), "", body(nil)),
		"a bare header": header(""), "bare claims": raw(t, `{"alg":"HS256"}`, "{"+exp+"}"), "other headers": header(`,"typ":"at+jwt","x":[{}]`),
	} {
		if _, err := x.v.FromRequest(bearer(token)); err != nil {
			t.Fatalf("a good token with %s: %v", name, err)
		}
	}
	signedBy := func(m jwt.SigningMethod, key any) string { return sign(t, m, key, "", body(nil)) }
	pkix := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	evil := func(name string, value any) string {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, body(nil))
		token.Header[name] = value
		return must(token.SignedString(ed25519Key()))
	}
	zero := new(big.Int)
	type attack struct {
		name, token string
		want        access.Code // "": bad_token
	}
	attacks := []attack{
		{"key confusion/PEM of the RSA key", signedBy(jwt.SigningMethodHS256, publicPEM(rsaKey())), ""},
		{"key confusion/PEM without its line end", signedBy(jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(publicPEM(rsaKey()))))), ""},
		{"key confusion/DER of the RSA key", signedBy(jwt.SigningMethodHS256, pkix), ""},
		{"key confusion/PKCS 1 of the RSA key", signedBy(jwt.SigningMethodHS512, x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey)), ""},
		{"key confusion/modulus", signedBy(jwt.SigningMethodHS256, rsaKey().N.Bytes()), ""},
		{"key confusion/JWK", signedBy(jwt.SigningMethodHS256, []byte(text(rsaJWK("")))), ""},
		{"key confusion/point of the EC key", signedBy(jwt.SigningMethodHS384, must(p256Key().PublicKey.Bytes())), ""},
		{"key confusion/empty secret", signedBy(jwt.SigningMethodHS256, []byte{}), ""},
		{"key confusion/zeros", signedBy(jwt.SigningMethodHS256, make([]byte, 32)), ""},
		{"key confusion/kid of the secret, algorithm of the RSA key", sign(t, jwt.SigningMethodRS256, otherRSA(), "hs", body(nil)), ""},
		{"key confusion/another key of the same kind", signedBy(jwt.SigningMethodPS256, otherRSA()), ""},
		{"key confusion/another curve", signedBy(jwt.SigningMethodES384, p384Key()), ""},

		{"times/expired", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()})), access.ExpiredToken},
		{"times/never expires", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"exp": nil})), ""},
		{"times/exp 0", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"exp": 0})), ""},
		{"times/exp in milliseconds", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"exp": time.Now().Add(time.Hour).UnixMilli()})), ""},
		{"times/exp is text", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"exp": "99999999999"})), ""},
		{"times/not yet", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()})), access.EarlyToken},
		{"times/nbf is text", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"nbf": "0"})), ""},
		{"issuer/another", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"iss": "https://evil.example"})), ""},
		{"issuer/none", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"iss": nil})), ""},
		{"issuer/begins like it", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"iss": victimIssuer + ".evil.example"})), ""},
		{"issuer/a list", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"iss": []string{victimIssuer}})), ""},
		{"audience/another", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"aud": "shop"})), ""},
		{"audience/none", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"aud": nil})), ""},
		{"audience/empty", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"aud": ""})), ""},
		{"audience/an object", sign(t, jwt.SigningMethodHS256, secret, "", body(jwt.MapClaims{"aud": map[string]any{"weir": 1}})), ""},

		{"size/one byte too many", "ey" + strings.Repeat("a", access.MaxToken-5) + ".a.b", ""},
		{"size/10 MiB", "ey" + strings.Repeat("a", 10<<20) + ".a.b", ""},
		{"size/10 MiB of dots", "ey" + strings.Repeat(".", 10<<20), ""},
		{"size/signature of 7 KiB", replace(hs, 2, strings.Repeat("A", 7<<10)), ""},
		{"nesting/lists", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+`}`), ""},
		{"nesting/lists that do not end", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"x":`+strings.Repeat("[", 5000)), ""},
		{"nesting/objects", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"x":`+strings.Repeat(`{"a":`, 800)+"1"+strings.Repeat("}", 800)+`}`), ""},
		{"nesting/header", raw(t, `{"alg":"HS256","x":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`, good), ""},
		{"twice/exp, expired first", raw(t, `{"alg":"HS256"}`, `{"exp":1,`+exp+`}`), ""},
		{"twice/exp, expired last", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"exp":1}`), ""},
		{"twice/exp, written differently", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"\u0065\u0078p":1}`), ""},
		{"twice/aud", raw(t, `{"alg":"HS256"}`, `{"aud":"shop",`+exp+`}`), ""},
		{"twice/grants", raw(t, `{"alg":"HS256"}`, `{`+exp+`,"weir":{"subscribe":["a"],"subscribe":["**"]}}`), ""},
		{"twice/alg", header(`,"alg":"HS256"`), ""},
		{"twice/alg, none first", raw(t, `{"alg":"none","alg":"HS256"}`, good), ""},
		{"twice/kid", header(`,"kid":"hs","kid":"x"`), ""},

		{"header/crit", header(`,"crit":["exp"]`), ""},
		{"header/crit is empty", header(`,"crit":[]`), ""},
		{"header/crit is null", header(`,"crit":null`), ""},
		{"header/crit is no list", header(`,"crit":"b64"`), ""},
		{"header/claims not encoded", header(`,"b64":false,"crit":["b64"]`), ""},
		{"header/jwk", evil("jwk", edJWK("evil")), ""},
		{"header/jku", evil("jku", x.url), ""},
		{"header/x5u", evil("x5u", x.url), ""},
		{"header/x5c", evil("x5c", []string{base64.StdEncoding.EncodeToString(pkix)}), ""},
		{"header/kid is a URL", evil("kid", x.url), ""},
		{"header/kid is a path", sign(t, jwt.SigningMethodHS256, []byte{}, "../../../../dev/null", body(nil)), ""},
		{"header/kid is SQL", sign(t, jwt.SigningMethodHS256, []byte("k"), "x' UNION SELECT 'k';--", body(nil)), ""},
		{"header/kid is a number", header(`,"kid":1`), ""},
		{"header/kid is a list", header(`,"kid":["hs"]`), ""},
		{"header/no object", raw(t, `["HS256"]`, good), ""},

		{"encrypted/five parts", encode(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d", ""},
		{"encrypted/direct", encode(`{"alg":"dir","enc":"A128GCM"}`) + "..a.b.c", ""},
		{"encrypted/password, a million rounds", encode(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"p2s":"AAAA"}`) + ".a.b.c.d", ""},
		{"encrypted/header in three parts", raw(t, `{"alg":"dir","enc":"A256GCM"}`, good), ""},
		{"encrypted/compressed", raw(t, `{"alg":"RSA-OAEP","enc":"A256GCM","zip":"DEF"}`, good), ""},
		{"encrypted/JSON form", `{"payload":"` + encode(good) + `","signatures":[]}`, ""},
		{"encrypted/token in a token", raw(t, `{"alg":"HS256","cty":"JWT"}`, `"`+hs+`"`), ""},

		{"ECDSA/zeros", es256(t, func(_, _, _ *big.Int) (*big.Int, *big.Int) { return zero, zero }), ""},
		{"ECDSA/r is zero", es256(t, func(_, s, _ *big.Int) (*big.Int, *big.Int) { return zero, s }), ""},
		{"ECDSA/s is zero", es256(t, func(r, _, _ *big.Int) (*big.Int, *big.Int) { return r, zero }), ""},
		{"ECDSA/r is the order", es256(t, func(_, s, n *big.Int) (*big.Int, *big.Int) { return n, s }), ""},
		{"ECDSA/s is the order", es256(t, func(r, _, n *big.Int) (*big.Int, *big.Int) { return r, n }), ""},
		{"ECDSA/both are the order", es256(t, func(_, _, n *big.Int) (*big.Int, *big.Int) { return n, n }), ""},
		{"ECDSA/swapped", es256(t, func(r, s, _ *big.Int) (*big.Int, *big.Int) { return s, r }), ""},
		{"ECDSA/ASN.1", es256ASN1(t), ""},
		{"ECDSA/zeros in front", longer(t, es256(t, same)), ""},
		{"ECDSA/63 bytes", replace(es256(t, same), 2, b64(make([]byte, 63))), ""},
		{"RSA/zeros", replace(rs, 2, b64(make([]byte, 256))), ""},
		{"RSA/one", replace(rs, 2, b64(append(make([]byte, 255), 1))), ""},
		{"RSA/zeros in front", longer(t, rs), ""},
		{"RSA/PSS named PKCS 1", replace(signedBy(jwt.SigningMethodPS256, rsaKey()), 0, encode(`{"alg":"RS256"}`)), ""},
		{"HMAC/cut", replace(hs, 2, strings.Split(hs, ".")[2][:22]), ""},
		{"HMAC/empty", replace(hs, 2, ""), ""},
		{"HMAC/of other claims", replace(hs, 1, encode(good[:len(good)-1]+`,"x":1}`)), ""},
	}
	for _, spelling := range []string{`"none"`, `"None"`, `"NONE"`, `"nOnE"`, `"none "`, `" none"`, `"none\u0000"`, `"n\u006fne"`, `"NoNe"`, `"ｎone"`, `""`, `null`, `0`, `false`, `[]`, `["none"]`, `{}`, `"hs256"`, `"HS256 "`, `"HS256,none"`} {
		h := `{"alg":` + spelling + `}`
		attacks = append(attacks,
			attack{"no algorithm/" + spelling, encode(h) + "." + encode(good) + ".", ""},
			attack{"no algorithm, signed/" + spelling, raw(t, h, good), ""})
	}
	attacks = append(attacks,
		attack{"no algorithm/no alg", encode(`{}`) + "." + encode(good) + ".", ""},
		attack{"no algorithm/another name", raw(t, `{"Alg":"HS256"}`, good), ""},
		attack{"no algorithm/two parts", encode(`{"alg":"none"}`) + "." + encode(good), ""})
	// Spaces and letters that some decoders skip or take for others.
	for name, piece := range map[string]string{
		"space": " ", "tab": "\t", "line end": "\n", "carriage return": "\r", "vertical tab": "\v", "NUL": "\x00", "no-break space": "\u00a0", "zero width space": "\u200b",
		"byte order mark": "\ufeff", "fullwidth A": "Ａ", "Cyrillic A": "А", "padding": "=", "plus": "+", "slash": "/", "percent": "%41", "not UTF-8": "\xff", "quote": `"`,
	} {
		for n, part := range []string{"header", "claims", "signature"} {
			parts := strings.Split(hs, ".")
			attacks = append(attacks,
				attack{"base64/" + name + " in the " + part, replace(hs, n, parts[n][:4]+piece+parts[n][4:]), ""},
				attack{"base64/" + name + " after the " + part, replace(hs, n, parts[n]+piece), ""})
		}
	}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			if a.want == "" {
				a.want = access.BadToken
			}
			if g, err := x.v.Token(t.Context(), a.token); code(err) != a.want || g.Token() != "" {
				t.Errorf("Token gives %+v, %v, want %s", g, err, a.want)
			}
		})
	}
	if n := x.visited.Load(); n != 0 {
		t.Errorf("%d requests to where the attacker says, want 0", n)
	}
}

func es256ASN1(t *testing.T) string {
	t.Helper()
	signed := encode(`{"alg":"ES256"}`) + "." + encode(text(body(nil)))
	sum := sha256.Sum256([]byte(signed))
	return signed + "." + b64(must(ecdsa.SignASN1(rand.Reader, p256Key(), sum[:])))
}

// longer puts two zero bytes before the signature.
func longer(t *testing.T, token string) string {
	t.Helper()
	signature := must(base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:]))
	return replace(token, 2, b64(append([]byte{0, 0}, signature...)))
}

// TestSecondECDSASignatureIsTheSameToken: everybody can turn (r, s) into (r, n-s), which
// is right as well. That must not get around a limit or a revocation.
func TestSecondECDSASignatureIsTheSameToken(t *testing.T) {
	revoked := access.NewRevoked(0)
	v := verifier(t, access.Options{Keys: publicKeys(t, p256Key()), Revoked: revoked})
	token := sign(t, jwt.SigningMethodES256, p256Key(), "", claims(nil))
	signature := must(base64.RawURLEncoding.DecodeString(token[strings.LastIndex(token, ".")+1:]))
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(p256Key().Curve.Params().N, s).FillBytes(signature[32:])
	twin := replace(token, 2, b64(signature))
	a, err := v.FromRequest(bearer(token))
	if err != nil {
		t.Fatal(err)
	}
	b, err := v.FromRequest(bearer(twin))
	if err != nil || twin == token || a.Token() != b.Token() || a.Token() == "" {
		t.Fatalf("the tokens are %q and %q, %v, want the same", a.Token(), b.Token(), err)
	}
	if err := revoked.Revoke(t.Context(), a.Token(), a.Expires); err != nil {
		t.Fatal(err)
	}
	if _, err := v.FromRequest(bearer(twin)); code(err) != access.RevokedToken {
		t.Errorf("FromRequest gives %v, want revoked_token", err)
	}
}

// TestWeakKeysOfAURLAreRefused: one bad key of a set lets nobody in.
func TestWeakKeysOfAURLAreRefused(t *testing.T) {
	tiny := must(rsa.GenerateKey(rand.Reader, 1024))
	number := func(n *big.Int) string { return b64(n.Bytes()) }
	n, one := rsaKey().N, big.NewInt(1)
	ec := ecJWK("", p256Key())
	for name, jwk := range map[string]map[string]any{
		"RSA of 1024 bits":        {"kty": "RSA", "n": number(tiny.N), "e": "AQAB"},
		"RSA without a modulus":   {"kty": "RSA", "n": "", "e": "AQAB"},
		"RSA, exponent 1":         {"kty": "RSA", "n": number(n), "e": number(one)},
		"RSA, exponent 0":         {"kty": "RSA", "n": number(n), "e": "AA"},
		"RSA, even exponent":      {"kty": "RSA", "n": number(n), "e": "AQAA"},
		"RSA, huge exponent":      {"kty": "RSA", "n": number(n), "e": "_____w"},
		"RSA of 16384 bits":       {"kty": "RSA", "n": number(new(big.Int).Lsh(one, 16383)), "e": "AQAB"},
		"EC point at infinity":    {"kty": "EC", "crv": "P-256", "x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))},
		"EC point off the curve":  {"kty": "EC", "crv": "P-256", "x": ec["x"], "y": ec["x"]},
		"EC point of other curve": {"kty": "EC", "crv": "P-384", "x": ec["x"], "y": ec["y"]},
		"secret":                  {"kty": "oct", "k": b64(secret)},
		"secret as RSA":           {"kty": "RSA", "k": b64(secret), "n": number(n)},
		"private RSA of 1024":     {"kty": "RSA", "n": number(tiny.N), "e": "AQAB", "d": number(tiny.D)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newKeyServer(t, keys(jwk))
			v, _, reports := open(t, access.RemoteOptions{URL: s.URL, Retry: time.Hour})
			if err := next(t, reports); err == nil || !strings.Contains(err.Error(), "none of its 1 keys can be used") {
				t.Errorf("fetch reports %v, want that the key cannot be used", err)
			}
			for _, token := range []string{
				sign(t, jwt.SigningMethodRS256, tiny, "", claims(nil)),
				sign(t, jwt.SigningMethodHS256, secret, "", claims(nil)),
				sign(t, jwt.SigningMethodES256, p256Key(), "", claims(nil)),
			} {
				if _, err := v.Token(t.Context(), token); code(err) != access.KeysUnavailable {
					t.Errorf("Token gives %v, want keys_unavailable", err)
				}
			}
		})
	}
}
