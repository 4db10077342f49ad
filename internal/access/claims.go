package access

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// latest is the last second of the year 9999; later times do not fit everywhere.
const latest = 253402300799

// readClaims returns the grant of claims whose signature, times, issuer and
// audience have been checked:
//
//	{
//	  "sub": "alice",
//	  "exp": 1767225600,
//	  "jti": "7f3a",
//	  "weir": {
//	    "publish": ["rooms/7"],
//	    "subscribe": ["rooms/*", "users/alice/**"],
//	    "streams": 10,
//	    "rate": 50,
//	    "info": {"name": "Alice"}
//	  }
//	}
//
// Without "weir", "publish" and "subscribe" at the top count. With it they do not.
// Within "weir" an unknown name is an error: it might restrict the rest.
func readClaims(claims jwt.MapClaims) (Grant, error) {
	r := &reader{noun: "claim", claims: claims}
	g := Grant{User: r.text("sub"), ID: r.text("jti"), Issued: r.moment("iat"), Expires: r.moment("exp")}
	r.moment("nbf")
	if v, has := claims["weir"]; has {
		r.enter(v, "weir", "publish", "subscribe", "streams", "rate", "info")
		g.Limits = Limits{Streams: r.count("streams"), Rate: r.count("rate")}
		g.Info = r.json("info")
	}
	g.Publish, g.Subscribe = r.patterns("publish"), r.patterns("subscribe")
	if r.err != nil {
		return Grant{}, r.err
	}
	if err := g.Check(); err != nil {
		return Grant{}, err
	}
	return g, nil
}

// A reader reads claims by their exact names and keeps the first error. A claim that
// is absent reads as zero.
type reader struct {
	noun   string // what errors call a claim
	claims map[string]any
	within string // "weir."; "" at the top
	err    error
}

// wrong notes what a claim should be. It does not say what it is.
func (r *reader) wrong(name, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("%s %s%s: want %s", r.noun, r.within, name, want)
	}
}

// enter goes on with the object v, which has these names only.
func (r *reader) enter(v any, name string, known ...string) {
	inner, ok := v.(map[string]any)
	if !ok {
		r.wrong(name, "an object")
	}
	for n := range inner {
		if !slices.Contains(known, n) {
			r.wrong(name, fmt.Sprintf("no names other than %q", known))
		}
	}
	r.claims, r.within = inner, name+"."
}

func (r *reader) text(name string) string {
	v, has := r.claims[name]
	s, ok := v.(string)
	if has && !ok {
		r.wrong(name, "a string")
	}
	return s
}

// moment reads seconds since 1970.
func (r *reader) moment(name string) time.Time {
	v, has := r.claims[name]
	if !has {
		return time.Time{}
	}
	seconds, ok := v.(float64)
	if !ok || seconds < 0 || seconds > latest {
		r.wrong(name, fmt.Sprintf("seconds since 1970, up to %d", int64(latest)))
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0)
}

func (r *reader) count(name string) int {
	v, has := r.claims[name]
	n, ok := v.(float64)
	if has && (!ok || n < 1 || n > math.MaxInt32 || n != math.Trunc(n)) {
		r.wrong(name, fmt.Sprintf("a whole number from 1 to %d", math.MaxInt32))
		return 0
	}
	return int(n)
}

// json returns any value as compact JSON. Numbers are read as others read them, with 53
// bits.
func (r *reader) json(name string) string {
	v, has := r.claims[name]
	if !has {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		r.wrong(name, "a JSON value")
	}
	return string(text)
}

// patterns reads a list of strings. [Grant.Check] looks at what they are.
func (r *reader) patterns(name string) []string {
	v, has := r.claims[name]
	list, ok := v.([]any)
	if has && !ok {
		r.wrong(name, `a list such as ["a/**"]`)
	}
	var texts []string
	for _, item := range list {
		s, ok := item.(string)
		if !ok {
			r.wrong(name, "a list of strings")
		}
		texts = append(texts, s)
	}
	return texts
}
