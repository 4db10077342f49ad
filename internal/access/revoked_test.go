package access_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:16]
}

// TestEveryGrantOfSomebodyHasAToken, which says nothing about what was sent.
func TestEveryGrantOfSomebodyHasAToken(t *testing.T) {
	s := newKeyServer(t, grants(`{"user":"alice"}`))
	f := forward(t, access.ForwardOptions{URL: s.URL, Cache: -1})
	tickets := access.NewTickets(0)
	parse := func(text string, g access.Grant) access.APIKey { return must(access.ParseAPIKey(text, g)) }
	v := asking(t, f, access.Options{
		Keys: []access.Key{secretKey(t, "")}, Tickets: tickets,
		APIKeys: []access.APIKey{parse("a:"+apiKey, access.Grant{}), parse("b:sha256:"+hashOf(apiKey+"2"), access.Grant{}), parse("c:"+apiKey+"3", access.Grant{ID: "third"})},
	})
	token := good(t)
	signed := token[:strings.LastIndex(token, ".")]
	named := sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"jti": "7f3a"}))
	for _, c := range []struct{ name, bearer, want string }{
		{"jti", named, "7f3a"},
		{"no jti", token, short(signed)},
		{"API key", apiKey, short(apiKey)},
		{"hash of an API key", apiKey + "2", short(apiKey + "2")},
		{"API key with an ID", apiKey + "3", "third"},
		{"user of the application", "abc", short("user alice")},
	} {
		g, err := v.FromRequest(bearer(c.bearer))
		if err != nil || g.Token() != c.want {
			t.Errorf("%s: Token gives %q, %v, want %q", c.name, g.Token(), err, c.want)
		}
		ticket, err := tickets.Issue(t.Context(), g)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := v.FromRequest(get("/?ticket=" + ticket)); err != nil || again.Token() != c.want {
			t.Errorf("%s: Token of its ticket gives %q, %v, want %q", c.name, again.Token(), err, c.want)
		}
	}

	// The application's name for it counts, and what a client can change does not.
	for body, want := range map[string]string{`{"user":"alice","id":"s1"}`: "s1", `{"subscribe":["a"]}`: "", `{"user":"bob","rate":1}`: short("user bob")} {
		s.set(grants(body))
		for _, cookie := range []string{"sid=1", "sid=1; x=2"} {
			if g, err := v.FromRequest(get("/", "Cookie", cookie)); err != nil || g.Token() != want {
				t.Errorf("%s: Token gives %q, %v, want %q", body, g.Token(), err, want)
			}
		}
	}
	if g, err := verifier(t, access.Options{Anonymous: new(access.Grant)}).FromRequest(get("/")); err != nil || g.Token() != "" {
		t.Errorf("anonymous: Token gives %q, %v, want none", g.Token(), err)
	}
	if g, err := v.FromRequest(bearer(token)); err != nil || !regexp.MustCompile("^[0-9a-f]{16}$").MatchString(g.Token()) {
		t.Errorf("Token gives %q, %v, want 16 hexadecimal digits", g.Token(), err)
	}
}

// TestRevokedTokenCannotComeBack in any way.
func TestRevokedTokenCannotComeBack(t *testing.T) {
	s := newKeyServer(t, grants(`{"user":"carol","id":"s1"}`))
	f := forward(t, access.ForwardOptions{URL: s.URL})
	revoked, tickets := access.NewRevoked(0), access.NewTickets(0)
	key, err := access.ParseAPIKey("shop:"+apiKey, access.Grant{})
	if err != nil {
		t.Fatal(err)
	}
	v := asking(t, f, access.Options{Keys: []access.Key{secretKey(t, "")}, APIKeys: []access.APIKey{key}, Tickets: tickets, Cookie: "weir", Revoked: revoked})
	token := func(id any) string {
		return sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"jti": id}))
	}
	one, other, unnamed := token("1"), token("2"), token(nil)
	ticket := func(token string) string {
		g, err := v.FromRequest(bearer(token))
		if err != nil {
			t.Fatal(err)
		}
		return must(tickets.Issue(t.Context(), g))
	}
	mine, another := ticket(one), ticket(other)
	for _, token := range []string{"1", short(unnamed[:strings.LastIndex(unnamed, ".")]), short(apiKey), "s1"} {
		if err := revoked.Revoke(t.Context(), token, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		target string
		header []string
		want   access.Code
	}{
		{"token", "/", []string{"Authorization", "Bearer " + one}, access.RevokedToken},
		{"cookie", "/", []string{"Cookie", "weir=" + one}, access.RevokedToken},
		{"ticket", "/?ticket=" + mine, nil, access.RevokedToken},
		{"token without a jti", "/", []string{"Authorization", "Bearer " + unnamed}, access.RevokedToken},
		{"API key", "/", []string{"Authorization", "Bearer " + apiKey}, access.RevokedToken},
		{"session of the application", "/", nil, access.RevokedToken},
		{"session of the application, from the cache", "/", nil, access.RevokedToken},
		{"another token", "/", []string{"Authorization", "Bearer " + other}, ""},
		{"its ticket", "/?ticket=" + another, nil, ""},
	} {
		g, err := v.FromRequest(get(c.target, c.header...))
		if code(err) != c.want || (err != nil && g.User != "") {
			t.Errorf("%s: FromRequest gives %+v, %v, want %q", c.name, g, err, c.want)
		}
	}
	if g, err := v.Token(t.Context(), one); code(err) != access.RevokedToken || g.User != "" {
		t.Errorf("Token gives %+v, %v, want revoked_token", g, err)
	}
}

func TestRevokedUserLogsInAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := access.NewRevoked(0)
		v := verifier(t, access.Options{Revoked: revoked})
		token := func(user string, issued any) string {
			return sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"sub": user, "iat": issued, "exp": time.Now().Add(100 * time.Hour).Unix()}))
		}
		now := time.Now()
		if err := revoked.RevokeUser(t.Context(), "alice", now, time.Time{}); err != nil {
			t.Fatal(err)
		}
		old, unknown := token("alice", now.Unix()), token("alice", nil)
		for name, c := range map[string]struct {
			token string
			want  access.Code
		}{
			"from before":          {token("alice", now.Unix()-1), access.RevokedToken},
			"of the same second":   {old, access.RevokedToken},
			"that does not say":    {unknown, access.RevokedToken},
			"of a second later":    {token("alice", now.Unix()+1), ""},
			"of somebody else":     {token("bob", now.Unix()-1), ""},
			"of nobody":            {token("", now.Unix()-1), ""},
			"of a name like alice": {token("Alice", now.Unix()-1), ""},
		} {
			if _, err := v.FromRequest(bearer(c.token)); code(err) != c.want {
				t.Errorf("a token %s: %v, want %q", name, err, c.want)
			}
		}
		// Later times hold, whatever the order.
		if err := revoked.RevokeUser(t.Context(), "alice", now.Add(-time.Hour), now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(access.RevokedFor - 1)
		if _, err := v.FromRequest(bearer(old)); code(err) != access.RevokedToken {
			t.Errorf("just before the end: %v, want revoked_token", err)
		}
		time.Sleep(time.Nanosecond)
		if _, err := v.FromRequest(bearer(old)); err != nil {
			t.Errorf("at the end: %v", err)
		}
	})
}

func TestRevokedTokensEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := access.NewRevoked(0)
		now := time.Now()
		for token, until := range map[string]time.Time{"a": now.Add(time.Hour), "b": {}, "past": now, "c": now.Add(48 * time.Hour)} {
			if err := revoked.Revoke(t.Context(), token, until); err != nil {
				t.Fatal(err)
			}
		}
		if err := revoked.Revoke(t.Context(), "c", now.Add(time.Minute)); err != nil { // does not shorten it
			t.Fatal(err)
		}
		if err := revoked.RevokeUser(t.Context(), "past", now, now); err != nil || revoked.Len() != 3 {
			t.Errorf("%d are revoked, %v, want 3", revoked.Len(), err)
		}
		for _, c := range []struct {
			sleep time.Duration
			want  string // those that are revoked
		}{
			{0, "abc"}, {time.Hour - 1, "abc"}, {1, "bc"}, {23*time.Hour - 1, "bc"}, {1, "c"}, {24*time.Hour - 1, "c"}, {1, ""},
		} {
			time.Sleep(c.sleep)
			if c.sleep > 1 {
				revoked.Sweep(t.Context())
			}
			got := ""
			for _, token := range []string{"a", "b", "c", "past"} {
				if revoked.Check(access.Grant{ID: token}) != nil {
					got += token
				}
			}
			if got != c.want {
				t.Errorf("after %v, %q are revoked, want %q", time.Since(now), got, c.want)
			}
		}
		if revoked.Sweep(t.Context()); revoked.Len() != 0 {
			t.Errorf("Sweep leaves %d", revoked.Len())
		}
	})
}

func TestRevokedIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		revoked := access.NewRevoked(4)
		end := time.Now().Add(time.Hour)
		for i := range 2 {
			if err := revoked.RevokeUser(t.Context(), fmt.Sprint("user", i), time.Now(), end.Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
			if err := revoked.Revoke(t.Context(), fmt.Sprint("token", i), end); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := revoked.Revoke(t.Context(), "one more", end); code(err) != access.TooManyRevoked || !strings.Contains(err.Error(), "4 tokens and users are revoked, limit 4") {
				t.Errorf("one too many: %v, want too_many_revoked with the limit", err)
			}
			if err := revoked.RevokeUser(t.Context(), "one more", time.Now(), end); code(err) != access.TooManyRevoked {
				t.Errorf("one too many: %v, want too_many_revoked", err)
			}
		}
		// What is there already takes no room.
		if err := revoked.Revoke(t.Context(), "token0", end.Add(time.Minute)); err != nil {
			t.Error(err)
		}
		if err := revoked.RevokeUser(t.Context(), "user0", time.Now(), end); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if err := revoked.Revoke(t.Context(), "one more", time.Time{}); err != nil || revoked.Len() != 4 {
			t.Errorf("after one has ended: %v, %d are revoked, want 4", err, revoked.Len())
		}
		for _, g := range []access.Grant{{ID: "token0"}, {User: "user0"}, {User: "user1"}, {ID: "one more"}} {
			if revoked.Check(g) == nil {
				t.Errorf("%+v is not revoked", g)
			}
		}
		if err := revoked.Revoke(t.Context(), "two more", time.Time{}); code(err) != access.TooManyRevoked {
			t.Errorf("one too many: %v, want too_many_revoked", err)
		}
	})
}

func TestNobodyCannotBeRevoked(t *testing.T) {
	revoked := access.NewRevoked(0)
	for _, name := range []string{"", strings.Repeat("x", 256), "a\nb", "\xff"} {
		if err := revoked.Revoke(t.Context(), name, time.Time{}); err == nil {
			t.Errorf("Revoke(%q) gives no error", name)
		}
		if err := revoked.RevokeUser(t.Context(), name, time.Now(), time.Time{}); err == nil {
			t.Errorf("RevokeUser(%q) gives no error", name)
		}
	}
	if err := revoked.Check(access.Grant{}); err != nil || revoked.Len() != 0 {
		t.Errorf("Check of an anonymous grant gives %v with %d revoked", err, revoked.Len())
	}
}

// TestRevokeAndCheckAtOnce is for the race detector, and that no check misses what was
// revoked before it.
func TestRevokeAndCheckAtOnce(t *testing.T) {
	revoked := access.NewRevoked(0)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 200 {
				name := fmt.Sprint(i, "-", j)
				if err := revoked.Revoke(t.Context(), name, time.Time{}); err != nil {
					t.Error(err)
				}
				if err := revoked.RevokeUser(t.Context(), name, time.Now(), time.Time{}); err != nil {
					t.Error(err)
				}
				revoked.Sweep(t.Context())
				if code(revoked.Check(access.Grant{ID: name})) != access.RevokedToken || code(revoked.Check(access.Grant{User: name})) != access.RevokedToken {
					t.Errorf("%s is not revoked", name)
				}
			}
		})
	}
	all.Wait()
	if n := revoked.Len(); n != 3200 {
		t.Errorf("%d are revoked, want 3200", n)
	}
}
