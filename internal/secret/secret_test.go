package secret_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/secret"
)

func write(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretsAreLines(t *testing.T) {
	path := write(t, "\r\n  one secret \r\nwhsec_AP9h\nwhsec_AA==\n\nd2hzZWNf")
	for name, c := range map[string]struct {
		decode func(line string) ([]byte, error)
		want   []string
	}{
		"Standard": {secret.Standard, []string{"one secret", "\x00\xffa", "\x00", "d2hzZWNf"}},
		"Text":     {secret.Text, []string{"one secret", "whsec_AP9h", "whsec_AA==", "d2hzZWNf"}},
	} {
		var got []string
		secrets, err := secret.ReadFile(path, c.decode)
		for _, s := range secrets {
			got = append(got, string(s))
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

func TestWrongFilesAreExplainedAndNotQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"":                             "holds no secret: make one",
		" \n\t\r\n":                    "holds no secret",
		"whsec_":                       "line 1: want base64 after whsec_",
		"whsec_==":                     "line 1: want base64",
		"good\n\nwhsec_hush!\n":        "line 3: want base64",
		"whsec_aHVz aA==":              "line 1: want base64",
		strings.Repeat("hush", 16_384): "",
		strings.Repeat("hush", 16_385): "is larger than the limit of 65536 bytes",
	} {
		path := write(t, text)
		_, err := secret.ReadFile(path, secret.Standard)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want)):
			t.Errorf("%.30q: %v, want %q", text, err, want)
		case err != nil && (strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "aHVz")):
			t.Errorf("the secret is shown: %v", err)
		}
	}
	if _, err := secret.ReadFile(filepath.Join(t.TempDir(), "none"), secret.Text); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
