package access_test

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

func TestTokensOfEveryAlgorithmAreRead(t *testing.T) {
	for _, c := range []struct {
		method  jwt.SigningMethod
		private any
	}{
		{jwt.SigningMethodHS256, secret}, {jwt.SigningMethodHS384, secret}, {jwt.SigningMethodHS512, secret},
		{jwt.SigningMethodRS256, rsaKey()}, {jwt.SigningMethodRS384, rsaKey()}, {jwt.SigningMethodRS512, rsaKey()},
		{jwt.SigningMethodPS256, rsaKey()}, {jwt.SigningMethodPS384, rsaKey()}, {jwt.SigningMethodPS512, rsaKey()},
		{jwt.SigningMethodES256, p256Key()}, {jwt.SigningMethodES384, p384Key()}, {jwt.SigningMethodES512, p521Key()},
		{jwt.SigningMethodEdDSA, ed25519Key()},
	} {
		o := access.Options{}
		if private, ok := c.private.(crypto.Signer); ok {
			o.Keys = publicKeys(t, private)
		}
		v := verifier(t, o)
		token := sign(t, c.method, c.private, "", claims(nil))
		if g, err := v.Token(t.Context(), token); err != nil || g.User != "alice" {
			t.Errorf("%s: Token gives %+v, %v", c.method.Alg(), g, err)
		}
		cut := strings.LastIndex(token, ".") + 10
		broken := token[:cut] + string('A'+(token[cut]-'A'+1)%26) + token[cut+1:]
		if _, err := v.Token(t.Context(), broken); code(err) != access.BadToken {
			t.Errorf("%s: with another signature: %v, want bad_token", c.method.Alg(), err)
		}
	}
}

func TestTokenBecomesItsGrant(t *testing.T) {
	exp := time.Now().Add(time.Hour).Truncate(time.Second)
	v := verifier(t, access.Options{Leeway: time.Minute})
	for _, c := range []struct {
		name   string
		claims string
		want   access.Grant
	}{
		{"all", `"sub":"alice","jti":"7","weir":{"publish":["a"],"subscribe":["b/*","c"],"streams":3,"rate":5}`,
			access.Grant{User: "alice", ID: "7", Publish: []string{"a"}, Subscribe: []string{"b/*", "c"}, Limits: access.Limits{Streams: 3, Rate: 5}}},
		{"top level", `"publish":["a"],"subscribe":["b"]`, access.Grant{Publish: []string{"a"}, Subscribe: []string{"b"}}},
		{"weir counts alone", `"publish":["**"],"weir":{"subscribe":["b"]}`, access.Grant{Subscribe: []string{"b"}}},
		{"weir is empty", `"publish":["**"],"weir":{}`, access.Grant{}},
		{"other claims", `"scope":"x","Publish":["**"],"streams":9,"weird":[[{}]]`, access.Grant{}},
		{"fraction of a second", `"nbf":1.5`, access.Grant{}},
	} {
		g, err := v.Token(t.Context(), raw(t, `{"alg":"HS256"}`, fmt.Sprintf(`{"exp":%d,%s}`, exp.Unix(), c.claims)))
		c.want.Expires = exp.Add(time.Minute)
		if err != nil || !reflect.DeepEqual(plain(g), c.want) {
			t.Errorf("%s: Token gives\n%+v, %v, want\n%+v", c.name, g, err, c.want)
		}
	}
}

// TestNoneIsNoAlgorithm: the oldest attack on tokens.
func TestNoneIsNoAlgorithm(t *testing.T) {
	v := verifier(t, access.Options{Keys: append(publicKeys(t, rsaKey()), secretKey(t, ""))})
	c := fmt.Sprintf(`{"sub":"root","exp":%d}`, time.Now().Add(time.Hour).Unix())
	unsigned := sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "", claims(nil))
	for _, token := range []string{
		unsigned,
		encode(`{"alg":"none"}`) + "." + encode(c) + ".",
		encode(`{"alg":"None"}`) + "." + encode(c) + ".",
		encode(`{"alg":"nOnE"}`) + "." + encode(c) + "." + encode("x"),
		encode(`{"alg":""}`) + "." + encode(c) + ".",
		encode(`{"alg":null}`) + "." + encode(c) + ".",
		encode(`{"alg":["HS256"]}`) + "." + encode(c) + ".",
		encode(`{}`) + "." + encode(c) + ".",
		encode(`{"alg":"HS256"}`) + "." + encode(c) + ".",
		raw(t, `{"alg":"none"}`, c),
		raw(t, `{"Alg":"HS256"}`, c),
	} {
		if _, err := v.Token(t.Context(), token); code(err) != access.BadToken {
			t.Errorf("Token(%s) gives %v, want bad_token", token, err)
		}
	}
}

// TestKeyDecidesTheAlgorithm tries each algorithm with what an attacker has: the
// public key as a secret, and private keys of other kinds.
func TestKeyDecidesTheAlgorithm(t *testing.T) {
	pem := publicPEM(rsaKey())
	der := rsaKey().PublicKey.N.Bytes()
	v := verifier(t, access.Options{Keys: publicKeys(t, rsaKey(), p256Key(), ed25519Key())})
	c := claims(nil)
	for name, token := range map[string]string{
		"HS256 with the PEM file":    sign(t, jwt.SigningMethodHS256, pem, "", c),
		"HS384 with the PEM file":    sign(t, jwt.SigningMethodHS384, pem, "", c),
		"HS256 without its line end": sign(t, jwt.SigningMethodHS256, []byte(strings.TrimSpace(string(pem))), "", c),
		"HS256 with the modulus":     sign(t, jwt.SigningMethodHS256, der, "", c),
		"HS256 with the Ed25519 key": sign(t, jwt.SigningMethodHS256, []byte(ed25519Key().Public().(ed25519.PublicKey)), "", c),
		"RS256 with another key":     sign(t, jwt.SigningMethodRS256, otherRSA(), "", c),
		"ES384":                      sign(t, jwt.SigningMethodES384, p384Key(), "", c),
	} {
		if _, err := v.Token(t.Context(), token); code(err) != access.BadToken {
			t.Errorf("%s: %v, want bad_token", name, err)
		}
	}
	hs := verifier(t, access.Options{})
	if _, err := hs.Token(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), "", c)); code(err) != access.BadToken {
		t.Errorf("RS256 where there is a secret only: %v, want bad_token", err)
	}
}

// TestTokenBringsNoKeyAlong: the header may hold a key, or say where one is, and
// none of that counts.
func TestTokenBringsNoKeyAlong(t *testing.T) {
	visited := newKeyServer(t, keys(edJWK("a")))
	v := verifier(t, access.Options{Keys: publicKeys(t, rsaKey(), p256Key())})
	for name, value := range map[string]any{
		"jwk": edJWK("a"), "jku": visited.URL, "x5u": visited.URL, "x5c": []string{"AAAA"}, "kid": visited.URL,
	} {
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims(nil))
		token.Header[name] = value
		text, err := token.SignedString(ed25519Key())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Token(t.Context(), text); code(err) != access.BadToken {
			t.Errorf("%s in the header: %v, want bad_token", name, err)
		}
	}
	if n := visited.fetches.Load(); n != 0 {
		t.Errorf("%d requests to where the token says, want 0", n)
	}
	unsigned := encode(`{"alg":"ES256"}`) + "." + encode(fmt.Sprintf(`{"exp":%d}`, time.Now().Add(time.Hour).Unix())) + "."
	for _, signature := range []string{strings.Repeat("\x00", 64), strings.Repeat("\xff", 64), strings.Repeat("\x00", 1000)} {
		if _, err := v.Token(t.Context(), unsigned+encode(signature)); code(err) != access.BadToken {
			t.Errorf("ES256 with the signature %.4q…: %v, want bad_token", signature, err)
		}
	}
}

func TestKidPicksTheKey(t *testing.T) {
	other, err := access.NewSecret("new", slices.Repeat([]byte("n"), 32))
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, access.Options{Keys: []access.Key{secretKey(t, "old"), other}})
	for kid, want := range map[string]access.Code{"": "", "old": "", "new": access.BadToken, "third": access.BadToken} {
		if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodHS256, secret, kid, claims(nil))); code(err) != want {
			t.Errorf("kid %q: %v, want %q", kid, err, want)
		}
	}
	c := fmt.Sprintf(`{"exp":%d}`, time.Now().Add(time.Hour).Unix())
	for _, header := range []string{`{"alg":"HS256","kid":1}`, `{"alg":"HS256","kid":["old"]}`, `{"alg":"HS256","crit":["x"]}`, `{"alg":"HS256","crit":["b64"],"b64":false}`} {
		if _, err := v.Token(t.Context(), raw(t, header, c)); code(err) != access.BadToken {
			t.Errorf("header %s: %v, want bad_token", header, err)
		}
	}
	// A key without an ID fits tokens of any.
	if _, err := verifier(t, access.Options{}).Token(t.Context(), sign(t, jwt.SigningMethodHS256, secret, "any", claims(nil))); err != nil {
		t.Errorf("kid of a key without an ID: %v", err)
	}
}

func TestTimesAreCheckedWithLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
		for _, c := range []struct {
			leeway   time.Duration // 0: 30 s
			exp, nbf any
			want     access.Code
		}{
			{0, in(time.Second), nil, ""},
			{0, in(-29 * time.Second), nil, ""},
			{0, in(-30 * time.Second), nil, access.ExpiredToken},
			{0, in(-time.Hour), nil, access.ExpiredToken},
			{-1, in(time.Second), nil, ""},
			{-1, in(0), nil, access.ExpiredToken},
			{5 * time.Minute, in(-4 * time.Minute), nil, ""},
			{0, in(time.Hour), in(30 * time.Second), ""},
			{0, in(time.Hour), in(31 * time.Second), access.EarlyToken},
			{-1, in(time.Hour), in(1 * time.Second), access.EarlyToken},
			{-1, in(time.Hour), in(0), ""},
			{0, nil, nil, access.BadToken},
			{0, 0, nil, access.BadToken},
		} {
			v := verifier(t, access.Options{Leeway: c.leeway})
			token := sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"exp": c.exp, "nbf": c.nbf}))
			if _, err := v.Token(t.Context(), token); code(err) != c.want {
				t.Errorf("leeway %v, exp %v, nbf %v, at %d: %v, want %q", c.leeway, c.exp, c.nbf, time.Now().Unix(), err, c.want)
			}
		}
	})
}

func TestIssuerAndAudienceAreChecked(t *testing.T) {
	v := verifier(t, access.Options{Issuer: "https://id.example", Audience: []string{"weir", "weir2"}})
	for _, c := range []struct {
		iss, aud any
		want     string // part of the error, "" if there is none
	}{
		{"https://id.example", "weir", ""},
		{"https://id.example", []string{"x", "weir2"}, ""},
		{"https://id.example/", "weir", "another issuer"},
		{nil, "weir", "lacks a claim"},
		{"https://id.example", nil, "lacks a claim"},
		{"https://id.example", "Weir", "another audience"},
		{"https://id.example", []string{}, "lacks a claim"},
		{[]string{"https://id.example"}, "weir", "wrong type"},
		{"https://id.example", 7, "lacks a claim"},
		{"https://id.example", []any{"weir", 7}, "wrong type"},
	} {
		_, err := v.Token(t.Context(), sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"iss": c.iss, "aud": c.aud})))
		if c.want == "" && err != nil || c.want != "" && (code(err) != access.BadToken || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("iss %v, aud %v: %v, want %q", c.iss, c.aud, err, c.want)
		}
	}
}

// TestOddTokensAreRefused lists tokens with a right signature that must not count.
func TestOddTokensAreRefused(t *testing.T) {
	v := verifier(t, access.Options{})
	exp := fmt.Sprintf(`"exp":%d`, time.Now().Add(time.Hour).Unix())
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	many := `"` + strings.Join(slices.Repeat([]string{"a"}, access.MaxPatterns+1), `","`) + `"`
	for _, c := range []struct{ name, claims, want string }{
		{"exp twice", `{"exp":1,` + exp + `}`, `claims: the name "exp" comes twice`},
		{"exp twice, one escaped", `{"\u0065xp":1,` + exp + `}`, `claims: the name "exp" comes twice`},
		{"publish twice", `{` + exp + `,"weir":{"publish":[],"publish":["**"]}}`, `claims: the name "publish" comes twice`},
		{"sub twice", `{"sub":"a",` + exp + `,"sub":"root"}`, `claims: the name "sub" comes twice`},
		{"in a list", `{` + exp + `,"x":[{"y":1,"y":2}]}`, `claims: the name "y" comes twice`},
		{"deep objects", `{` + exp + `,"x":` + nested(8) + `}`, "claims: more than 8 objects and lists in each other"},
		{"very deep lists", `{` + exp + `,"x":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + `}`, "claims: more than 8 objects"},
		{"exp of another case", `{"EXP":99999999999}`, "lacks a claim"},
		{"exp is text", `{"exp":"99999999999"}`, "wrong type"},
		{"exp is null", `{"exp":null}`, "wrong type"},
		{"exp is a list", `{"exp":[99999999999]}`, "wrong type"},
		{"exp too far", `{"exp":253402300800}`, "claim exp: want seconds since 1970"},
		{"exp does not fit", `{"exp":1e999}`, "cannot be read"},
		{"nbf is text", `{` + exp + `,"nbf":"0"}`, "wrong type"},
		{"iat is text", `{` + exp + `,"iat":"0"}`, "claim iat: want seconds"},
		{"iat too far", `{` + exp + `,"iat":253402300800}`, "claim iat: want seconds"},
		{"nbf negative", `{` + exp + `,"nbf":-1}`, "claim nbf: want seconds"},
		{"sub is a number", `{` + exp + `,"sub":1}`, "claim sub: want a string"},
		{"sub is null", `{` + exp + `,"sub":null}`, "claim sub: want a string"},
		{"sub has a line end", `{` + exp + `,"sub":"a\nb"}`, "control character U+000A"},
		{"sub is long", `{` + exp + `,"sub":"` + strings.Repeat("x", 256) + `"}`, "256 bytes, limit 255"},
		{"jti is an object", `{` + exp + `,"jti":{}}`, "claim jti: want a string"},
		{"weir is a list", `{` + exp + `,"weir":["**"]}`, "claim weir: want an object"},
		{"weir is null", `{` + exp + `,"publish":["**"],"weir":null}`, "claim weir: want an object"},
		{"unknown name", `{` + exp + `,"weir":{"publish":["**"],"only":["a"]}}`, `claim weir: want no names other than ["publish"`},
		{"publish is text", `{` + exp + `,"weir":{"publish":"**"}}`, `claim weir.publish: want a list`},
		{"publish is null", `{` + exp + `,"weir":{"publish":null}}`, `claim weir.publish: want a list`},
		{"subscribe of numbers", `{` + exp + `,"subscribe":["a",1]}`, "claim subscribe: want a list of strings"},
		{"bad pattern", `{` + exp + `,"weir":{"subscribe":["a/**/b"]}}`, `subscribe: pattern "a/**/b"`},
		{"many patterns", `{` + exp + `,"weir":{"subscribe":[` + many + `]}}`, "subscribe: 101 patterns, limit 100"},
		{"no streams", `{` + exp + `,"weir":{"streams":0}}`, "claim weir.streams: want a whole number"},
		{"half a stream", `{` + exp + `,"weir":{"streams":0.5}}`, "claim weir.streams: want a whole number"},
		{"rate is text", `{` + exp + `,"weir":{"rate":"9"}}`, "claim weir.rate: want a whole number"},
		{"rate is large", `{` + exp + `,"weir":{"rate":1e10}}`, "claim weir.rate: want a whole number"},
		{"a list", `[{` + exp + `}]`, "claims: not a JSON object"},
		{"a string", `"exp"`, "claims: not a JSON object"},
		{"empty", ``, "claims: not a JSON object"},
		{"cut", `{` + exp, "claims: not a JSON object"},
		{"two objects", `{` + exp + `}{}`, "claims: more than one JSON value"},
		{"not UTF-8", `{` + exp + `,"sub":"` + "\xff" + `"}`, "claims: not UTF-8"},
		{"a name that is a number", `{` + exp + `,1:2}`, "claims: not a JSON object"},
	} {
		_, err := v.Token(t.Context(), raw(t, `{"alg":"HS256"}`, c.claims))
		if code(err) != access.BadToken || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want bad_token with %q", c.name, err, c.want)
		}
	}
	for _, c := range []struct{ name, claims string }{
		{"seven deep", `{` + exp + `,"x":` + nested(7) + `}`},
		{"same name in two objects", `{` + exp + `,"x":{"a":1},"y":[{"a":1},{"a":1}],"a":1}`},
	} {
		if _, err := v.Token(t.Context(), raw(t, `{"alg":"HS256"}`, c.claims)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestTokenFormIsCheckedFirst(t *testing.T) {
	v := verifier(t, access.Options{})
	// Of the last character, the lowest two bits do not count. In an A they are 0.
	token := good(t)
	for i := 0; !strings.HasSuffix(token, "A"); i++ {
		token = sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"jti": fmt.Sprint(i)}))
	}
	header, rest, _ := strings.Cut(token, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for _, c := range []struct{ name, token, want string }{
		{"empty", "", "1 parts"},
		{"one part", "abc", "1 parts"},
		{"four parts", token + ".x", "4 parts"},
		{"thousands of parts", strings.Repeat(".", 8000), "8001 parts"},
		{"large", "ey" + strings.Repeat("a", access.MaxToken-1), "8193 bytes, limit 8192"},
		{"huge", strings.Repeat("a.", 10<<20), "20971520 bytes, limit 8192"},
		{"padding", header + "." + body + "=." + signature, "claims: not base64url"},
		{"standard base64", header + "." + body + "/+." + signature, "claims: not base64url"},
		{"line end", header + "." + body + "\n." + signature, "it has a line end"},
		{"line end after the signature", token + "\r\n", "it has a line end"},
		{"header twice alg", raw(t, `{"alg":"none","alg":"HS256"}`, `{}`), `header: the name "alg" comes twice`},
		{"header deep", raw(t, `{"alg":"HS256","x":`+strings.Repeat("[", 3000)+`}`, `{}`), "header: more than 8"},
		{"header no object", raw(t, `"HS256"`, `{}`), "header: not a JSON object"},
		{"claims changed", header + "." + encode(`{"exp":9999999999}`) + "." + signature, "signature of the token is wrong"},
		{"signature gone", header + "." + body + ".", "signature of the token is wrong"},
		{"signature no base64", header + "." + body + ".!", "cannot be read"},
		{"other bits after the signature", token[:len(token)-1] + string(token[len(token)-1]+1), "cannot be read"},
		{"alg unknown", raw(t, `{"alg":"HS257"}`, `{}`), "algorithm of the token is not accepted"},
	} {
		_, err := v.Token(t.Context(), c.token)
		if code(err) != access.BadToken || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want bad_token with %q", c.name, err, c.want)
		}
	}
}

// TestTokenErrorsKeepSecrets looks for pieces of the token in the texts.
func TestTokenErrorsKeepSecrets(t *testing.T) {
	v := verifier(t, access.Options{Issuer: "us"})
	token := good(t)
	parts := strings.Split(token, ".")
	for _, bad := range []string{
		token, // of no issuer
		token[:len(token)-5], parts[0] + "." + parts[1], parts[2], "x" + token, token + "x.y",
		parts[0] + "." + parts[2] + "." + parts[1],
		sign(t, jwt.SigningMethodHS256, []byte("another secret, and long enough"), "", claims(nil)),
	} {
		_, err := v.Token(t.Context(), bad)
		if err == nil {
			t.Fatalf("Token(%q) is accepted", bad)
		}
		for _, p := range append(strings.Split(bad, "."), string(secret)) {
			if len(p) > 4 && strings.Contains(err.Error(), p[:5]) {
				t.Errorf("the error %q holds a part of the token %q", err, bad)
			}
		}
	}
}

func TestServerWithoutKeysTakesNoTokens(t *testing.T) {
	v, err := access.New(access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Token(t.Context(), good(t)); code(err) != access.BadToken || !strings.Contains(err.Error(), "no keys") {
		t.Errorf("Token gives %v, want bad_token", err)
	}
}

func TestSignedGrantComesBack(t *testing.T) {
	g := access.Grant{User: "alice", ID: "1", Publish: []string{"a/**"}, Subscribe: []string{"**"},
		Expires: time.Now().Add(time.Hour).Truncate(time.Second), Limits: access.Limits{Streams: 2, Rate: 3}}
	token, err := secretKey(t, "k").Sign(g, access.Stamp{Issuer: "i", Audience: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	v := verifier(t, access.Options{Keys: []access.Key{secretKey(t, "k")}, Issuer: "i", Audience: []string{"a"}, Leeway: -1})
	if got, err := v.Token(t.Context(), token); err != nil || !reflect.DeepEqual(plain(got), g) || time.Since(got.Issued) > time.Minute {
		t.Errorf("Token gives\n%+v, %v, want\n%+v", got, err, g)
	}

	full := access.Grant{Expires: g.Expires, Publish: slices.Repeat([]string{strings.Repeat("x", 255)}, 100)}
	for name, c := range map[string]struct {
		key   access.Key
		grant access.Grant
	}{
		"a public key":      {publicKeys(t, p256Key())[0], g},
		"no expiry":         {secretKey(t, ""), access.Grant{}},
		"expired":           {secretKey(t, ""), access.Grant{Expires: time.Now()}},
		"bad pattern":       {secretKey(t, ""), access.Grant{Expires: g.Expires, Publish: []string{"a//b"}}},
		"more than a token": {secretKey(t, ""), full},
	} {
		if token, err := c.key.Sign(c.grant, access.Stamp{}); err == nil {
			t.Errorf("%s: signed %q", name, token)
		}
	}
}

// FuzzTokenNeverGrantsWithoutSignature feeds the parser, and signs the same claims:
// what is accepted then must be a grant that passes its own check.
func FuzzTokenNeverGrantsWithoutSignature(f *testing.F) {
	v, err := access.New(access.Options{Keys: []access.Key{must(access.NewSecret("", secret))}})
	if err != nil {
		f.Fatal(err)
	}
	token := good(f)
	f.Add(token[:len(token)-1], `{"alg":"HS256"}`, `{"exp":99999999999,"weir":{"publish":["**"]}}`)
	f.Add("a.b.c", `{"alg":"none"}`, `{"exp":1,"exp":2}`)
	f.Add("ey.ey.", `{"kid":"\ud800"}`, `{"sub":"\u0000","weir":{"streams":1e9}}`)
	f.Fuzz(func(t *testing.T, text, header, claims string) {
		if _, err := v.Token(t.Context(), text); code(err) == "" || code(err) == "?" {
			t.Errorf("Token(%q) gives %v without a secret", text, err)
		}
		g, err := v.Token(t.Context(), raw(t, header, claims))
		if code(err) == "?" {
			t.Errorf("claims %q give %v, not an *access.Error", claims, err)
		}
		if err == nil && (g.Check() != nil || g.Expired(time.Now())) {
			t.Errorf("claims %q give %+v: %v", claims, g, g.Check())
		}
	})
}
