package weir_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/weirstream/weir"

// A level is one row of the table in ARCHITECTURE.md.
type level struct {
	number int
	public bool
}

// A goPackage is the code of one directory, for all systems, without its tests.
type goPackage struct {
	name    string
	files   []*ast.File
	imports []string // sorted, each once
}

// TestImportsPointDownward holds the import table of ARCHITECTURE.md true.
func TestImportsPointDownward(t *testing.T) {
	levels := readLevels(t)
	packages := readPackages(t)
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		from, listed := levels[dir]
		if !listed {
			t.Errorf("%s is not in the table of ARCHITECTURE.md: add a row with its level", dir)
			continue
		}
		for _, imported := range inModule(packages[dir].imports) {
			if to, listed := levels[imported]; listed && to.number >= from.number {
				t.Errorf("%s (level %d) -> %s (level %d): a package imports only lower levels", dir, from.number, imported, to.number)
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(levels)) {
		if _, exists := packages[dir]; !exists {
			t.Errorf("ARCHITECTURE.md lists %s, which has no Go code: delete the row", dir)
		}
	}
}

// TestContributingShowsTheSameLevels compares the short table of CONTRIBUTING.md,
// with rows such as "3  hub", with the one of ARCHITECTURE.md.
func TestContributingShowsTheSameLevels(t *testing.T) {
	want := make(map[string]int)
	for dir, l := range readLevels(t) {
		if dir != "." {
			want[dir] = l.number
		}
	}
	got := make(map[string]int)
	for _, row := range regexp.MustCompile(`(?m)^(\d)  (.+)$`).FindAllStringSubmatch(readFile(t, "CONTRIBUTING.md"), -1) {
		for _, dir := range strings.Fields(row[2]) {
			got[dir], _ = strconv.Atoi(row[1])
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("CONTRIBUTING.md has the levels\n%v\nARCHITECTURE.md has\n%v", got, want)
	}
}

// TestPublicPackagesNeedOnlyTheStandardLibrary follows the imports of each public
// package through the module.
func TestPublicPackagesNeedOnlyTheStandardLibrary(t *testing.T) {
	packages := readPackages(t)
	for dir, l := range readLevels(t) {
		if l.public == internal(dir) {
			t.Errorf("ARCHITECTURE.md: %s: bold is %v, but internal is %v", dir, l.public, internal(dir))
		}
		if l.public {
			checkForeign(t, packages, dir, dir)
		}
	}
}

// checkForeign reports what dir, which is reached by the arrows in way, imports
// from elsewhere.
func checkForeign(t *testing.T, packages map[string]*goPackage, dir, way string) {
	p := packages[dir]
	if p == nil {
		return // TestImportsPointDownward has said so
	}
	for _, imported := range p.imports {
		first, _, _ := strings.Cut(imported, "/")
		foreign := strings.Contains(first, ".") || imported == "C"
		if foreign && !within(imported, module) && !within(imported, "golang.org/x/sys") {
			t.Errorf("%s -> %s: a public package needs only the standard library and golang.org/x/sys", way, imported)
		}
	}
	for _, d := range inModule(p.imports) {
		checkForeign(t, packages, d, way+" -> "+d)
	}
}

// TestEveryPackageSaysWhatItIsFor wants one package comment, in the form that go
// doc shows.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for dir, p := range readPackages(t) {
		var comments []string
		for _, f := range p.files {
			if f.Doc != nil {
				comments = append(comments, f.Doc.Text())
			}
		}
		switch {
		case len(comments) != 1:
			t.Errorf("%s has %d package comments, want 1", dir, len(comments))
		case p.name != "main" && !strings.HasPrefix(comments[0], "Package "+p.name+" "):
			t.Errorf("%s: the package comment does not begin with %q", dir, "Package "+p.name+" ")
		}
	}
}

// TestArchitectureNamesExist looks for every `package.Name` of ARCHITECTURE.md in
// the code.
func TestArchitectureNamesExist(t *testing.T) {
	declared := make(map[string]bool)
	for dir, p := range readPackages(t) {
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && ast.IsExported(id.Name) {
					declared[path.Base(dir)+"."+id.Name] = true
				}
				return true
			})
		}
	}
	names := regexp.MustCompile("`([a-z]+\\.[A-Z][A-Za-z]*)").FindAllStringSubmatch(readFile(t, "ARCHITECTURE.md"), -1)
	if len(names) == 0 {
		t.Fatal("ARCHITECTURE.md names no function")
	}
	for _, m := range names {
		if !declared[m[1]] {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", m[1])
		}
	}
}

// readLevels reads the table of packages, with rows such as
//
//	| 3 | **`hub`** | topics |
func readLevels(t *testing.T) map[string]level {
	t.Helper()
	levels := make(map[string]level)
	row := regexp.MustCompile("(?m)^\\| (\\d+) \\| (\\*\\*)?`([^`]+)`(\\*\\*)? \\| ")
	for _, m := range row.FindAllStringSubmatch(readFile(t, "ARCHITECTURE.md"), -1) {
		number, err := strconv.Atoi(m[1])
		if _, twice := levels[m[3]]; twice || err != nil {
			t.Errorf("ARCHITECTURE.md: row of %s: given twice, or a bad level: %v", m[3], err)
		}
		levels[m[3]] = level{number: number, public: m[2] != ""}
	}
	if len(levels) == 0 {
		t.Fatal("ARCHITECTURE.md has no table of packages")
	}
	return levels
}

// readPackages parses the Go files of the module, those for other systems too,
// and returns the packages by directory. Nested modules are not part of it.
func readPackages(t *testing.T) map[string]*goPackage {
	t.Helper()
	packages := make(map[string]*goPackage)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && outside(name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(name))
		if packages[dir] == nil {
			packages[dir] = &goPackage{name: file.Name.Name}
		}
		packages[dir].add(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// outside reports whether a directory is no part of the module's code.
func outside(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func (p *goPackage) add(file *ast.File) {
	p.files = append(p.files, file)
	for _, spec := range file.Imports {
		p.imports = append(p.imports, strings.Trim(spec.Path.Value, "\"`"))
	}
	slices.Sort(p.imports)
	p.imports = slices.Compact(p.imports)
}

// inModule returns the directories of the imports that are packages of this module.
func inModule(imports []string) []string {
	var dirs []string
	for _, imported := range imports {
		switch {
		case imported == module:
			dirs = append(dirs, ".")
		case within(imported, module):
			dirs = append(dirs, strings.TrimPrefix(imported, module+"/"))
		}
	}
	return dirs
}

// within reports whether an import path is root or lies below it.
func within(imported, root string) bool {
	return imported == root || strings.HasPrefix(imported, root+"/")
}

// internal reports whether the package in dir cannot be imported by others.
func internal(dir string) bool {
	first, _, _ := strings.Cut(dir, "/")
	return first == "internal" || first == "cmd" || first == "test" || first == "."
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
