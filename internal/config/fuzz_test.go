package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// FuzzFileIsUsedOrRefused checks that no file makes Load panic, and that every
// refusal is a list of mistakes placed in that file.
func FuzzFileIsUsedOrRefused(f *testing.F) {
	for _, seed := range []string{
		"", "hub: {policy: all}\n", "listen:\n  a: {listen: \":0\"}\n", "history:\n  topics:\n    - {topic: a}\n", "a: &x [*x]\n",
		"? {a: b}\n: c\n", "- - - x", "hub:\n\t- x", "<<: *a\n", "page: !!str true\n", "a: |\n  b\n", "{", "[", "\"", "%YAML 1.2\n---\n",
	} {
		f.Add(seed)
	}
	path := filepath.Join(f.TempDir(), "weir.yaml")
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		loaded, err := config.Load(config.Input{File: path})
		if err == nil && loaded.Settings == nil {
			t.Error("neither settings nor error")
		}
		for _, e := range config.Errors(err) {
			if e.Origin.Kind != config.FromFile && e.Origin.Kind != config.FromDefault {
				t.Errorf("error %v is not placed in the file", e)
			}
		}
		if err != nil && len(config.Errors(err)) == 0 {
			t.Errorf("Load = %v, which lists no mistake: %v", err, errors.Unwrap(err))
		}
	})
}
