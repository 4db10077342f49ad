package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// A keyServer answers with a set that can be changed.
type keyServer struct {
	*httptest.Server
	fetches atomic.Int32
	answer  atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t testing.TB, answer http.HandlerFunc) *keyServer {
	t.Helper()
	s := new(keyServer)
	s.answer.Store(&answer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fetches.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) set(answer http.HandlerFunc) { s.answer.Store(&answer) }

// keys answers with a set.
func keys(jwks ...map[string]any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": jwks})
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(kid string) map[string]any {
	public := rsaKey().PublicKey
	return map[string]any{"kty": "RSA", "kid": kid, "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
}

func ecJWK(kid string, k *ecdsa.PrivateKey) map[string]any {
	point := must(k.PublicKey.Bytes())[1:]
	return map[string]any{"kty": "EC", "kid": kid, "crv": k.Curve.Params().Name, "x": b64(point[:len(point)/2]), "y": b64(point[len(point)/2:])}
}

func edJWK(kid string) map[string]any {
	return map[string]any{"kty": "OKP", "kid": kid, "crv": "Ed25519", "x": b64(ed25519Key()[32:])}
}

func with(jwk map[string]any, name string, value any) map[string]any {
	jwk[name] = value
	return jwk
}

// open returns a verifier of the keys at a URL, and what its fetches report.
func open(t *testing.T, o access.RemoteOptions) (*access.Verifier, *access.Remote, <-chan error) {
	t.Helper()
	reports := make(chan error, 1000)
	o.Report = func(err error) { reports <- err }
	remote, err := access.OpenRemote(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remote.Close)
	return verifier(t, access.Options{Remote: remote}), remote, reports
}

// next returns what the next fetch reports.
func next(t *testing.T, reports <-chan error) error {
	t.Helper()
	select {
	case err := <-reports:
		return err
	case <-time.After(patience):
		t.Fatal("nothing is fetched")
		return nil
	}
}

func TestKeysOfAURLOfEveryKind(t *testing.T) {
	s := newKeyServer(t, keys(
		rsaJWK("r"), ecJWK("e2", p256Key()), ecJWK("e3", p384Key()), ecJWK("e5", p521Key()), with(edJWK("d"), "alg", "Ed25519"),
		with(rsaJWK("only"), "alg", "RS512"), with(rsaJWK("sig"), "use", "sig"), with(rsaJWK("ops"), "key_ops", []string{"verify"}),
		with(rsaJWK("enc"), "use", "enc"), with(rsaJWK("wrap"), "key_ops", []string{"wrapKey"}), with(rsaJWK("oaep"), "alg", "RSA-OAEP"),
		map[string]any{"kty": "oct", "kid": "oct", "k": b64(secret)}, map[string]any{"kty": "new", "kid": "new"}, map[string]any{"kty": 1},
	))
	v, _, _ := open(t, access.RemoteOptions{URL: s.URL})
	for _, c := range []struct {
		kid    string
		method jwt.SigningMethod
		key    any
		want   access.Code
	}{
		{"r", jwt.SigningMethodRS256, rsaKey(), ""},
		{"r", jwt.SigningMethodPS512, rsaKey(), ""},
		{"e2", jwt.SigningMethodES256, p256Key(), ""},
		{"e3", jwt.SigningMethodES384, p384Key(), ""},
		{"e5", jwt.SigningMethodES512, p521Key(), ""},
		{"d", jwt.SigningMethodEdDSA, ed25519Key(), ""},
		{"", jwt.SigningMethodEdDSA, ed25519Key(), ""},
		{"only", jwt.SigningMethodRS512, rsaKey(), ""},
		{"sig", jwt.SigningMethodRS256, rsaKey(), ""},
		{"ops", jwt.SigningMethodRS256, rsaKey(), ""},
		{"only", jwt.SigningMethodRS256, rsaKey(), access.BadToken},
		{"enc", jwt.SigningMethodRS256, rsaKey(), access.BadToken},
		{"wrap", jwt.SigningMethodRS256, rsaKey(), access.BadToken},
		{"oaep", jwt.SigningMethodRS256, rsaKey(), access.BadToken},
		{"oct", jwt.SigningMethodHS256, secret, access.BadToken},
		{"", jwt.SigningMethodHS256, secret, access.BadToken},
		{"e2", jwt.SigningMethodRS256, rsaKey(), access.BadToken},
		{"r", jwt.SigningMethodRS256, otherRSA(), access.BadToken},
		{"r", jwt.SigningMethodHS256, []byte(rsaKey().N.Bytes()), access.BadToken},
	} {
		if _, err := v.Token(t.Context(), sign(t, c.method, c.key, c.kid, claims(nil))); code(err) != c.want {
			t.Errorf("kid %q, %s: %v, want %q", c.kid, c.method.Alg(), err, c.want)
		}
	}
}

func TestSetsThatCannotBeUsedAreRefused(t *testing.T) {
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	many := make([]map[string]any, 65)
	for i := range many {
		many[i] = edJWK(fmt.Sprint(i))
	}
	off := ecJWK("x", p256Key())
	off["y"] = off["x"]
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string
	}{
		{"not JSON", body("<html>"), "not a JWK set"},
		{"no keys", body(`{"keys":[]}`), "it holds no keys"},
		{"empty", body(`{}`), "it holds no keys"},
		{"many", keys(many...), "more than 64 keys"},
		{"large", body(strings.Repeat(" ", 1<<20+1)), "more than 1048576 bytes"},
		{"secret", keys(map[string]any{"kty": "oct", "k": b64(secret)}), "none of its 1 keys can be used; key 1: its kty is not RSA, EC or OKP"},
		{"short RSA", keys(with(rsaJWK(""), "n", b64(secret))), "an RSA key of 254 bits"},
		{"RSA exponent 1", keys(with(rsaJWK(""), "e", "AQ")), "an RSA key with the exponent 1"},
		{"RSA exponent 2^32-1", keys(with(rsaJWK(""), "e", "_____w")), "its e is too large"},
		{"RSA without exponent", keys(with(rsaJWK(""), "e", "")), "its n or e is not a number"},
		{"not on the curve", keys(off), "key 1: "},
		{"other curve", keys(with(ecJWK("", p256Key()), "crv", "P-384")), "its x or y does not have 48 bytes"},
		{"unknown curve", keys(with(ecJWK("", p256Key()), "crv", "secp256k1")), "its crv is not"},
		{"X25519", keys(with(edJWK(""), "crv", "X25519")), "want an Ed25519 key of 32 bytes"},
		{"short Ed25519", keys(with(edJWK(""), "x", "AAAA")), "want an Ed25519 key of 32 bytes"},
		{"not found", http.NotFound, "the answer is 404 Not Found"},
		{"elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/x", http.StatusFound) }, "the answer is 302 Found"},
		{"cut", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "{")
		}, "unexpected EOF"},
	} {
		s := newKeyServer(t, c.answer)
		v, remote, reports := open(t, access.RemoteOptions{URL: s.URL, Retry: time.Hour})
		err := next(t, reports)
		if err == nil || !strings.HasPrefix(err.Error(), "fetch keys from "+s.URL+": ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: fetch reports %v, want %q", c.name, err, c.want)
		}
		if _, err := v.Token(t.Context(), good(t)); code(err) != access.KeysUnavailable {
			t.Errorf("%s: Token gives %v, want keys_unavailable", c.name, err)
		}
		if remote.Err() == nil {
			t.Errorf("%s: Err gives nil", c.name)
		}
	}
}

func TestKeysAreKeptWhenTheURLFails(t *testing.T) {
	s := newKeyServer(t, keys(edJWK("old")))
	v, remote, reports := open(t, access.RemoteOptions{URL: s.URL, Every: time.Millisecond})
	token := sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "old", claims(nil))
	if err := next(t, reports); err != nil {
		t.Fatal(err)
	}
	for _, answer := range []http.HandlerFunc{http.NotFound, keys(), keys(map[string]any{"kty": "new"})} {
		s.set(answer)
		for next(t, reports) == nil { // of fetches that had begun
		}
		if _, err := v.Token(t.Context(), token); err != nil || remote.Err() == nil {
			t.Errorf("after a failure: %v; Err gives %v", err, remote.Err())
		}
		s.set(keys(edJWK("old")))
		for next(t, reports) != nil {
		}
	}
	// A key that is gone from the set is forgotten.
	s.set(keys(rsaJWK("new")))
	for deadline := time.Now().Add(patience); ; {
		if _, err := v.Token(t.Context(), token); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a key that is gone from the set goes on to hold")
		}
	}
}

func TestUnknownKidFetchesTheSet(t *testing.T) {
	s := newKeyServer(t, keys(rsaJWK("old")))
	v, _, reports := open(t, access.RemoteOptions{URL: s.URL, Every: time.Hour, AtMostEvery: time.Nanosecond})
	if err := next(t, reports); err != nil {
		t.Fatal(err)
	}
	s.set(keys(rsaJWK("old"), edJWK("new")))
	if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "new", claims(nil))); err != nil {
		t.Errorf("a key that is new in the set: %v", err)
	}
	if n := s.fetches.Load(); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
	if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), "old", claims(nil))); err != nil || s.fetches.Load() != 2 {
		t.Errorf("a key that is known: %v after %d fetches, want 2", err, s.fetches.Load())
	}
}

// TestKidFloodFetchesOnce: invented key IDs are not a way to make requests.
func TestKidFloodFetchesOnce(t *testing.T) {
	s := newKeyServer(t, keys(rsaJWK("old")))
	v, _, _ := open(t, access.RemoteOptions{URL: s.URL, Every: time.Hour})
	flood(t, v)
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches within a minute, want 1", n)
	}
}

// TestKidFloodSharesAFetch lets all of it come while one fetch is under way, which
// may begin at any time.
func TestKidFloodSharesAFetch(t *testing.T) {
	release := make(chan struct{})
	s := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		keys(rsaJWK("old"))(w, r)
	})
	time.AfterFunc(50*time.Millisecond, func() { close(release) })
	v, _, _ := open(t, access.RemoteOptions{URL: s.URL, Every: time.Hour})
	flood(t, v)
	if n := s.fetches.Load(); n != 1 {
		t.Errorf("%d fetches at once, want 1", n)
	}
}

// flood sends tokens of 400 key IDs that nobody has.
func flood(t *testing.T, v *access.Verifier) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				token := sign(t, jwt.SigningMethodEdDSA, ed25519Key(), fmt.Sprint("kid", i, j), claims(nil))
				if _, err := v.Token(t.Context(), token); code(err) != access.BadToken {
					t.Errorf("Token gives %v, want bad_token", err)
				}
			}
		})
	}
	all.Wait()
}

func TestFetchTimesOutAndIsTriedAgain(t *testing.T) {
	release := make(chan struct{})
	s := newKeyServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	v, _, reports := open(t, access.RemoteOptions{URL: s.URL, Timeout: 20 * time.Millisecond, Retry: time.Millisecond})
	if err := next(t, reports); err == nil || !strings.HasSuffix(err.Error(), ": timed out after 20ms") {
		t.Errorf("fetch reports %v, want a timeout", err)
	}
	s.set(keys(edJWK("a")))
	close(release)
	for next(t, reports) != nil {
	}
	if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "a", claims(nil))); err != nil {
		t.Errorf("after it was tried again: %v", err)
	}
}

func TestWaitingForKeysEndsWithTheRequest(t *testing.T) {
	release := make(chan struct{})
	s := newKeyServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	v, remote, _ := open(t, access.RemoteOptions{URL: s.URL, Timeout: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	token := sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "a", claims(nil))
	if _, err := v.Token(ctx, token); code(err) != access.KeysUnavailable {
		t.Errorf("Token gives %v, want keys_unavailable", err)
	}
	// Close does not wait for the answer, and neither does who waits for keys.
	done := make(chan error, 1)
	go func() {
		_, err := v.Token(context.Background(), token)
		done <- err
	}()
	remote.Close()
	remote.Close()
	select {
	case err := <-done:
		if code(err) != access.KeysUnavailable {
			t.Errorf("Token gives %v, want keys_unavailable", err)
		}
	case <-time.After(patience):
		t.Error("Token waits on after Close")
	}
}

func TestClosedRemoteKeepsItsKeys(t *testing.T) {
	s := newKeyServer(t, keys(edJWK("a")))
	v, remote, reports := open(t, access.RemoteOptions{URL: s.URL, AtMostEvery: time.Nanosecond})
	if err := next(t, reports); err != nil {
		t.Fatal(err)
	}
	remote.Close()
	for kid, want := range map[string]access.Code{"a": "", "b": access.BadToken} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := v.Token(ctx, sign(t, jwt.SigningMethodEdDSA, ed25519Key(), kid, claims(nil))); code(err) != want || ctx.Err() != nil {
			t.Errorf("kid %q: %v, want %q; %v", kid, err, want, ctx.Err())
		}
	}
}

func TestStaticKeysHoldBesidesThoseOfAURL(t *testing.T) {
	s := newKeyServer(t, http.NotFound)
	remote, err := access.OpenRemote(access.RemoteOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	v := verifier(t, access.Options{Remote: remote, Keys: []access.Key{secretKey(t, "")}})
	if _, err := v.Token(t.Context(), good(t)); err != nil {
		t.Errorf("while the URL fails: %v", err)
	}

	// A static key that fits the algorithm does not hide the one of the URL.
	s.set(keys(rsaJWK("r")))
	both, err := access.OpenRemote(access.RemoteOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer both.Close()
	for _, k := range []*rsa.PrivateKey{rsaKey(), otherRSA()} {
		v := verifier(t, access.Options{Remote: both, Keys: publicKeys(t, k)})
		if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "r", claims(nil))); code(err) != access.BadToken {
			t.Errorf("a token that no key fits: %v, want bad_token", err) // and the fetch is over
		}
		if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodRS256, rsaKey(), "r", claims(nil))); err != nil {
			t.Errorf("a key of the URL besides a static one: %v", err)
		}
	}
}

func TestKeysComeFromAServerThatIsTrusted(t *testing.T) {
	s := httptest.NewUnstartedServer(keys(edJWK("a")))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it would report the handshake that fails
	s.StartTLS()
	defer s.Close()
	_, _, reports := open(t, access.RemoteOptions{URL: s.URL, Retry: time.Hour})
	if err := next(t, reports); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("fetch reports %v, want a complaint about the certificate", err)
	}
	v, _, reports := open(t, access.RemoteOptions{URL: s.URL, Transport: s.Client().Transport})
	if err := next(t, reports); err != nil {
		t.Error(err)
	}
	if _, err := v.Token(t.Context(), sign(t, jwt.SigningMethodEdDSA, ed25519Key(), "a", claims(nil))); err != nil {
		t.Error(err)
	}
}

func TestKeysComeOverHTTPSOnly(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://id.example/jwks.json": true, "http://127.0.0.1:1/": true, "http://[::1]:1/": true, "http://localhost:1/": true,
		"http://id.example/jwks.json": false, "http://127.0.0.1.example/": false, "file:///keys": false, "id.example": false, "": false,
		"https://user:secret@id.example/": false, "ftp://id.example/": false, "http://10.0.0.1/": false,
	} {
		remote, err := access.OpenRemote(access.RemoteOptions{URL: url})
		if err == nil {
			remote.Close()
		}
		if (err == nil) != ok {
			t.Errorf("OpenRemote(%q) gives %v, want accepted: %v", url, err, ok)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error %q holds the password", err)
		}
	}
}
