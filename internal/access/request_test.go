package access_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/weirstream/weir/internal/access"
)

// bearer returns a request with the token.
func bearer(token string) *http.Request {
	return get("http://weir.example/v1/events", "Authorization", "Bearer "+token)
}

// get returns a request with headers, given as name and value in turn.
func get(target string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestRequestIsReadInOrder(t *testing.T) {
	tickets := access.NewTickets(0)
	v := verifier(t, access.Options{Tickets: tickets, Cookie: "weir"})
	token := func(user string) string {
		return sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"sub": user}))
	}
	ticket, err := tickets.Issue(t.Context(), access.Grant{User: "ticket"})
	if err != nil {
		t.Fatal(err)
	}
	page, withTicket := "http://weir.example/v1/events?topic=a", "http://weir.example/v1/events?topic=a&ticket="+ticket
	header, cookie := "Bearer "+token("header"), "other=x; weir="+token("cookie")
	for _, c := range []struct {
		name string
		r    *http.Request
		user string
		code access.Code
	}{
		{"all", get(withTicket, "Authorization", header, "Cookie", cookie), "header", ""},
		{"case of the scheme", get(page, "Authorization", "bEARER  "+token("header")+" "), "header", ""},
		{"cookie and ticket", get(withTicket, "Cookie", cookie), "cookie", ""},
		{"cookie", get(page, "Cookie", cookie), "cookie", ""},
		{"bad header, good rest", get(withTicket, "Authorization", "Bearer ey.x.y", "Cookie", cookie), "", access.BadToken},
		{"empty header, good rest", get(withTicket, "Authorization", "Bearer ", "Cookie", cookie), "", access.BadToken},
		{"bad cookie, good ticket", get(withTicket, "Cookie", "weir=x"), "", access.BadToken},
		{"two headers", get(page, "Authorization", header, "Authorization", header), "", access.BadToken},
		{"two cookies", get(page, "Cookie", cookie, "Cookie", cookie), "", access.BadToken},
		{"two tickets", get(withTicket + "&ticket=x"), "", access.BadTicket},
		{"nothing", get(page), "", access.NoToken},
		{"cookie of another name", get(page, "Cookie", "Weir="+token("cookie")), "", access.NoToken},
		{"empty ticket", get(page + "&ticket="), "", access.NoToken},
		{"bare token", get(page, "Authorization", token("header")), "", access.NoToken},
		{"not a token", bearer("abc"), "", access.BadToken},
		{"Basic and cookie", get(page, "Authorization", "Basic eA==", "Cookie", cookie), "cookie", ""},
		{"ticket, which the others have not used up", get(withTicket), "ticket", ""},
		{"ticket again", get(withTicket), "", access.BadTicket},
	} {
		g, err := v.FromRequest(c.r)
		if g.User != c.user || code(err) != c.code {
			t.Errorf("%s: FromRequest gives %q, %v, want %q, %q", c.name, g.User, err, c.user, c.code)
		}
		if err != nil && strings.Contains(err.Error(), "ey") {
			t.Errorf("%s: the error %q holds a part of the token", c.name, err)
		}
	}
}

func TestCookieCountsForTheSameOriginOnly(t *testing.T) {
	v := verifier(t, access.Options{Cookie: "weir", Origins: []string{"https://app.example", "https://*.pages.example"}})
	for _, c := range []struct {
		name   string
		header []string
		want   access.Code
	}{
		{"no browser", nil, ""},
		{"same origin", []string{"Sec-Fetch-Site", "same-origin"}, ""},
		{"typed in", []string{"Sec-Fetch-Site", "none"}, ""},
		{"same site, another host", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://other.weir.example"}, access.CrossOrigin},
		{"cross site", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, access.CrossOrigin},
		{"cross site without Origin, as an image", []string{"Sec-Fetch-Site", "cross-site"}, access.CrossOrigin},
		{"old browser, same origin", []string{"Origin", "http://weir.example"}, ""},
		{"old browser, other origin", []string{"Origin", "http://evil.example"}, access.CrossOrigin},
		{"old browser, sandbox", []string{"Origin", "null"}, access.CrossOrigin},
		{"trusted origin", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, ""},
		{"trusted pattern", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://a.pages.example"}, ""},
		{"not quite the pattern", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evilpages.example"}, access.CrossOrigin},
		{"trusted name, other port", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example:8443"}, access.CrossOrigin},
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, "QUERY"} {
			r := get("http://weir.example/v1/topics/a", append([]string{"Cookie", "weir=" + good(t)}, c.header...)...)
			r.Method = method
			if _, err := v.FromRequest(r); code(err) != c.want {
				t.Errorf("%s, %s: %v, want %q", c.name, method, err, c.want)
			}
		}
	}
	// A header is not added by the browser, so it counts wherever it comes from.
	if _, err := v.FromRequest(get("/", "Authorization", "Bearer "+good(t), "Sec-Fetch-Site", "cross-site")); err != nil {
		t.Errorf("header of a page of another origin: %v", err)
	}
}

func TestCookieThatDoesNotCountIsAsIfAbsent(t *testing.T) {
	tickets := access.NewTickets(0)
	ticket, _ := tickets.Issue(t.Context(), access.Grant{User: "ticket"})
	v := verifier(t, access.Options{Cookie: "weir", Tickets: tickets, Anonymous: &access.Grant{User: "anybody"}})
	foreign := []string{"Cookie", "weir=" + good(t), "Sec-Fetch-Site", "cross-site"}
	for target, want := range map[string]string{"/?ticket=" + ticket: "ticket", "/": "anybody"} {
		if g, err := v.FromRequest(get(target, foreign...)); err != nil || g.User != want {
			t.Errorf("FromRequest gives %q, %v, want %q", g.User, err, want)
		}
	}
}

func TestAnonymousIsForRequestsThatSayNothing(t *testing.T) {
	v := verifier(t, access.Options{Anonymous: &access.Grant{Subscribe: []string{"public/**"}}})
	g, err := v.FromRequest(get("/"))
	if err != nil || g.MaySubscribe("public/a") != nil || g.MaySubscribe("a") == nil || g.MayPublish("public/a") == nil {
		t.Errorf("FromRequest gives %+v, %v", g, err)
	}
	expired := sign(t, jwt.SigningMethodHS256, secret, "", claims(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}))
	if _, err := v.FromRequest(bearer(expired)); code(err) != access.ExpiredToken {
		t.Errorf("an expired token gives %v, want expired_token and not what anybody may", err)
	}
}

func TestTokenInQueryIsRefused(t *testing.T) {
	v := verifier(t, access.Options{Tickets: access.NewTickets(0), Anonymous: new(access.Grant)})
	token := good(t)
	for _, c := range []struct {
		query string
		want  access.Code
	}{
		{"access_token=" + token, access.TokenInQuery},
		{"access_token=opaque", access.TokenInQuery},
		{"token=" + token, access.TokenInQuery},
		{"jwt=" + token, access.TokenInQuery},
		{"ticket=" + token, access.TokenInQuery},
		{"authorization=" + url.QueryEscape("Bearer "+token), access.TokenInQuery},
		{"topic=a;b&%zz&auth=" + token, access.TokenInQuery},
		{"token=7", ""},
		{"topic=" + token, ""},
		{"", ""},
	} {
		for _, header := range [][]string{nil, {"Authorization", "Bearer " + token}} {
			_, err := v.FromRequest(get("/v1/events?"+c.query, header...))
			if code(err) != c.want {
				t.Errorf("query %q: %v, want %q", c.query, err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), token[:10]) {
				t.Errorf("the error %q holds the token", err)
			}
		}
	}
}

func TestTicketsThatAreTurnedOffAreRefused(t *testing.T) {
	_, err := verifier(t, access.Options{Anonymous: new(access.Grant)}).FromRequest(get("/?ticket=x"))
	if code(err) != access.BadTicket {
		t.Errorf("FromRequest gives %v, want bad_ticket", err)
	}
}
