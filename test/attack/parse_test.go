package attack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Parsers that are stricter than those of clients, and independent of weir's own.

// A message is a JSON line of a reader.
type message struct {
	ID, Topic, Type, Key, Time, Data string
	Topics                           []string
	Base64                           bool
	Ready, Drain, Gap                json.RawMessage
}

// line reads a line of NDJSON. Fields that are not known fail the test.
func (s *server) line(text string) message {
	s.t.Helper()
	m, err := parseLine(text)
	if err != nil {
		s.t.Errorf("line %q: %v", text, err)
	}
	return m
}

func parseLine(text string) (m message, err error) {
	if !utf8.ValidString(text) || strings.ContainsAny(strings.TrimSuffix(text, "\n"), "\r\n") {
		return m, errors.New("not one line of UTF-8")
	}
	if text == "\n" { // a sign of life
		return m, nil
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return m, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return m, errors.New("more than one value")
	}
	return m, nil
}

// An event is one event of an event stream.
type event struct{ id, kind, data string }

// parseEvents reads an event stream that ends with a whole event. Lines that weir does not
// write are errors, also if clients ignore them.
func parseEvents(text string) (all []event, err error) {
	if !utf8.ValidString(text) || strings.Contains(text, "\r") {
		return nil, errors.New("the stream has CR or what is no UTF-8")
	}
	if !strings.HasSuffix(text, "\n\n") {
		return nil, fmt.Errorf("the stream ends with %q", text[max(0, len(text)-20):])
	}
	for block := range strings.SplitSeq(strings.TrimSuffix(text, "\n\n"), "\n\n") {
		e, has, err := parseEvent(block)
		if err != nil {
			return all, fmt.Errorf("block %q: %w", block, err)
		}
		if has {
			all = append(all, e)
		}
	}
	return all, nil
}

// parseEvent reads one block; has says whether it has data.
func parseEvent(block string) (e event, has bool, err error) {
	seen := make(map[string]bool)
	var data []string
	for line := range strings.SplitSeq(block, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok {
			name, value, ok = strings.Cut(line, ":")
		}
		switch {
		case name == "" && value == "":
			continue // a comment, as a sign of life
		case !ok || name != "data" && (seen[name] || strings.Contains(value, "\x00")):
			return e, false, fmt.Errorf("line %q", line)
		case name == "id":
			e.id = value
		case name == "event":
			e.kind = value
		case name == "data":
			data, has = append(data, value), true
		case name != "retry" || !regexp.MustCompile(`^\d+$`).MatchString(value):
			return e, false, fmt.Errorf("field %q", line)
		}
		seen[name] = true
	}
	e.data = strings.Join(data, "\n")
	return e, has, nil
}

var (
	// As log/slog writes them.
	textLine   = regexp.MustCompile(`^time=\S+ level=[A-Z]+ msg=(?:"(?:[^"\\\n]|\\.)*"|[^\s"=]+)((?: [a-z_]+=(?:"(?:[^"\\\n]|\\.)*"|[^\s"=]*))*)$`)
	textField  = regexp.MustCompile(` ([a-z_]+)=`)
	metricLine = regexp.MustCompile(`^(?:# (?:HELP|TYPE) [a-z_]+ [ -~]+|[a-z][a-z0-9_]*(?:\{[a-z_]+="[ -~]*"(?:,[a-z_]+="[ -~]*")*\})? [-+0-9.eE]+|[a-z0-9_]+(?:\{[^{}\n]*\})? \+Inf)$`)
)

// logFields are those that each line of the access log has. It may have others, but none
// that a client could want to forge, and none twice.
var logFields = []string{"method", "path", "status", "seconds", "bytes", "remote", "end"}

func checkFields(fields []string) error {
	for i, name := range fields {
		if slices.Contains(fields[:i], name) || slices.Contains([]string{"time", "level", "msg"}, name) {
			return fmt.Errorf("field %s is there twice", name)
		}
	}
	for _, name := range logFields {
		if !slices.Contains(fields, name) {
			return fmt.Errorf("no field %s", name)
		}
	}
	return nil
}

// parseLog returns how many lines are of the access log. All must be whole lines of the
// given form that the server has written.
func parseLog(t *testing.T, text, form string) (requests int) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		var fields []string
		msg := ""
		if form == "json" {
			fields, msg = jsonFields(t, line)
		} else {
			fields, msg = textFields(t, line)
		}
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("log line %q has other than printable ASCII", line)
		}
		if msg == "request" || msg == "stream" {
			requests++
			if err := checkFields(fields); err != nil {
				t.Errorf("log line %q: %v", line, err)
			}
		}
	}
	return requests
}

func textFields(t *testing.T, line string) (fields []string, msg string) {
	t.Helper()
	m := textLine.FindStringSubmatch(line)
	if m == nil {
		t.Errorf("log line %q", line)
		return nil, ""
	}
	quoted := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	for _, f := range textField.FindAllStringSubmatch(quoted.ReplaceAllString(m[1], ""), -1) {
		fields = append(fields, f[1])
	}
	_, msg, _ = strings.Cut(line, " msg=")
	msg, _, _ = strings.Cut(msg, " ")
	return fields, msg
}

func jsonFields(t *testing.T, line string) (fields []string, msg string) {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(line), &all); err != nil {
		t.Errorf("log line %q: %v", line, err)
		return nil, ""
	}
	dec := json.NewDecoder(strings.NewReader(line))
	_, _ = dec.Token() // {, as Unmarshal has found
	for dec.More() {
		name, _ := dec.Token()
		var value any
		_ = dec.Decode(&value)
		switch name {
		case "time", "level":
		case "msg":
			msg = fmt.Sprint(value)
		default:
			fields = append(fields, fmt.Sprint(name))
		}
	}
	return fields, msg
}
