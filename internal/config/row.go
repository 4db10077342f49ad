package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/weirstream/weir/internal/origin"
)

// A Row describes one setting.
type Row struct {
	Name     string   // "hub.max-message"; also the flag without its dashes
	Group    string   // title of the group it belongs to
	Kind     string   // "duration", "size", "number", "bool", "text", "list", "rules" or "mapping"
	Default  string   // as it would be written; "" for an empty list
	Limits   string   // "1s to 1h, or 0"; "" if nothing limits it
	Choices  []string // all allowed values, if there are only a few
	Help     string   // lower case, no full stop
	FileOnly bool     // it has no flag and no variable
	Secret   bool     // it has no flag, and its value is never shown
}

// Variable returns the name of the environment variable that sets the row.
func (r Row) Variable() string {
	return "WEIR_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(r.Name))
}

// Rows returns every setting in the order of the documentation.
func Rows() []Row {
	t := newTable(new(Settings))
	rows := make([]Row, len(t.rows))
	for i, r := range t.rows {
		rows[i] = r.Row
	}
	return rows
}

// A row is a Row bound to a field of one Settings.
type row struct {
	Row
	origin Origin

	set  func(texts []string) error                    // nil: file only; texts is not empty unless Kind is "list"
	node func(f *file, key string, n ast.Node) []error // from the file; nil: read texts and call set
	text func() string                                 // the value as it would be written
	json func() any                                    // the value for encoding/json
}

// A table holds the rows of one Settings while it is filled.
type table struct {
	settings *Settings
	rows     []*row
	groups   []group
	drafts   []ruleDraft // history.topics before defaults are known
}

// A group is a run of rows under one title; prefix is their common first part.
type group struct {
	prefix, title, intro string
}

func newTable(s *Settings) *table {
	t := &table{settings: s}
	t.declare(s)
	for _, r := range t.rows {
		r.Default = r.text()
	}
	return t
}

func (t *table) find(name string) *row {
	for _, r := range t.rows {
		if r.Name == name {
			return r
		}
	}
	return nil
}

func (t *table) names() []string {
	names := make([]string, len(t.rows))
	for i, r := range t.rows {
		names[i] = r.Name
	}
	return names
}

func (t *table) isGroup(name string) bool {
	for _, g := range t.groups {
		if g.prefix == name && name != "" {
			return true
		}
	}
	return false
}

func (t *table) group(prefix, title, intro string) {
	t.groups = append(t.groups, group{prefix, title, intro})
}

func (t *table) add(r *row) {
	r.Group = t.groups[len(t.groups)-1].title
	t.rows = append(t.rows, r)
}

// scalar adds a row whose value is one text.
func scalar[T any](t *table, p *T, value T, r Row, parse func(string) (T, error), show func(T) string, json func(T) any) {
	*p = value
	t.add(&row{
		Row: r,
		set: func(texts []string) error {
			v, err := parse(texts[len(texts)-1]) // of a flag given twice the last counts
			if err == nil {
				*p = v
			}
			return err
		},
		text: func() string { return show(*p) },
		json: func() any { return json(*p) },
	})
}

func (t *table) duration(p *time.Duration, name string, value time.Duration, w within[time.Duration], help string) {
	scalar(t, p, value, Row{Name: name, Kind: "duration", Limits: w.describe(FormatDuration), Help: help},
		func(text string) (time.Duration, error) { return parseDuration(text, w) },
		FormatDuration, func(v time.Duration) any { return FormatDuration(v) })
}

func (t *table) size(p *int64, name string, value int64, w within[int64], help string) {
	scalar(t, p, value, Row{Name: name, Kind: "size", Limits: w.describe(FormatSize), Help: help},
		func(text string) (int64, error) { return parseSize(text, w) },
		FormatSize, func(v int64) any { return FormatSize(v) })
}

func (t *table) number(p *int, name string, value int, w within[int], help string) {
	scalar(t, p, value, Row{Name: name, Kind: "number", Limits: w.describe(strconv.Itoa), Help: help},
		func(text string) (int, error) { return parseNumber(text, w) },
		strconv.Itoa, func(v int) any { return v })
}

func (t *table) flag(p *bool, name string, value bool, help string) {
	scalar(t, p, value, Row{Name: name, Kind: "bool", Help: help},
		parseBool, strconv.FormatBool, func(v bool) any { return v })
}

// text adds a row whose value is any text that check accepts.
func (t *table) text(p *string, name, value string, check func(string) error, help string) {
	same := func(text string) string { return text }
	scalar(t, p, value, Row{Name: name, Kind: "text", Help: help},
		func(text string) (string, error) { return text, check(text) }, same, func(v string) any { return v })
}

// secret adds a row whose value is not for other eyes: flags are seen by all users
// of a machine.
func (t *table) secret(p *string, name string, check func(string) error, help string) {
	hidden := func(v string) string {
		if v == "" {
			return ""
		}
		return "(set)"
	}
	scalar(t, p, "", Row{Name: name, Kind: "text", Help: help, Secret: true},
		func(text string) (string, error) { return text, check(text) }, hidden, func(v string) any { return hidden(v) })
}

func (t *table) fraction(p *float64, name string, value float64, help string) {
	scalar(t, p, value, Row{Name: name, Kind: "number", Limits: "0 to 1", Help: help}, parseFraction,
		func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }, func(v float64) any { return v })
}

// records adds a row that is a list of mappings. It can be set in the file only.
func records[T any](t *table, p *[]T, name, help string, read func(f *file, key string, n ast.Node) (T, []error), show func(T) string) {
	t.add(&row{
		Row: Row{Name: name, Kind: "rules", Help: help, FileOnly: true},
		node: func(f *file, key string, n ast.Node) (errs []error) {
			list, ok := n.(*ast.SequenceNode)
			if !ok {
				return []error{f.fault(n, key, "takes a list of mappings, not %s", describe(n))}
			}
			for i, item := range list.Values {
				v, more := read(f, fmt.Sprintf("%s[%d]", key, i), item)
				if errs = append(errs, more...); len(more) == 0 {
					*p = append(*p, v)
				}
			}
			return errs
		},
		text: func() string { return strings.Join(shown(*p, show), ",") },
		json: func() any { return shown(*p, show) },
	})
}

// named adds a row that is a mapping from names to at most most values; what says what one
// is. It can be set in the file only.
func named[T any](t *table, p *[]T, name, help string, most int, what string, read func(f *file, key, name string, n ast.Node) (T, []error), show func(T) string) {
	t.add(&row{
		Row: Row{Name: name, Kind: "mapping", Help: help, FileOnly: true},
		node: func(f *file, key string, n ast.Node) []error {
			pairs, errs := f.pairs(key, n, what)
			if len(pairs) > most {
				return append(errs, f.fault(n, key, "has %d entries, limit %d", len(pairs), most))
			}
			for _, one := range pairs {
				v, more := read(f, key+"."+one.key, one.key, one.value)
				if errs = append(errs, more...); len(more) == 0 {
					*p = append(*p, v)
				}
			}
			return errs
		},
		text: func() string { return strings.Join(shown(*p, show), ",") },
		json: func() any { return shown(*p, show) },
	})
}

func shown[T any](list []T, show func(T) string) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = show(v)
	}
	return texts
}

func (t *table) choice(p *string, name, value string, choices []string, help string) {
	scalar(t, p, value, Row{Name: name, Kind: "text", Choices: choices, Limits: strings.Join(choices, ", "), Help: help},
		func(text string) (string, error) { return parseChoice(text, choices) },
		func(v string) string { return v }, func(v string) any { return v })
}

// list adds a row of several texts. check looks at one of them.
func (t *table) list(p *[]string, name, help string, check func(string) error) {
	t.add(&row{
		Row: Row{Name: name, Kind: "list", Help: help},
		set: func(texts []string) error {
			for _, text := range texts {
				if err := check(text); err != nil {
					return err
				}
			}
			*p = append([]string(nil), texts...) // nil if there is none
			return nil
		},
		text: func() string { return strings.Join(*p, ",") },
		json: func() any { return append([]string{}, *p...) },
	})
}

func (t *table) origins(p *[]string, name, help string) {
	t.list(p, name, help, origin.Check)
}

// taken are paths, each with a slash at its end, that the server has other uses for.
var taken = []string{"/v1/topics/", "/v1/events/", "/v1/tickets/", "/v1/connections/", "/v1/presence/", "/v1/hooks/", "/.well-known/", "/openapi.yaml/", "/reload/", "/healthz/", "/readyz/", "/version/", "/metrics/", "/assets/", "/demo/", "/favicon.ico/"}

// checkPrefix accepts "", and the beginning of paths that are free.
func checkPrefix(text string) error {
	if text == "" {
		return nil
	}
	if !plainPrefix.MatchString(text) || strings.Contains(text, "/./") || strings.Contains(text, "/../") {
		return fmt.Errorf("%q is not the beginning of a path: write it like /v1/streams/, with letters, digits and -._~ between the slashes", text)
	}
	for _, path := range taken {
		if strings.HasPrefix(path, text) || strings.HasPrefix(text, path) {
			return fmt.Errorf("%q is in the way of %s, which the server serves already", text, strings.TrimSuffix(path, "/"))
		}
	}
	return nil
}

var plainPrefix = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+/$`)
