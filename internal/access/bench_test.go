package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

// BenchmarkFromRequest is what a request costs before its work begins.
func BenchmarkFromRequest(b *testing.B) {
	var apiKeys []access.APIKey
	for i := range access.MaxAPIKeys {
		k, err := access.ParseAPIKey(fmt.Sprintf("name%d:%s%03d", i, apiKey, i), access.Grant{})
		if err != nil {
			b.Fatal(err)
		}
		apiKeys = append(apiKeys, k)
	}
	application := newKeyServer(b, grants(aliceJSON))
	for _, c := range []struct {
		kind, token string
		opts        access.Options
	}{
		{"HS256", good(b), access.Options{}},
		{"RS256", sign(b, jwt.SigningMethodRS256, rsaKey(), "", claims(nil)), access.Options{Keys: publicKeys(b, rsaKey())}},
		{"ES256", sign(b, jwt.SigningMethodES256, p256Key(), "", claims(nil)), access.Options{Keys: publicKeys(b, p256Key())}},
		{"EdDSA", sign(b, jwt.SigningMethodEdDSA, ed25519Key(), "", claims(nil)), access.Options{Keys: publicKeys(b, ed25519Key())}},
		{"forward", "opaque", access.Options{Forward: forward(b, access.ForwardOptions{URL: application.URL, Cache: time.Hour})}}, // from the cache
		{"apikey", apiKey + "000", access.Options{APIKeys: apiKeys}},
	} {
		b.Run("kind="+c.kind, func(b *testing.B) {
			v, r := verifier(b, c.opts), bearer(c.token)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.FromRequest(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTicket is what a page costs that opens a stream with a ticket, without other
// servers.
func BenchmarkTicket(b *testing.B) {
	tickets := access.NewTickets(0)
	g := access.Grant{User: "alice", Subscribe: []string{"rooms/*"}, Expires: time.Now().Add(time.Hour)}
	b.ReportAllocs()
	for b.Loop() {
		text, err := tickets.Issue(b.Context(), g)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tickets.Redeem(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRevokedCheck is what each request costs while others are revoked.
func BenchmarkRevokedCheck(b *testing.B) {
	revoked := access.NewRevoked(0)
	for i := range 10_000 {
		if err := revoked.RevokeUser(b.Context(), fmt.Sprint("user", i), time.Now(), time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
	g := access.Grant{User: "alice", ID: "7f3a"}
	b.ReportAllocs()
	for b.Loop() {
		if err := revoked.Check(g); err != nil {
			b.Fatal(err)
		}
	}
}
