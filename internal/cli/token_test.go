package cli_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// writeFile returns the path of a new file.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const tokenSecret = "0123456789abcdef0123456789abcdef"

func TestTokenCheckPrintsWhatMakeGranted(t *testing.T) {
	secret := writeFile(t, "secret", tokenSecret+"\n")
	made := weir("token", "make", "--secret-file", secret, "--sub", "alice", "--id", "7", "--publish", "a/**", "--publish", "b,c", "--subscribe", "**",
		"--streams", "3", "--rate", "50", "--info", `{"name":"Alice"}`, "--expires", "90m", "--issuer", "me", "--audience", "weir", "--key-id", "k")
	if made.code != 0 || !regexp.MustCompile(`^ey[\w-]+\.ey[\w-]+\.[\w-]+\n$`).MatchString(made.out) {
		t.Fatalf("token make gives %+v", made)
	}
	token := strings.TrimSpace(made.out)
	checked := weir("token", "check", token, "--secret-file", secret, "--issuer", "me", "--audience", "other", "--audience", "weir")
	want := regexp.MustCompile(`^user +alice
id +7
expires +20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ, in 1h(30m0|29m5\d)s
publish +a/\*\*
 +b,c
subscribe +\*\*
streams +3
rate +50
info +\{"name":"Alice"\}
$`)
	if checked.code != 0 || !want.MatchString(checked.out) {
		t.Errorf("token check gives %+v", checked)
	}

	piped := call{args: []string{"token", "check", "-", "--secret-file", secret, "--json"}, in: made.out}.run()
	var got map[string]any
	if err := json.Unmarshal([]byte(piped.out), &got); err != nil {
		t.Fatalf("token check - --json gives %+v", piped)
	}
	expires, err := time.Parse(time.RFC3339, got["expires"].(string))
	if left := time.Until(expires); err != nil || left > 90*time.Minute || left < 89*time.Minute {
		t.Errorf("it expires in %v, %v", left, err)
	}
	delete(got, "expires")
	if all := (map[string]any{"user": "alice", "id": "7", "publish": []any{"a/**", "b,c"}, "subscribe": []any{"**"}, "streams": 3.0, "rate": 50.0, "info": map[string]any{"name": "Alice"}}); !reflect.DeepEqual(got, all) {
		t.Errorf("token check --json gives %v, want %v", got, all)
	}
}

func TestTokenCheckRefusesWhatTheServerWould(t *testing.T) {
	secret, other := writeFile(t, "secret", tokenSecret), writeFile(t, "other", strings.Repeat("x", 32))
	token := strings.TrimSpace(weir("token", "make", "--secret-file", secret, "--subscribe", "a").out)
	expired, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"exp": time.Now().Add(-time.Second).Unix()}).SignedString([]byte(tokenSecret))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		token string
		flags []string
		want  string
	}{
		{token, []string{"--secret-file", other}, "bad_token: the signature of the token is wrong, or its algorithm is not accepted"},
		{token, []string{"--secret-file", secret, "--issuer", "me"}, "bad_token: the token lacks a claim: exp, or the iss or aud that this server asks for"},
		{expired, []string{"--secret-file", secret}, "expired_token: the token has expired (exp)"},
		{"abc", []string{"--secret-file", secret}, "bad_token: not a JSON Web Token: it has 1 parts, a JSON Web Token has 3"},
	} {
		expect(t, c.flags, weir(append([]string{"token", "check", c.token}, c.flags...)...), result{1, "", "weir: token check: " + c.want + "\n"})
	}
}

func TestTokenCheckTakesPublicKeys(t *testing.T) {
	private := ed25519.NewKeyFromSeed([]byte(tokenSecret))
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	token, err := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{"sub": "alice", "exp": time.Now().Add(time.Hour).Unix()}).SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	got := weir("token", "check", token, "--public-key-file", file)
	if got.code != 0 || !strings.HasPrefix(got.out, "user     alice\nexpires  ") {
		t.Errorf("token check gives %+v", got)
	}
	broken := weir("token", "check", token, "--public-key-file", writeFile(t, "key.pem", "x"))
	if broken.code != 1 || !strings.Contains(broken.err, "key.pem: no public key in PEM form") {
		t.Errorf("token check gives %+v", broken)
	}
}

func TestTokenMakeSaysWhatIsMissing(t *testing.T) {
	secret, short := writeFile(t, "secret", tokenSecret), writeFile(t, "short", "abc\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"make", "--subscribe", "a"}, 2, "give the file of the secret with --secret-file"},
		{[]string{"make", "--secret-file", short, "--subscribe", "a"}, 1, short + ": the secret has 3 bytes, at least 32 are needed"},
		{[]string{"make", "--secret-file", secret + "2", "--subscribe", "a"}, 1, "no such file"},
		{[]string{"make", "--secret-file", secret}, 2, "the token would allow nothing: give --publish, --subscribe or both"},
		{[]string{"make", "--secret-file", secret, "--publish", "a/**/b"}, 2, `publish: pattern "a/**/b"`},
		{[]string{"make", "--secret-file", secret, "--publish", "a", "--expires", "0s"}, 2, "--expires is 0s: want 1s to 87600h0m0s"},
		{[]string{"make", "--secret-file", secret, "--publish", "a", "--rate", "-1"}, 2, "-1 messages per second"},
		{[]string{"make", "--secret-file", secret, "--publish", "a", "--info", "Ada"}, 2, `info "Ada" is not JSON`},
		{[]string{"make", "x"}, 2, "wrong number of arguments (1)"},
		{[]string{"check"}, 2, "wrong number of arguments (0)"},
		{[]string{"check", "x"}, 2, "give the key of the token with --secret-file or --public-key-file"},
		{[]string{"mkae"}, 2, `unknown command "mkae"; did you mean "make"?`},
	} {
		got := weir(append([]string{"token"}, c.args...)...)
		if got.code != c.code || got.out != "" || !strings.Contains(got.err, c.want) {
			t.Errorf("token %q gives %+v, want code %d and %q", c.args, got, c.code, c.want)
		}
	}
}
