package config

import (
	"fmt"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/weirstream/weir/internal/webhook"
)

// maxWebhooks bounds how many webhooks there are.
const maxWebhooks = 100

// Limits of a webhook.
var (
	hookTimeout = within[time.Duration]{100 * time.Millisecond, 5 * time.Minute, noZero}
	hookGiveUp  = within[time.Duration]{time.Second, 30 * day, noZero}
	hookBatch   = within[int]{1, webhook.MaxBatch, noZero}
)

// webhooks adds a row that is a mapping from names to webhooks.
func (t *table) webhooks(p *[]webhook.Spec, name, help string) {
	named(t, p, name, help, maxWebhooks, "the webhook", (*file).webhook,
		func(s webhook.Spec) string { return fmt.Sprintf("%s (%s)", s.Name, s.String()) })
}

// webhook reads one webhook.
func (f *file) webhook(key, name string, n ast.Node) (s webhook.Spec, errs []error) {
	s.Name = name
	errs = f.fields(key, n, map[string]func(string) error{
		"url":         setter(&s.URL),
		"secret-file": setter(&s.SecretFile),
		"topics":      setter(&s.Topics),
		"events":      setter(&s.Events),
		"dead-letter": setter(&s.DeadLetter),
		"batch":       func(text string) (err error) { s.Batch, err = parseNumber(text, hookBatch); return err },
		"timeout":     func(text string) (err error) { s.Timeout, err = parseDuration(text, hookTimeout); return err },
		"give-up":     func(text string) (err error) { s.GiveUp, err = parseDuration(text, hookGiveUp); return err },
	}, "topics", "events")
	if len(errs) > 0 {
		return s, errs
	}
	if err := s.Check(); err != nil {
		errs = []error{f.fault(n, key, "%w", err)}
	}
	return s, errs
}
