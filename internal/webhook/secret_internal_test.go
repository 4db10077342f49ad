package webhook

import (
	"os"
	"path/filepath"
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

func TestShortSecretsAreExplainedAndNotQuoted(t *testing.T) {
	good := strings.Repeat("x", 24) + "\nwhsec_" + strings.Repeat("x", 32) + "\n"
	for text, want := range map[string]string{
		good + "hush\n":      "line 3: the secret has 4 bytes, want 24 or more",
		"whsec_aHVzaA==":     "line 1: the secret has 4 bytes, want 24 or more",
		good + "whsec_hush!": "line 3: want base64 after whsec_",
	} {
		_, err := readSecrets(writeSecrets(t, text))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
	if _, err := readSecrets(writeSecrets(t, good)); err != nil {
		t.Error(err)
	}
}
