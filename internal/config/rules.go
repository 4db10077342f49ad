package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/weirstream/weir/internal/topic"
)

// A ruleDraft is a rule of history.topics as the file gives it; nil is left out.
type ruleDraft struct {
	topic       string
	maxMessages *int
	maxAge      *time.Duration
	maxBytes    *int64
	durability  *string
	policy      *string
}

// rule fills what was left out from the values for all other topics.
func (d ruleDraft) rule(s *Settings) TopicRule {
	h := &s.History
	r := TopicRule{Topic: d.topic, MaxMessages: h.MaxMessages, MaxAge: h.MaxAge, MaxBytes: h.MaxBytes, Durability: s.Disk.Durability, Policy: s.Hub.Policy}
	if d.maxMessages != nil {
		r.MaxMessages = *d.maxMessages
	}
	if d.maxAge != nil {
		r.MaxAge = *d.maxAge
	}
	if d.maxBytes != nil {
		r.MaxBytes = *d.maxBytes
	}
	if d.durability != nil {
		r.Durability = *d.durability
	}
	if d.policy != nil {
		r.Policy = *d.policy
	}
	return r
}

func (t *table) rules(p *[]TopicRule, name, help string) {
	t.add(&row{
		Row:  Row{Name: name, Kind: "rules", Help: help, FileOnly: true},
		node: func(f *file, key string, n ast.Node) (errs []error) { t.drafts, errs = f.rules(key, n); return errs },
		text: func() string { return showRules(*p) },
		json: func() any { return jsonRules(*p) },
	})
}

func (f *file) rules(key string, n ast.Node) (drafts []ruleDraft, errs []error) {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return nil, []error{f.fault(n, key, "takes a list of rules, as in - {topic: \"orders/**\", max-age: 1h}")}
	}
	lines := map[string]int{}
	for i, item := range list.Values {
		d, more := f.rule(fmt.Sprintf("%s[%d]", key, i), item)
		errs = append(errs, more...)
		if len(more) > 0 {
			continue
		}
		if line, twice := lines[d.topic]; twice {
			errs = append(errs, f.fault(item, key, "a rule for %q is already on line %d, so this one would never count", d.topic, line))
			continue
		}
		lines[d.topic] = line(item)
		drafts = append(drafts, d)
	}
	return drafts, errs
}

func (f *file) rule(key string, n ast.Node) (d ruleDraft, errs []error) {
	errs = f.fields(key, n, map[string]func(string) error{
		"topic":        func(text string) error { d.topic = text; return topic.CheckPattern(text) },
		"max-messages": optional(&d.maxMessages, func(s string) (int, error) { return parseNumber(s, maxMessages) }),
		"max-age":      optional(&d.maxAge, func(s string) (time.Duration, error) { return parseDuration(s, maxAge) }),
		"max-bytes":    optional(&d.maxBytes, func(s string) (int64, error) { return parseSize(s, maxBytes) }),
		"durability":   optional(&d.durability, func(s string) (string, error) { return parseChoice(s, durabilities) }),
		"policy":       optional(&d.policy, func(s string) (string, error) { return parseChoice(s, policies) }),
	})
	if len(errs) == 0 && d.topic == "" {
		errs = []error{f.fault(n, key, "has no topic: add topic: NAME or a pattern")}
	}
	return d, errs
}

func optional[T any](p **T, parse func(string) (T, error)) func(string) error {
	return func(text string) error {
		v, err := parse(text)
		*p = &v
		return err
	}
}

func showRules(rules []TopicRule) string {
	texts := make([]string, len(rules))
	for i, r := range rules {
		texts[i] = fmt.Sprintf("%s (%d, %s, %s, %s, %s)", r.Topic, r.MaxMessages, FormatDuration(r.MaxAge), FormatSize(r.MaxBytes), r.Durability, r.Policy)
	}
	return strings.Join(texts, ",")
}

func jsonRules(rules []TopicRule) any {
	list := make([]map[string]string, len(rules))
	for i, r := range rules {
		list[i] = map[string]string{
			"topic":        r.Topic,
			"max-messages": strconv.Itoa(r.MaxMessages),
			"max-age":      FormatDuration(r.MaxAge),
			"max-bytes":    FormatSize(r.MaxBytes),
			"durability":   r.Durability,
			"policy":       r.Policy,
		}
	}
	return list
}
