package feed

import (
	"fmt"
	"slices"
	"strings"
)

// A Scheme says how the requests of a webhook are signed, or how else their sender shows
// that it may send them.
type Scheme string

// Schemes.
const (
	Standard Scheme = "standard" // https://www.standardwebhooks.com: webhook-id, webhook-timestamp, webhook-signature
	GitHub   Scheme = "github"   // X-Hub-Signature-256
	Stripe   Scheme = "stripe"   // Stripe-Signature
	Bearer   Scheme = "bearer"   // Authorization: Bearer SECRET
	Unsigned Scheme = "open"     // not signed: whoever reaches the server may send
)

var allSchemes = []string{string(Standard), string(GitHub), string(Stripe), string(Bearer), string(Unsigned)}

func (s *Spec) checkWebhook() error {
	switch {
	case !slices.Contains(allSchemes, s.Webhook):
		return fmt.Errorf("webhook is %q, want one of %s", s.Webhook, strings.Join(allSchemes, ", "))
	case Scheme(s.Webhook) == Unsigned && s.SecretFile != "":
		return fmt.Errorf("secret-file does not go with webhook: open")
	case Scheme(s.Webhook) != Unsigned && s.SecretFile == "":
		return fmt.Errorf("webhook: %s needs secret-file: PATH, the file with what requests are signed with", s.Webhook)
	}
	return nil
}
