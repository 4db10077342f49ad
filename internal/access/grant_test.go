package access_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
)

func TestGrantAllowsWhatItsPatternsCover(t *testing.T) {
	g := access.Grant{User: "alice", Publish: []string{"rooms/7", "logs/*"}, Subscribe: []string{"rooms/*", "users/alice/**"}}
	for _, c := range []struct {
		topic         string
		publish, read bool
	}{
		{"rooms/7", true, true},
		{"rooms/8", false, true},
		{"rooms/*", false, true},
		{"rooms/**", false, false},
		{"rooms", false, false},
		{"logs/a", true, false},
		{"logs/a/b", false, false},
		{"users/alice", false, true},
		{"users/alice/x/*", false, true},
		{"users/*", false, false},
		{"users/alice2/x", false, false},
		{"**", false, false},
		{"*", false, false},
	} {
		if !strings.Contains(c.topic, "*") {
			if err := g.MayPublish(c.topic); (err == nil) != c.publish {
				t.Errorf("MayPublish(%q) = %v, want allowed: %v", c.topic, err, c.publish)
			}
		}
		if err := g.MaySubscribe(c.topic); (err == nil) != c.read {
			t.Errorf("MaySubscribe(%q) = %v, want allowed: %v", c.topic, err, c.read)
		}
	}
}

func TestNothingIsAllowedByDefault(t *testing.T) {
	var g access.Grant
	err := g.MayPublish("a")
	if code(err) != access.Forbidden || err.Error() != `forbidden: this request may not publish to "a"` {
		t.Errorf("MayPublish gives %v", err)
	}
	g.User = "bob"
	err = g.MaySubscribe("a/**")
	if code(err) != access.Forbidden || err.Error() != `forbidden: user "bob" may not read "a/**"` {
		t.Errorf("MaySubscribe gives %v", err)
	}
}

func TestGrantCheckNamesWhatIsWrong(t *testing.T) {
	full := slices.Repeat([]string{"a"}, access.MaxPatterns)
	for _, c := range []struct {
		grant access.Grant
		want  string // "": nothing
	}{
		{access.Grant{User: "alice", Publish: full, Subscribe: full, Limits: access.Limits{Streams: 1, Rate: 1}}, ""},
		{access.Grant{Publish: append(slices.Clone(full), "a")}, "publish: 101 patterns, limit 100"},
		{access.Grant{Subscribe: append(slices.Clone(full), "a")}, "subscribe: 101 patterns, limit 100"},
		{access.Grant{Publish: []string{"a", "**/b"}}, `publish: pattern "**/b": "**" before the last segment at byte 0`},
		{access.Grant{Subscribe: []string{""}}, `subscribe: pattern "": empty`},
		{access.Grant{User: "a\nb"}, `user "a\nb": control character U+000A`},
		{access.Grant{User: "a\u0085"}, `user "a\u0085": control character U+0085`},
		{access.Grant{User: "\xff"}, `user "\xff" is not UTF-8`},
		{access.Grant{ID: strings.Repeat("x", 256)}, `ID starting "` + strings.Repeat("x", 32) + `": 256 bytes, limit 255`},
		{access.Grant{Limits: access.Limits{Rate: -1}}, "limits of 0 streams and -1 messages per second: want 0 or more"},
	} {
		got := ""
		if err := c.grant.Check(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("Check() = %q, want %q", got, c.want)
		}
	}
}

func TestGrantExpires(t *testing.T) {
	at := time.Unix(1000, 0)
	g := access.Grant{Expires: at}
	if g.Expired(at.Add(-1)) || !g.Expired(at) || !g.Expired(at.Add(1)) {
		t.Error("a grant does not end at the time it says")
	}
	if (access.Grant{}).Expired(at) {
		t.Error("a grant without an end has one")
	}
}

// TestCodesHaveTheirStatus fixes what clients rely on.
func TestCodesHaveTheirStatus(t *testing.T) {
	for c, want := range map[access.Code]struct {
		status    int
		challenge string
	}{
		"no_token":         {401, `Bearer`},
		"bad_token":        {401, `Bearer error="invalid_token"`},
		"expired_token":    {401, `Bearer error="invalid_token"`},
		"early_token":      {401, `Bearer error="invalid_token"`},
		"bad_key":          {401, `Bearer error="invalid_token"`},
		"bad_ticket":       {401, `Bearer error="invalid_token"`},
		"token_in_query":   {400, ""},
		"cross_origin":     {403, ""},
		"forbidden":        {403, `Bearer error="insufficient_scope"`},
		"revoked_token":    {401, `Bearer error="invalid_token"`},
		"keys_unavailable": {503, ""},
		"auth_unavailable": {503, ""},
		"too_many_revoked": {503, ""},
		"too_many_tickets": {503, ""},
	} {
		e := &access.Error{Code: c, Detail: "x"}
		if e.Status() != want.status || e.Challenge() != want.challenge {
			t.Errorf("%s has %d and %q, want %d and %q", c, e.Status(), e.Challenge(), want.status, want.challenge)
		}
		if (e.RetryAfter() > 0) != (want.status == 503) || e.RetryAfter()%time.Second != 0 {
			t.Errorf("%s: retry after %v", c, e.RetryAfter())
		}
		if !errors.As(error(e), new(*access.Error)) || e.Error() != string(c)+": x" {
			t.Errorf("%s reads %q", c, e)
		}
	}
}
