package access

import (
	"context"
	"errors"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// methods are all algorithms that some key may have. The keys decide which of
// them hold for a token; "none" is not among them.
var methods = []string{
	"HS256", "HS384", "HS512",
	"RS256", "RS384", "RS512",
	"PS256", "PS384", "PS512",
	"ES256", "ES384", "ES512",
	"EdDSA",
}

// newParser returns what checks signature, times, issuer and audience.
func newParser(o Options) *jwt.Parser {
	opts := []jwt.ParserOption{
		jwt.WithValidMethods(methods),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(o.Leeway),
		jwt.WithStrictDecoding(),
	}
	if o.Issuer != "" {
		opts = append(opts, jwt.WithIssuer(o.Issuer))
	}
	if len(o.Audience) > 0 {
		opts = append(opts, jwt.WithAudience(o.Audience...))
	}
	return jwt.NewParser(opts...)
}

// Token returns what a JSON Web Token grants, or an [*Error]. It waits for keys that
// must be fetched first, at most until ctx ends.
//
// The grant expires when the token does, the leeway included.
func (v *Verifier) Token(ctx context.Context, text string) (Grant, error) {
	g, err := v.token(ctx, text)
	return v.unlessRevoked(g, err)
}

func (v *Verifier) token(ctx context.Context, text string) (Grant, error) {
	if !v.hasKeys() {
		return Grant{}, refuse(BadToken, "this server accepts no JSON Web Tokens: it has no keys for them")
	}
	if err := checkForm(text); err != nil {
		return Grant{}, refuse(BadToken, "not a JSON Web Token: %v", err)
	}
	claims := make(jwt.MapClaims)
	_, err := v.parser.ParseWithClaims(text, claims, func(t *jwt.Token) (any, error) {
		return v.keysFor(ctx, t)
	})
	if err != nil {
		return Grant{}, v.tokenError(err)
	}
	g, err := readClaims(claims)
	if err != nil {
		return Grant{}, refuse(BadToken, "%v", err)
	}
	g.Expires = g.Expires.Add(v.opts.Leeway)
	if g.ID == "" {
		g.digest = shortDigest(text[:strings.LastIndexByte(text, '.')])
	}
	return g, nil
}

// keysFor returns the keys that a token may have been signed with. Its header is
// not to be trusted: it only narrows down what the keys themselves allow.
func (v *Verifier) keysFor(ctx context.Context, t *jwt.Token) (any, error) {
	if _, has := t.Header["crit"]; has {
		return nil, refuse(BadToken, "the token has critical extensions, which this server does not know")
	}
	id, isText := t.Header["kid"].(string)
	if t.Header["kid"] != nil && !isText {
		return nil, refuse(BadToken, "the kid of the token is not a string")
	}
	algorithm := t.Method.Alg()
	keys, err := v.candidates(ctx, id, algorithm)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, refuse(BadToken, "no key of this server fits the token: its kid is not known, or its algorithm %s is not the one of the key", algorithm)
	}
	var set jwt.VerificationKeySet
	for _, k := range keys {
		set.Keys = append(set.Keys, k.key)
	}
	return set, nil
}

// candidates are the keys that fit. The URL is asked only if there is none.
func (v *Verifier) candidates(ctx context.Context, id, algorithm string) ([]Key, error) {
	keys := fitting(v.opts.Keys, id, algorithm)
	if v.opts.Remote == nil {
		return keys, nil
	}
	if keys = append(keys, v.opts.Remote.known(id, algorithm)...); len(keys) > 0 {
		return keys, nil
	}
	return v.opts.Remote.find(ctx, id, algorithm)
}

func fitting(keys []Key, id, algorithm string) []Key {
	var fit []Key
	for _, k := range keys {
		if k.fits(id, algorithm) {
			fit = append(fit, k)
		}
	}
	return fit
}

// tokenErrors maps those of package jwt, whose texts are not for the client. The
// first that matches counts: what is wrong with the signature comes before what
// the claims say.
var tokenErrors = []struct {
	err    error
	code   Code
	detail string
}{
	{jwt.ErrTokenSignatureInvalid, BadToken, "the signature of the token is wrong, or its algorithm is not accepted"},
	{jwt.ErrTokenMalformed, BadToken, "the token cannot be read"},
	{jwt.ErrTokenUnverifiable, BadToken, "the algorithm of the token is not accepted"},
	{jwt.ErrTokenRequiredClaimMissing, BadToken, "the token lacks a claim: exp, or the iss or aud that this server asks for"},
	{jwt.ErrTokenInvalidIssuer, BadToken, "the token is of another issuer (iss)"},
	{jwt.ErrTokenInvalidAudience, BadToken, "the token is for another audience (aud)"},
	{jwt.ErrInvalidType, BadToken, "a claim of the token has the wrong type: exp and nbf are numbers, iss is a string, aud a string or a list of strings"},
	{jwt.ErrTokenExpired, ExpiredToken, "the token has expired (exp)"},
	{jwt.ErrTokenNotValidYet, EarlyToken, "the token does not hold yet (nbf)"},
}

func (v *Verifier) tokenError(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	for _, e := range tokenErrors {
		if errors.Is(err, e.err) {
			return &Error{Code: e.code, Detail: e.detail}
		}
	}
	return refuse(BadToken, "the token is not valid")
}

// isToken reports whether text has the form of a JSON Web Token. API keys and
// tickets have not.
func isToken(text string) bool {
	return strings.Count(text, ".") == 2 && strings.HasPrefix(text, "ey")
}
