package webhook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func writeSecrets(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSignatureIsThatOfTheSpecification has the example of Standard Webhooks.
func TestSignatureIsThatOfTheSpecification(t *testing.T) {
	secrets, err := readSecrets(writeSecrets(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := sign(secrets[0], "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSecretsAreLines(t *testing.T) {
	got, err := readSecrets(writeSecrets(t, "\r\n  012345678901234567890123 \r\nwhsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=\n\n"))
	want := [][]byte{[]byte("012345678901234567890123"), []byte(strings.Repeat("A", 26))}
	if err != nil || !slices.EqualFunc(got, want, slices.Equal) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWrongSecretsAreExplainedAndNotQuoted(t *testing.T) {
	good := strings.Repeat("x", 24) + "\n"
	for text, want := range map[string]string{
		"":                             "holds no secret",
		" \n\n":                        "holds no secret",
		good + "hush\n":                "line 2: the secret has 4 bytes, want 24 or more",
		"whsec_aHVzaA==":               "line 1: the secret has 4 bytes, want 24 or more",
		"whsec_hush!" + good:           "line 1: what follows whsec_ is not base64",
		strings.Repeat("hush", 20_000): "is larger than the limit of 65536 bytes",
	} {
		_, err := readSecrets(writeSecrets(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := readSecrets(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}
