package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFileBytes bounds a settings file.
const maxFileBytes = 1 << 20

// A file turns the nodes of one YAML file into values. It accepts the plain part
// of YAML: mappings, lists and scalars. Anchors, aliases, merge keys, tags and
// blocks of text are refused, since a settings file needs none of them and each
// can make a value differ from what one reads.
type file struct {
	path string
}

// readFile returns the content of path, which may be a pipe.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("is larger than the limit %s", FormatSize(maxFileBytes))
	}
	return data, nil
}

// cause drops the operation and the path, which the caller's error has already.
func cause(err error) error {
	var e *os.PathError
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// load sets the rows of t from YAML. Each error is an [*Error] with its line.
func (f *file) load(t *table, data []byte) []error {
	root, err := f.parse(data)
	if err != nil {
		return []error{err}
	}
	if root == nil {
		return nil
	}
	return f.walk(t, "", root, map[string]int{})
}

// parse returns the root of the only document, or nil if it is empty.
func (f *file) parse(data []byte) (ast.Node, error) {
	data = []byte(strings.TrimPrefix(string(data), "\ufeff"))
	// Duplicate keys are found by pairs, which can name both lines.
	tree, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, f.syntax(err, data)
	}
	var root ast.Node
	for _, doc := range tree.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			return nil, f.fault(doc.Body, "", "a second document starts here; a settings file has one")
		}
		root = doc.Body
	}
	if _, empty := root.(*ast.NullNode); empty {
		return nil, nil
	}
	return root, nil
}

// unquoted finds a value that starts with a character that means something to YAML.
var unquoted = regexp.MustCompile(`^\s*(?:- |[^#"']*?: )\s*([*&\[{!|>%@])`)

func (f *file) syntax(err error, data []byte) error {
	var bad yaml.Error
	if !errors.As(err, &bad) || bad.GetToken() == nil {
		return &Error{Origin: Origin{Kind: FromFile, Name: f.path}, Err: err}
	}
	at, text := bad.GetToken().Position.Line, bad.GetMessage()
	lines := strings.Split(string(data), "\n")
	if at >= 1 && at <= len(lines) {
		if m := unquoted.FindStringSubmatch(lines[at-1]); m != nil {
			return f.faultAt(at, "", "not YAML: %s; a value that starts with %s must be in quotes", text, m[1])
		}
	}
	return f.faultAt(at, "", "not YAML: %s", text)
}

// walk sets the rows below prefix. Keys may be nested (hub: {policy: all}) or
// written in one (hub.policy: all); seen has the line of each row set so far.
func (f *file) walk(t *table, prefix string, n ast.Node, seen map[string]int) []error {
	pairs, errs := f.pairs(strings.TrimSuffix(prefix, "."), n, "the key")
	for _, p := range pairs {
		name := prefix + p.key
		switch r := t.find(name); {
		case r != nil && seen[name] > 0:
			errs = append(errs, f.faultAt(p.line, name, "is already set on line %d", seen[name]))
		case r != nil:
			seen[name] = p.line
			errs = append(errs, f.set(r, p)...)
		case t.isGroup(name):
			if _, empty := p.value.(*ast.NullNode); !empty {
				errs = append(errs, f.walk(t, name+".", p.value, seen)...)
			}
		default:
			errs = append(errs, f.faultAt(p.line, "", "unknown key %q%s", name, DidYouMean(name, t.names())))
		}
	}
	return errs
}

func (f *file) set(r *row, p pair) []error {
	r.origin = Origin{Kind: FromFile, Name: f.path, Line: p.line}
	if r.node != nil {
		return r.node(f, r.Name, p.value)
	}
	texts, err := f.texts(r, p.value)
	if err == nil {
		if bad := r.set(texts); bad != nil {
			err = f.fault(p.value, r.Name, "%w", bad)
		}
	}
	if err != nil {
		return []error{err}
	}
	return nil
}

// texts returns the value of a list or of a single value, whichever r takes.
func (f *file) texts(r *row, n ast.Node) ([]string, error) {
	if r.Kind == "list" {
		return f.list(r.Name, n)
	}
	text, err := f.scalar(r.Name, n)
	return []string{text}, err
}

// fault returns an error about the setting name at the line of n.
func (f *file) fault(n ast.Node, name, format string, args ...any) error {
	return f.faultAt(line(n), name, format, args...)
}

func (f *file) faultAt(line int, name, format string, args ...any) error {
	return &Error{
		Origin:  Origin{Kind: FromFile, Name: f.path, Line: line},
		Setting: name,
		Err:     fmt.Errorf(format, args...),
	}
}
