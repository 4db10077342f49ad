package access

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/origin"
)

// DefaultLeeway is how much clocks may differ.
const DefaultLeeway = 30 * time.Second

// Options say who is let in, and how they say who they are.
type Options struct {
	Keys     []Key         // of tokens, at most MaxKeys
	Remote   *Remote       // more of them; nil: none. Its owner closes it.
	Issuer   string        // that tokens must have (iss); "": any
	Audience []string      // of which a token must name one (aud); none: any
	Leeway   time.Duration // for exp and nbf, up to 5 min; 0: DefaultLeeway; negative: none
	APIKeys  []APIKey      // at most MaxAPIKeys
	Tickets  *Tickets      // that the query may hold; nil: none
	Cookie   string        // name of the cookie that may hold a token; "": none
	Origins  []string      // whose pages may send cookies besides the server's own, as package origin has them, but not "*"
	Forward  *Forward      // asks an application about all other requests; nil: none. Its owner closes it.
	Revoked  *Revoked      // what does not count any more; nil: none
	// Anonymous is granted to requests that do not say who they are. nil: they are
	// refused. With Forward the application decides about them, so it must be nil.
	Anonymous *Grant
}

// A Verifier finds out what a request may do. It is safe for use by many requests
// at once.
type Verifier struct {
	opts   Options
	parser *jwt.Parser
	origin *http.CrossOriginProtection
}

var errAny = errors.New("it stands for every page")

// maxLeeway bounds how long an expired token can go on to hold.
const maxLeeway = 5 * time.Minute

// New checks the options.
func New(o Options) (*Verifier, error) {
	o.Keys, o.APIKeys = slices.Clone(o.Keys), slices.Clone(o.APIKeys)
	switch {
	case len(o.Keys) > MaxKeys:
		return nil, fmt.Errorf("%d keys for tokens, limit %d", len(o.Keys), MaxKeys)
	case len(o.APIKeys) > MaxAPIKeys:
		return nil, fmt.Errorf("%d API keys, limit %d", len(o.APIKeys), MaxAPIKeys)
	case o.Leeway > maxLeeway:
		return nil, fmt.Errorf("leeway %v, limit %v", o.Leeway, maxLeeway)
	case o.Leeway < 0:
		o.Leeway = 0
	case o.Leeway == 0:
		o.Leeway = DefaultLeeway
	}
	if err := checkKeys(o); err != nil {
		return nil, err
	}
	v := &Verifier{opts: o, parser: newParser(o), origin: http.NewCrossOriginProtection()}
	for _, text := range o.Origins {
		if err := origin.Check(text); err != nil || text == origin.Any {
			return nil, fmt.Errorf("origin %q cannot be trusted with cookies: %v", text, cmp.Or(err, errAny))
		}
	}
	return v, nil
}

func checkKeys(o Options) error {
	if slices.ContainsFunc(o.Keys, func(k Key) bool { return k.key == nil }) {
		return errors.New("a key that is none")
	}
	names := make(map[string]bool)
	for _, k := range o.APIKeys {
		switch {
		case k.Name == "":
			return errors.New("an API key that is none")
		case names[k.Name]:
			return fmt.Errorf("two API keys are named %q", k.Name)
		}
		names[k.Name] = true
	}
	if o.Anonymous != nil {
		if o.Forward != nil {
			return errors.New("anonymous: the application that is asked decides what requests without a token may do")
		}
		if err := o.Anonymous.Check(); err != nil {
			return fmt.Errorf("anonymous: %w", err)
		}
	}
	if strings.ContainsAny(o.Cookie, " \t\r\n;,=\"") {
		return fmt.Errorf("%q is not the name of a cookie", o.Cookie)
	}
	return nil
}

func (v *Verifier) hasKeys() bool { return len(v.opts.Keys) > 0 || v.opts.Remote != nil }
