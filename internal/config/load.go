package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Variables that are no settings of the server but belong to the program.
const (
	FileVariable   = "WEIR_CONFIG" // path of the settings file
	ServerVariable = "WEIR_SERVER" // server that pub and sub talk to

	TokenVariable     = "WEIR_TOKEN"      // token or API key that they send
	TokenFileVariable = "WEIR_TOKEN_FILE" // file that holds it
)

// Input is what the user gave.
type Input struct {
	File    string              // path of the settings file; "" to look at FileVariable
	Environ []string            // "NAME=value", as from os.Environ; an empty value counts as not set
	Flags   map[string][]string // values by setting name, in the order given
}

// Loaded is the outcome of [Load].
type Loaded struct {
	Settings *Settings
	Values   []Value  // every setting, in the order of the documentation
	File     string   // the file that was read; "" for none
	Warnings []string // variables that look like settings but are none
}

// A Value is one setting as it came out.
type Value struct {
	Name   string
	Text   string // as it would be written
	JSON   any    // for encoding/json
	Origin Origin
}

// Load reads all settings. The error joins one [*Error] per mistake, in the
// order file, variables, flags, combinations; use [Errors] to list them.
func Load(in Input) (*Loaded, error) {
	t := newTable(new(Settings))
	env := variables(in.Environ)
	path := in.File
	if path == "" {
		path = env[FileVariable]
	}
	var errs []error
	if path != "" {
		errs = t.loadFile(path)
	}
	errs = append(errs, t.loadVariables(env)...)
	errs = append(errs, t.loadFlags(in.Flags)...)
	if len(errs) == 0 {
		errs = t.finish()
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Loaded{Settings: t.settings, Values: t.values(), File: path, Warnings: t.unknownVariables(env)}, nil
}

// Errors returns the mistakes that an error of [Load] holds, or nil if err is
// another error.
func Errors(err error) []*Error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return nil
	}
	var list []*Error
	for _, err := range joined.Unwrap() {
		if e, ok := errors.AsType[*Error](err); ok {
			list = append(list, e)
		}
	}
	return list
}

func variables(environ []string) map[string]string {
	env := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "WEIR_") && value != "" {
			env[name] = value
		}
	}
	return env
}

func (t *table) loadFile(path string) []error {
	data, err := readFile(path)
	if err != nil {
		return []error{&Error{Origin: Origin{Kind: FromFile, Name: path}, Err: err}}
	}
	f := &file{path: path}
	return f.load(t, data)
}

func (t *table) loadVariables(env map[string]string) (errs []error) {
	for _, r := range t.rows {
		if text := env[r.Variable()]; text != "" && !r.FileOnly {
			errs = append(errs, r.assign([]string{text}, Origin{Kind: FromVariable, Name: r.Variable()})...)
		}
	}
	return errs
}

func (t *table) loadFlags(flags map[string][]string) (errs []error) {
	for _, r := range t.rows {
		if texts := flags[r.Name]; len(texts) > 0 {
			errs = append(errs, r.assign(texts, Origin{Kind: FromFlag, Name: "--" + r.Name})...)
		}
	}
	return errs
}

func (r *row) assign(texts []string, from Origin) []error {
	if r.Kind == "list" {
		texts = splitList(strings.Join(texts, ","))
	}
	r.origin = from
	if err := r.set(texts); err != nil {
		return []error{&Error{Origin: from, Setting: r.Name, Err: err}}
	}
	return nil
}

// finish fills what depends on other settings and checks combinations.
func (t *table) finish() (errs []error) {
	s := t.settings
	for _, d := range t.drafts {
		s.History.Topics = append(s.History.Topics, d.rule(s))
	}
	if s.History.TotalBytes == 0 {
		s.History.TotalBytes = 256 * mebi
		if s.Data != "" {
			s.History.TotalBytes = 8 * gibi
		}
	}
	errs = append(t.checkListeners(), t.checkAccess()...)
	t.settleLimits()
	if s.CORS.Credentials && slices.Contains(s.CORS.Origins, "*") {
		errs = append(errs, t.blame([]string{"cors.credentials", "cors.origins"},
			"cors.credentials cannot be combined with the origin *; list the origins"))
	}
	if s.Hub.MaxMessage > s.History.TotalBytes {
		errs = append(errs, t.blame([]string{"hub.max-message", "history.total-bytes"},
			"hub.max-message %s is above history.total-bytes %s", FormatSize(s.Hub.MaxMessage), FormatSize(s.History.TotalBytes)))
	}
	if s.Drain.Window > s.Drain.Timeout {
		errs = append(errs, t.blame([]string{"drain.window", "drain.timeout"},
			"drain.window %s is longer than drain.timeout %s", FormatDuration(s.Drain.Window), FormatDuration(s.Drain.Timeout)))
	}
	return errs
}

// blame returns an error about a combination of settings, placed where the
// last of them was given.
func (t *table) blame(names []string, format string, args ...any) error {
	at := t.find(names[0])
	for _, name := range names[1:] {
		if r := t.find(name); r.origin.Kind > at.origin.Kind {
			at = r
		}
	}
	return &Error{Origin: at.origin, Setting: at.Name, Err: fmt.Errorf(format, args...), Conflict: true}
}

func (t *table) values() []Value {
	values := make([]Value, len(t.rows))
	for i, r := range t.rows {
		values[i] = Value{Name: r.Name, Text: r.text(), JSON: r.json(), Origin: r.origin}
	}
	return values
}

func (t *table) unknownVariables(env map[string]string) (warnings []string) {
	known := []string{FileVariable, ServerVariable, TokenVariable, TokenFileVariable}
	for _, r := range t.rows {
		if !r.FileOnly {
			known = append(known, r.Variable())
		} else if env[r.Variable()] != "" {
			warnings = append(warnings, fmt.Sprintf("%s is ignored: %s can be set in the file only", r.Variable(), r.Name))
			delete(env, r.Variable())
		}
	}
	for _, name := range sortedKeys(env) {
		if !slices.Contains(known, name) && !fromKubernetes(name) {
			warnings = append(warnings, fmt.Sprintf("%s is not a setting and is ignored%s", name, DidYouMean(name, known)))
		}
	}
	return warnings
}

// fromKubernetes reports whether a cluster sets the variable by itself in every
// container when a service there is called weir.
func fromKubernetes(name string) bool {
	return name == "WEIR_PORT" || strings.HasPrefix(name, "WEIR_PORT_") || strings.HasPrefix(name, "WEIR_SERVICE_")
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
