package openapi_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/weirstream/weir/internal/openapi"
)

func load(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Document)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsOpenAPI(t *testing.T) {
	doc := load(t)
	if err := doc.Validate(context.Background()); err != nil {
		t.Error(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("the format is OpenAPI %s, want 3.1.0", doc.OpenAPI)
	}
}

// TestCodesAreThoseOfTheSource looks for the codes of problems in all code that
// answers requests.
func TestCodesAreThoseOfTheSource(t *testing.T) {
	inSource := sourceCodes(t)
	var documented []string
	for _, code := range load(t).Components.Schemas["Problem"].Value.Properties["code"].Value.Enum {
		documented = append(documented, code.(string))
	}
	if len(inSource) < 30 {
		t.Fatalf("only %d codes were found in the source; are they written in another way?", len(inSource))
	}
	for code, where := range inSource {
		if !slices.Contains(documented, code) {
			t.Errorf("%s: the code %s is not in the document", where, code)
		}
	}
	for _, code := range documented {
		if inSource[code] == "" {
			t.Errorf("no source has the code %s", code)
		}
	}
}

var isCode = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// sourceCodes returns the codes in the source, each with a place.
func sourceCodes(t *testing.T) map[string]string {
	t.Helper()
	codes := make(map[string]string)
	files := token.NewFileSet()
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			for _, x := range codesOf(n) {
				if s, err := strconv.Unquote(literal(x)); err == nil && isCode.MatchString(s) {
					codes[s] = files.Position(x.Pos()).String()
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func literal(x ast.Expr) string {
	if b, ok := x.(*ast.BasicLit); ok && b.Kind == token.STRING {
		return b.Value
	}
	return ""
}

// codesOf returns the expressions of n that may be codes:
//
//	Code: "…" in a composite; BadRequest("…", …), Conflict("…", …), writeProblem(w, status, "…", …);
//	{err, http.StatusX, "…"} in a table; constants of type Code, or whose comment begins with a status
func codesOf(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok && id.Name == "Code" {
			return []ast.Expr{n.Value}
		}
	case *ast.CallExpr:
		switch {
		case len(n.Args) > 1 && (called(n) == "BadRequest" || called(n) == "Conflict"):
			return n.Args[:1]
		case len(n.Args) > 2 && called(n) == "writeProblem":
			return n.Args[2:3]
		}
	case *ast.CompositeLit:
		if len(n.Elts) == 3 && isStatus(n.Elts[1]) {
			return n.Elts[2:]
		}
	case *ast.ValueSpec:
		id, ok := n.Type.(*ast.Ident)
		if ok && id.Name == "Code" || n.Comment != nil && statusComment.MatchString(n.Comment.Text()) {
			return n.Values
		}
	}
	return nil
}

var statusComment = regexp.MustCompile(`^[45]\d\d: `)

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

func isStatus(x ast.Expr) bool {
	s, ok := x.(*ast.SelectorExpr)
	return ok && strings.HasPrefix(s.Sel.Name, "Status")
}

// TestPathsAreThoseOfTheSource looks for the patterns that are registered, and for the
// paths of the protocols.
func TestPathsAreThoseOfTheSource(t *testing.T) {
	inSource := map[string]bool{"/v1/streams/{stream}": true} // a setting
	registered := regexp.MustCompile(`\.Handle(?:Func)?\("(?:[A-Z]+ )?(/[^"]*)"`)
	for _, pattern := range matches(t, registered, "../server/*.go", "../dashboard/*.go") {
		if pattern != "/" { // all others
			inSource[strings.TrimSuffix(pattern, "{$}")] = true
		}
	}
	named := strings.NewReplacer("/v1/topics/", "/v1/topics/{topic}", "/v1/hooks/", "/v1/hooks/{feed}", "/v1/presence/", "/v1/presence/{topic}")
	for _, path := range matches(t, regexp.MustCompile(`Path += "(/v1/[^"]*)"`), "../protocol/native/*.go", "../server/*.go") {
		inSource[named.Replace(path)] = true
	}
	documented := load(t).Paths
	if len(inSource) < 10 {
		t.Fatalf("only %d paths were found in the source; are they written in another way?", len(inSource))
	}
	for path := range inSource {
		if documented.Value(path) == nil {
			t.Errorf("%s is served, but not in the document", path)
		}
	}
	for path := range documented.Map() {
		if !inSource[path] {
			t.Errorf("%s is in the document, but not in the source", path)
		}
	}
}

// matches returns what the first group of an expression finds in files, without tests.
func matches(t *testing.T, expression *regexp.Regexp, patterns ...string) (found []string) {
	t.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", pattern, names, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range expression.FindAllSubmatch(text, -1) {
				if !strings.HasSuffix(name, "_test.go") {
					found = append(found, string(m[1]))
				}
			}
		}
	}
	return found
}

func TestServeSendsTheDocumentOnce(t *testing.T) {
	w := httptest.NewRecorder()
	openapi.Serve(w, httptest.NewRequest("GET", "/openapi.yaml", nil))
	if w.Code != http.StatusOK || w.Body.String() != string(openapi.Document) || w.Header().Get("Content-Type") != "application/yaml" {
		t.Errorf("GET: %d, %d bytes, %v", w.Code, w.Body.Len(), w.Header())
	}
	r := httptest.NewRequest("GET", "/openapi.yaml", nil)
	r.Header.Set("If-None-Match", w.Header().Get("ETag"))
	again := httptest.NewRecorder()
	openapi.Serve(again, r)
	if again.Code != http.StatusNotModified || again.Body.Len() > 0 {
		t.Errorf("GET with the ETag: %d, %d bytes, want 304", again.Code, again.Body.Len())
	}
}
