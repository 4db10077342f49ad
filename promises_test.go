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

// TestPromisesAreHeldByTests looks for every test that these documents name, and for
// promises and defences without one.
func TestPromisesAreHeldByTests(t *testing.T) {
	tests := readTests(t)
	for doc, least := range map[string]int{"docs/promises.md": 50, "docs/threats.md": 30} {
		t.Run(doc, func(t *testing.T) { checkNames(t, doc, least, tests) })
	}
}

// checkNames looks for the tests that a document names, which are least or more.
func checkNames(t *testing.T, doc string, least int, tests map[string]bool) {
	name := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w*`)
	named, holding := 0, false // in a table that says by what each row is held
	for line := range strings.Lines(readFile(t, doc)) {
		row := strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---")
		if !strings.HasPrefix(line, "|") || strings.HasSuffix(line, "| Held by |\n") {
			holding, row = strings.HasPrefix(line, "|"), false
		}
		names := name.FindAllString(line, -1)
		if holding && row && len(names) == 0 && !strings.Contains(line, "| shown by the code: ") {
			t.Errorf("%s: no test holds %q", doc, line)
		}
		for _, test := range names {
			if named++; !tests[test] {
				t.Errorf("%s names %s, which does not exist", doc, test)
			}
		}
	}
	if named < least {
		t.Errorf("%s names %d tests; are they written in another way?", doc, named)
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
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
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
