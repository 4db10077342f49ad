package weir_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// TestDocumentedProgramsCompile type-checks every Go block of the documents that
// is a whole file. The files exist only in an overlay of the go command.
func TestDocumentedProgramsCompile(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```go\n(package .*?)^```$")
	files, overlay := t.TempDir(), map[string]string{}
	var dirs []string
	for _, doc := range documents(t) {
		for i, m := range blocks.FindAllStringSubmatch(readFile(t, doc), -1) {
			name := fmt.Sprintf("%s-%d", strings.NewReplacer("/", "-", ".", "-").Replace(filepath.ToSlash(doc)), i+1)
			file := filepath.Join(files, name+".go")
			if err := os.WriteFile(file, []byte(m[1]), 0o644); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join("docs", "programs", name)
			dirs = append(dirs, "./"+filepath.ToSlash(dir))
			overlay[absolute(t, filepath.Join(dir, "main.go"))] = file
		}
	}
	if len(dirs) == 0 {
		t.Fatal("the documents hold no program")
	}
	b, err := json.Marshal(map[string]any{"Replace": overlay})
	if err == nil {
		err = os.WriteFile(filepath.Join(files, "overlay.json"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	// List with -export compiles and, unlike build, does not link.
	args := append([]string{"list", "-export", "-overlay", filepath.Join(files, "overlay.json")}, dirs...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Errorf("compile the documents' programs: %v\n%s", err, out)
	}
}

// TestDocumentedSettingsLoad loads every YAML block of the documents as a settings
// file.
func TestDocumentedSettingsLoad(t *testing.T) {
	blocks := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	for _, doc := range documents(t) {
		for _, m := range blocks.FindAllStringSubmatch(readFile(t, doc), -1) {
			file := filepath.Join(t.TempDir(), "weir.yaml")
			if err := os.WriteFile(file, []byte(m[1]), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := config.Load(config.Input{File: file}); err != nil {
				t.Errorf("%s: settings:\n%s%v", doc, m[1], err)
			}
		}
	}
}

// TestDocumentedFilesExist follows the links from document to document.
func TestDocumentedFilesExist(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, doc := range documents(t) {
		for _, m := range links.FindAllStringSubmatch(readFile(t, doc), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: link %q: %v", doc, m[1], err)
				continue
			}
			if u.Scheme != "" || u.Path == "" {
				continue // another site, or a place on the same page
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), filepath.FromSlash(u.Path))); err != nil {
				t.Errorf("%s links to %s, which does not exist", doc, m[1])
			}
		}
	}
}

// documents lists the Markdown files of the repository's root and of docs.
func documents(t *testing.T) []string {
	t.Helper()
	var docs []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.FromSlash(pattern))
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, found...)
	}
	return docs
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}
