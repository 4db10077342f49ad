package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A Stamp is what a token says besides its grant.
type Stamp struct {
	Issuer   string   // iss; "": none
	Audience []string // aud
}

// Sign returns a token (HS256) for the grant, which must expire. The key must be one
// of [NewSecret]. A server needs only to check tokens; this is for tools.
func (k Key) Sign(g Grant, s Stamp) (string, error) {
	secret, ok := k.key.([]byte)
	if !ok {
		return "", errors.New("only a secret can sign")
	}
	if err := g.Check(); err != nil {
		return "", err
	}
	now := time.Now()
	if g.Expires.IsZero() || g.Expired(now) {
		return "", errors.New("a token must expire, and not before now")
	}
	claims := grantClaims(g)
	claims["iat"] = now.Unix()
	if s.Issuer != "" {
		claims["iss"] = s.Issuer
	}
	if len(s.Audience) > 0 {
		claims["aud"] = s.Audience
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims)
	if k.ID != "" {
		t.Header["kid"] = k.ID
	}
	text, err := t.SignedString(secret)
	if err == nil && len(text) > MaxToken {
		return "", fmt.Errorf("the token has %d bytes, limit %d", len(text), MaxToken)
	}
	return text, err
}

// grantClaims is the reverse of readClaims.
func grantClaims(g Grant) jwt.MapClaims {
	own := make(map[string]any)
	if len(g.Publish) > 0 {
		own["publish"] = g.Publish
	}
	if len(g.Subscribe) > 0 {
		own["subscribe"] = g.Subscribe
	}
	if g.Limits.Streams > 0 {
		own["streams"] = g.Limits.Streams
	}
	if g.Limits.Rate > 0 {
		own["rate"] = g.Limits.Rate
	}
	if g.Info != "" {
		own["info"] = json.RawMessage(g.Info)
	}
	claims := jwt.MapClaims{"exp": g.Expires.Unix(), "weir": own}
	if g.User != "" {
		claims["sub"] = g.User
	}
	if g.ID != "" {
		claims["jti"] = g.ID
	}
	return claims
}
