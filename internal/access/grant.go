package access

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/weirstream/weir/internal/topic"
)

const (
	// MaxPatterns is how many patterns a grant holds for publishing, and how many
	// for reading.
	MaxPatterns = 100
	// MaxName is the longest name of a user and the longest ID of a grant, in bytes.
	MaxName = 255
	// MaxInfo is the longest Info of a grant, in bytes.
	MaxInfo = 1024
)

// A Grant says what somebody may do. The zero value allows nothing. It is not
// changed once made, so it can be passed around and copied.
type Grant struct {
	User      string    // "": nobody in particular
	ID        string    // of the token (jti); may be "", see [Grant.Token]
	Publish   []string  // names and patterns of topics
	Subscribe []string  // names and patterns of topics
	Issued    time.Time // iat of the token, or when the application was asked; zero: not known
	Expires   time.Time // what the grant opened is to be closed then; zero: never
	Limits    Limits
	Info      string // what others may know of the user, a JSON value; "": nothing. See MaxInfo

	digest string // stands for the ID that a token or key does not have; ""
}

// Limits bound what a user may use. The package that serves the user enforces them.
// A zero is the server's own limit.
type Limits struct {
	Streams int // open at once
	Rate    int // messages published, per second
}

// Token returns what limits per token count by and [Revoked] holds: the ID, or else
// 16 hexadecimal digits, which are the first of a SHA-256:
//
//   - of a JSON Web Token without its signature: the same claims can have several
//     signatures (ECDSA), which must not make several tokens;
//   - of an API key;
//   - of the user whom an application named (see [Forward]).
//
// It is the same for a ticket and what the ticket was issued for, and "" if nothing
// tells the request from those of others.
func (g Grant) Token() string {
	if g.ID != "" {
		return g.ID
	}
	return g.digest
}

// shortDigest is of 64 bits: too few to find the text, enough that no two of one
// server's are equal by chance.
func shortDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// Check returns an error if a pattern is none, if there are more than
// [MaxPatterns], or if a name is not fit for logs.
func (g Grant) Check() error {
	if err := checkName("user", g.User); err != nil {
		return err
	}
	if err := checkName("ID", g.ID); err != nil {
		return err
	}
	if err := checkPatterns("publish", g.Publish); err != nil {
		return err
	}
	if err := checkPatterns("subscribe", g.Subscribe); err != nil {
		return err
	}
	if g.Info != "" && !json.Valid([]byte(g.Info)) {
		return fmt.Errorf("info %.40q is not JSON, such as {\"name\":\"Ada\"}", g.Info)
	}
	if len(g.Info) > MaxInfo {
		return fmt.Errorf("info has %d bytes of JSON, limit %d", len(g.Info), MaxInfo)
	}
	if g.Limits.Streams < 0 || g.Limits.Rate < 0 {
		return fmt.Errorf("limits of %d streams and %d messages per second: want 0 or more", g.Limits.Streams, g.Limits.Rate)
	}
	return nil
}

func checkName(what, name string) error {
	if len(name) > MaxName {
		return fmt.Errorf("%s starting %.32q: %d bytes, limit %d", what, name, len(name), MaxName)
	}
	if !utf8.ValidString(name) {
		return fmt.Errorf("%s %q is not UTF-8", what, name)
	}
	for _, r := range name {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("%s %q: control character %U", what, name, r)
		}
	}
	return nil
}

func checkPatterns(what string, patterns []string) error {
	if len(patterns) > MaxPatterns {
		return fmt.Errorf("%s: %d patterns, limit %d", what, len(patterns), MaxPatterns)
	}
	for _, p := range patterns {
		if err := topic.CheckPattern(p); err != nil {
			return fmt.Errorf("%s: %v", what, err)
		}
	}
	return nil
}

// MayPublish returns nil if the grant allows to publish to the topic, which must
// have passed [topic.Check], or an [*Error] with the code forbidden.
func (g Grant) MayPublish(name string) error {
	for _, p := range g.Publish {
		if topic.Match(p, name) {
			return nil
		}
	}
	return refuse(Forbidden, "%s may not publish to %q", g.who(), name)
}

// MaySubscribe returns nil if the grant allows to read all that the name or pattern
// matches, or an [*Error] with the code forbidden. One granted pattern must cover it
// alone: "a" and "a/*/**" together match what "a/**" matches, but do not allow it.
// The pattern must have passed [topic.CheckPattern].
func (g Grant) MaySubscribe(pattern string) error {
	for _, p := range g.Subscribe {
		if topic.Covers(p, pattern) {
			return nil
		}
	}
	return refuse(Forbidden, "%s may not read %q", g.who(), pattern)
}

// Expired reports whether the grant no longer holds at the time now.
func (g Grant) Expired(now time.Time) bool {
	return !g.Expires.IsZero() && !now.Before(g.Expires)
}

func (g Grant) who() string {
	if g.User == "" {
		return "this request"
	}
	return fmt.Sprintf("user %q", g.User)
}
