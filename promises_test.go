package weir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const promises = "docs/promises.md"

// TestPromisesAreHeldByTests looks for every test that docs/promises.md names, and for
// promises without one.
func TestPromisesAreHeldByTests(t *testing.T) {
	tests, name := readTests(t), regexp.MustCompile(`\bTest[A-Z]\w*`)
	named, holding := 0, false // in a table that says by what each row is held
	for line := range strings.Lines(readFile(t, promises)) {
		row := strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---")
		if !strings.HasPrefix(line, "|") || strings.HasSuffix(line, "| Held by |\n") {
			holding, row = strings.HasPrefix(line, "|"), false
		}
		names := name.FindAllString(line, -1)
		if holding && row && len(names) == 0 {
			t.Errorf("%s: no test holds %q", promises, line)
		}
		for _, test := range names {
			if named++; !tests[test] {
				t.Errorf("%s names %s, which does not exist", promises, test)
			}
		}
	}
	if named < 50 {
		t.Errorf("%s names %d tests; are they written in another way?", promises, named)
	}
}

// readTests returns the names of all tests of the module.
func readTests(t *testing.T) map[string]bool {
	t.Helper()
	tests := make(map[string]bool)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && outside(name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				tests[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
