package feed

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirstream/weir/internal/topic"
)

// A Template makes a text of a message: "orders/{key}". In braces it names a part of the
// message:
//
//	{body}           all of its body
//	{json}           the same, which must be JSON
//	{json.order.id}  a value in it, by names and, in arrays, numbers from 0
//	{key}            routing key, channel, or what else the source sorts messages by
//	{id}             by which the source names the message
//	{header.x-type}  what the sender added; {field.x-type} is the same
//	{property.type}  what the protocol says of the message
//	{feed}           the name of the feed
//
// A part that the message does not have is an error, unless a question mark makes it an
// empty text: {header.x-type?}. {{ and }} are braces.
//
// A text after | says what to do with the value. {json.name|json} writes it as a JSON
// value, a string with its quotes.
//
// In a topic, a value lies within one segment: one with a slash is an error, so that who
// sends a message cannot leave the prefix that the template gives it. {key|path} lets
// slashes through, and {key|dots} makes slashes of dots: "order.created" becomes
// "order/created".
type Template struct {
	parts   []part
	segment bool // values lie within a segment of a topic
}

// A part is a literal text, or a reference to a part of a message.
type part struct {
	literal  string // if it is no reference
	source   string // "" if it is none; else "body", "json", "key", "id", "header", "property" or "feed"
	name     string // what follows the source
	optional bool
	as       string // "", "json", "path" or "dots"
}

// ParseTemplate reads a template; forTopic says that it is that of a topic.
func ParseTemplate(text string, forTopic bool) (*Template, error) {
	t := &Template{segment: forTopic}
	var literal strings.Builder
	for rest := text; rest != ""; {
		switch {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			literal.WriteByte(rest[0])
			rest = rest[2:]
		case rest[0] == '}':
			return nil, fmt.Errorf("template %q: } at byte %d closes nothing; write }} for a brace", text, len(text)-len(rest))
		case rest[0] == '{':
			ref, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				return nil, fmt.Errorf("template %q: { at byte %d is not closed; write {{ for a brace", text, len(text)-len(rest))
			}
			p, err := parseReference(ref, forTopic)
			if err != nil {
				return nil, fmt.Errorf("template %q: %w", text, err)
			}
			t.literal(&literal)
			t.parts = append(t.parts, p)
			rest = after
		default:
			literal.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	t.literal(&literal)
	return t, nil
}

func (t *Template) literal(b *strings.Builder) {
	if b.Len() > 0 {
		t.parts = append(t.parts, part{literal: b.String()})
		b.Reset()
	}
}

func parseReference(ref string, forTopic bool) (p part, err error) {
	what, as, _ := strings.Cut(ref, "|")
	what, p.optional = strings.CutSuffix(what, "?")
	p.source, p.name, _ = strings.Cut(what, ".")
	if p.as = as; as != "" && as != "json" && (!forTopic || as != "path" && as != "dots") {
		return p, fmt.Errorf("{%s}: %q is not known after |: want json, or path or dots in a topic", ref, as)
	}
	if p.source == "field" {
		p.source = "header"
	}
	switch p.source {
	case "body", "key", "id", "feed":
		if p.name != "" {
			return p, fmt.Errorf("{%s}: %s has no parts", ref, p.source)
		}
	case "header", "property":
		if p.name == "" {
			return p, fmt.Errorf("{%s}: want a name, as in {%s.NAME}", ref, p.source)
		}
	case "json":
		if slices.Contains(strings.Split(p.name, "."), "") && what != "json" {
			return p, fmt.Errorf("{%s}: a part of the path is empty", ref)
		}
	default:
		return p, fmt.Errorf("{%s} is not known: want body, json, json.PATH, key, id, header.NAME, field.NAME, property.NAME or feed", ref)
	}
	return p, nil
}

// errMissing says that a message lacks what a template wants.
var errMissing = errors.New("the message has none")

// render makes the text.
func (t *Template) render(v *view) (string, error) {
	if len(t.parts) == 1 {
		return t.value(&t.parts[0], v)
	}
	var b strings.Builder
	for i := range t.parts {
		s, err := t.value(&t.parts[i], v)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// value returns the text of one part.
func (t *Template) value(p *part, v *view) (string, error) {
	if p.source == "" {
		return p.literal, nil
	}
	s, isJSON, err := v.find(p)
	switch {
	case errors.Is(err, errMissing) && p.optional:
		return "", nil
	case err != nil:
		return "", fmt.Errorf("%s: %w", p, err)
	}
	switch {
	case t.segment && isJSON && (s[0] == '{' || s[0] == '['):
		return "", fmt.Errorf("%s: %.100q is no plain value", p, s)
	case p.as == "json" && !isJSON:
		s = string(AppendText(nil, s))
	case p.as != "json" && isJSON:
		s = unquote(s)
	}
	if !t.segment || p.as == "path" {
		return s, nil
	}
	if strings.Contains(s, "/") {
		return "", fmt.Errorf("%s: %.100q has a slash, and would be more than a segment", p, s)
	}
	if p.as == "dots" {
		s = strings.ReplaceAll(s, ".", "/")
	}
	return s, nil
}

// String is the part as it is written in a template.
func (p *part) String() string {
	s := p.source
	if p.name != "" {
		s += "." + p.name
	}
	return "{" + s + "}"
}

// A view is a message with what has been found out about it.
type view struct {
	*Message
	feed string
	body string // as text, once it was asked for
	root object // its body as a JSON object, once it was asked for
}

// find returns a part of the message, and whether that is JSON.
func (v *view) find(p *part) (s string, isJSON bool, err error) {
	found := true
	switch p.source {
	case "body":
		s = v.text()
	case "feed":
		s = v.feed
	case "key":
		s, found = v.Key, v.Key != ""
	case "id":
		s, found = v.ID, v.ID != ""
	case "header":
		s, found = v.Headers[p.name]
	case "property":
		s, found = v.Properties[p.name]
	case "json":
		s, err = v.json(p.name)
		return s, true, err
	}
	if !found {
		return "", false, errMissing
	}
	return s, false, nil
}

func (v *view) text() string {
	if v.body == "" {
		v.body = string(v.Body)
	}
	return v.body
}

const reservedTopics = "weir/" // that only the server itself publishes to

var errReserved = fmt.Errorf("the prefix %s is reserved for the server", reservedTopics)

func reserved(name string) bool { return strings.HasPrefix(name+"/", reservedTopics) }

// checkTopic reports why nobody could ever publish to a topic that t makes, as far as
// that is in the template itself.
func (t *Template) checkTopic() error {
	if len(t.parts) == 1 && t.parts[0].source == "" {
		if err := topic.Check(t.parts[0].literal); err != nil {
			return err
		}
	}
	if first := t.parts[0]; strings.HasPrefix(first.literal, reservedTopics) || len(t.parts) == 1 && reserved(first.literal) {
		return errReserved
	}
	return nil
}
