package config

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"

	"github.com/weirstream/weir/internal/feed"
)

// maxFeeds bounds how many feeds there are.
const maxFeeds = 1000

// feeds adds a row that is a mapping from names to feeds.
func (t *table) feeds(p *[]feed.Spec, name, help string) {
	named(t, p, name, help, maxFeeds, "the feed", (*file).feed,
		func(s feed.Spec) string { return fmt.Sprintf("%s (%s to %s)", s.Name, s.String(), s.Topic) }) // without passwords
}

// feed reads one feed.
func (f *file) feed(key, name string, n ast.Node) (s feed.Spec, errs []error) {
	s.Name = name
	if errs = f.wanted(key, n); len(errs) > 0 {
		return s, errs
	}
	setters, lists := map[string]func(string) error{}, []string(nil)
	for _, field := range s.Fields() {
		setters[field.Key] = setter(field.Value)
		if _, list := field.Value.(*[]string); list {
			lists = append(lists, field.Key)
		}
	}
	errs = f.fields(key, n, setters, lists...)
	if len(errs) > 0 {
		return s, errs
	}
	if err := s.Check(); err != nil {
		errs = []error{f.fault(n, key, "%w", err)}
	}
	return s, errs
}

// setter returns what reads a text into a value.
func setter(value any) func(text string) error {
	return func(text string) (err error) {
		switch p := value.(type) {
		case *string:
			*p = text
		case *[]string:
			*p = splitList(text)
		case *bool:
			*p, err = parseBool(text)
		case *int:
			*p, err = strconv.Atoi(text)
		}
		return err
	}
}

// templates are the keys whose values may begin with a brace, which YAML takes for a
// mapping.
var templates = []string{"topic", "type", "key", "id", "data", "once"}

// wanted finds templates that lack quotes.
func (f *file) wanted(key string, n ast.Node) (errs []error) {
	pairs, _ := f.pairs(key, n, "the key") // errors are found again
	for _, p := range pairs {
		if _, mapping := p.value.(ast.MapNode); mapping && slices.Contains(templates, p.key) {
			errs = append(errs, f.fault(p.value, key+"."+p.key, "a value that starts with { must be in quotes"))
		}
	}
	return errs
}
