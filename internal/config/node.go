package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// A pair is one entry of a mapping.
type pair struct {
	key   string
	line  int
	value ast.Node
}

// pairs returns the entries of the mapping n in order. A key that occurs twice
// is an error that names both lines; what says what the key is.
func (f *file) pairs(name string, n ast.Node, what string) (pairs []pair, errs []error) {
	m, ok := n.(ast.MapNode)
	if !ok {
		return nil, []error{f.fault(n, name, "takes keys and values, not %s", describe(n))}
	}
	lines := map[string]int{}
	for it := m.MapRange(); it.Next(); {
		key, plain := it.Key().(ast.ScalarNode)
		if _, merge := it.Key().(*ast.MergeKeyNode); merge || !plain {
			errs = append(errs, f.fault(it.Key(), name, "only plain keys are supported, not %s", describe(it.Key())))
			continue
		}
		text, at := key.GetToken().Value, line(key)
		if first, twice := lines[text]; twice {
			errs = append(errs, f.faultAt(at, name, "%s %q is on line %d and again on line %d", what, text, first, at))
			continue
		}
		lines[text] = at
		pairs = append(pairs, pair{text, at, it.Value()})
	}
	return pairs, errs
}

// fields reads a small mapping whose values are scalars, one function per key. Those
// named in lists may be lists, which are handed over with commas.
func (f *file) fields(name string, n ast.Node, set map[string]func(string) error, lists ...string) []error {
	pairs, errs := f.pairs(name, n, "the key")
	for _, p := range pairs {
		put := set[p.key]
		if put == nil {
			errs = append(errs, f.faultAt(p.line, name, "unknown key %q%s", p.key, DidYouMean(p.key, sortedKeys(set))))
			continue
		}
		text, err := f.field(name+"."+p.key, p.value, slices.Contains(lists, p.key))
		if err == nil {
			if bad := put(text); bad != nil {
				err = f.fault(p.value, name+"."+p.key, "%w", bad)
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (f *file) field(name string, n ast.Node, list bool) (string, error) {
	if !list {
		return f.scalar(name, n)
	}
	texts, err := f.list(name, n)
	return strings.Join(texts, ","), err
}

// list returns the scalars of a list, or a scalar cut at its commas.
func (f *file) list(name string, n ast.Node) ([]string, error) {
	items, ok := n.(*ast.SequenceNode)
	if !ok {
		text, err := f.scalar(name, n)
		return splitList(text), err
	}
	texts := make([]string, 0, len(items.Values))
	for _, item := range items.Values {
		text, err := f.scalar(name, item)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// scalar returns the text of a plain or quoted value as it is written.
func (f *file) scalar(name string, n ast.Node) (string, error) {
	switch n := n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, nil
	case *ast.NullNode:
		return "", f.fault(n, name, "has no value")
	}
	return "", f.fault(n, name, "takes a plain value, not %s", describe(n))
}

func describe(n ast.Node) string {
	switch n.(type) {
	case ast.MapNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.LiteralNode:
		return "a block of text"
	case *ast.AnchorNode:
		return "an anchor (put a value that starts with & in quotes)"
	case *ast.AliasNode:
		return "an alias (put a value that starts with * in quotes)"
	case *ast.TagNode:
		return "a tag (put a value that starts with ! in quotes)"
	case *ast.MergeKeyNode:
		return "a merge key"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return fmt.Sprintf("%q", n.GetToken().Value)
	}
	return "a value of this kind"
}

func line(n ast.Node) int { return n.GetToken().Position.Line }
