package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/problem"
)

// tolerance is how old a signed request may be, and how far ahead the sender's clock.
const tolerance = 5 * time.Minute

// A claim is what the headers of a request say about who sent it.
type claim struct {
	id         string   // by which the sender names the message; "": it does not, or in the body
	header     string   // that has the signatures; "": there is nothing left to check
	before     string   // what was signed before the body
	signatures [][]byte // one of which is to be right
	challenge  string   // for who is refused
}

// claim reads the headers. It refuses what cannot be right whatever the body is.
func (s *Source) claim(h http.Header, secrets [][]byte, now time.Time) (c claim, err error) {
	c.challenge = fmt.Sprintf("Webhook scheme=%q", s.scheme)
	switch s.scheme {
	case feed.Standard:
		err = c.standard(h, now)
	case feed.GitHub:
		err = c.github(h)
	case feed.Stripe:
		err = c.stripe(h, now)
	case feed.Bearer:
		c.challenge, c.id = "Bearer", idempotencyKey(h)
		err = c.bearer(h, secrets)
	case feed.Unsigned:
		c.id = idempotencyKey(h)
	}
	return c, err
}

// standard reads the headers of Standard Webhooks 1.0.0. The message is known by what is
// signed, so that nobody sends it again by another name.
func (c *claim) standard(h http.Header, now time.Time) error {
	c.header, c.id = "webhook-signature", h.Get("Webhook-Id")
	stamp := h.Get("Webhook-Timestamp")
	switch {
	case c.id == "":
		return c.refuse("the header webhook-id is missing")
	case strings.Contains(c.id, "."): // the sign between what is signed
		return c.refuse("webhook-id has a full stop")
	}
	for text := range strings.FieldsSeq(strings.Join(h.Values("Webhook-Signature"), " ")) {
		if signature, ok := strings.CutPrefix(text, "v1,"); ok {
			c.add(base64.StdEncoding.DecodeString(signature))
		}
	}
	c.before = c.id + "." + stamp + "."
	return c.fresh("webhook-timestamp", stamp, now)
}

func (c *claim) github(h http.Header) error {
	c.header, c.id = "X-Hub-Signature-256", h.Get("X-Github-Delivery")
	if signature, ok := strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256="); ok {
		c.add(hex.DecodeString(signature))
	}
	return c.signed()
}

func (c *claim) stripe(h http.Header, now time.Time) error {
	c.header = "Stripe-Signature"
	stamp := ""
	for part := range strings.SplitSeq(h.Get(c.header), ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "t":
			stamp = value
		case "v1":
			c.add(hex.DecodeString(value))
		}
	}
	c.before = stamp + "."
	return c.fresh("t in Stripe-Signature", stamp, now)
}

// bearer compares the token with all secrets, by their sums: so the time that it takes
// says nothing about them, nor about their lengths.
func (c *claim) bearer(h http.Header, secrets [][]byte) error {
	scheme, token, _ := strings.Cut(h.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return problem.Document{Status: http.StatusUnauthorized, Code: "no_token", Challenge: c.challenge, Detail: "want the header Authorization: Bearer SECRET"}
	}
	sum, right := sha256.Sum256([]byte(strings.TrimSpace(token))), 0
	for _, secret := range secrets {
		want := sha256.Sum256(secret)
		right |= subtle.ConstantTimeCompare(sum[:], want[:])
	}
	if right != 1 {
		return problem.Document{Status: http.StatusUnauthorized, Code: "bad_token", Challenge: c.challenge, Detail: "the secret in Authorization is not the one of this webhook"}
	}
	return nil
}

// add adds a signature, unless it cannot be decoded.
func (c *claim) add(signature []byte, err error) {
	if err == nil {
		c.signatures = append(c.signatures, signature)
	}
}

// fresh refuses what was signed too long ago, or in the future. name says where the time
// is from.
func (c *claim) fresh(name, stamp string, now time.Time) error {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return c.refuse(name + " is " + problem.Quote(stamp) + ": want seconds since 1970")
	}
	age := now.Sub(time.Unix(seconds, 0)).Round(time.Second)
	switch {
	case age > tolerance:
		return c.refuse(fmt.Sprintf("%s is %v ago, limit %v: it was sent before, or a clock is wrong", name, age, tolerance))
	case age < -tolerance:
		return c.refuse(fmt.Sprintf("%s is %v ahead, limit %v: a clock is wrong", name, -age, tolerance))
	}
	return c.signed()
}

// signed refuses what has no signature.
func (c *claim) signed() error {
	if len(c.signatures) == 0 {
		return c.refuse("the header " + c.header + " is missing, or has no signature by HMAC-SHA256")
	}
	return nil
}

// check refuses a body that is not what was signed. It does not say which of the secrets
// or signatures is wrong, and takes as long whichever it is.
func (c *claim) check(secrets [][]byte, body []byte) error {
	if c.header == "" {
		return nil
	}
	right := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(c.before))
		mac.Write(body)
		sum := mac.Sum(nil)
		for _, signature := range c.signatures {
			right = hmac.Equal(sum, signature) || right
		}
	}
	if !right {
		return c.refuse("no signature in " + c.header + " is right: the secrets differ, or the body was changed on its way")
	}
	return nil
}

func (c *claim) refuse(detail string) error {
	return problem.Document{Status: http.StatusUnauthorized, Code: "bad_signature", Detail: detail, Challenge: c.challenge}
}

// idempotencyKey is the name that a sender gives a message where it signs none.
func idempotencyKey(h http.Header) string {
	key := h.Get("Idempotency-Key")
	if len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' {
		return key[1 : len(key)-1]
	}
	return key
}
