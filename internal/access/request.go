package access

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/weirstream/weir/internal/origin"
)

// FromRequest returns what a request may do, or an [*Error]. It takes the first of:
//
//   - the header Authorization: Bearer, with a JSON Web Token or an API key;
//   - the cookie, with a token, unless a page of another origin made the browser
//     send it: a browser adds cookies to requests that no script of this site made;
//   - the parameter ticket of the query, which is used up by that;
//   - with [Options.Forward], what the application says to its headers.
//
// What comes first counts, also if it is refused: a bad token in the header is not
// made good by a cookie. A token in the query is refused in any case.
//
// With [Options.Forward], a token or cookie for it counts as one only if there are keys
// for tokens, and what is behind Bearer only if it looks like a token or is an API
// key. All else is for the application. From pages of other origins it is not sent
// what browsers add by themselves: cookies, and Authorization other than Bearer.
func (v *Verifier) FromRequest(r *http.Request) (Grant, error) {
	g, err := v.identify(r)
	return v.unlessRevoked(g, err)
}

func (v *Verifier) unlessRevoked(g Grant, err error) (Grant, error) {
	if err == nil && v.opts.Revoked != nil {
		err = v.opts.Revoked.Check(g)
	}
	if err != nil {
		return Grant{}, err
	}
	return g, nil
}

func (v *Verifier) identify(r *http.Request) (Grant, error) {
	ticket, err := readQuery(r)
	if err != nil {
		return Grant{}, err
	}
	bearer, err := readHeader(r)
	if err != nil {
		return Grant{}, err
	}
	if bearer != "" {
		return v.bearer(r, bearer)
	}
	return v.withoutHeader(r, ticket)
}

func (v *Verifier) withoutHeader(r *http.Request, ticket string) (Grant, error) {
	token, err := v.readCookie(r)
	if err != nil {
		return Grant{}, err
	}
	foreign := token != "" && v.isForeign(r)
	switch {
	case token != "" && !foreign:
		return v.token(r.Context(), token)
	case ticket != "" && v.opts.Tickets == nil:
		return Grant{}, refuse(BadTicket, "this server has no tickets")
	case ticket != "":
		return v.opts.Tickets.Redeem(r.Context(), ticket)
	case v.opts.Forward != nil:
		return v.forward(r)
	case v.opts.Anonymous != nil:
		return *v.opts.Anonymous, nil
	case foreign:
		return Grant{}, refuse(CrossOrigin, "the cookie %s does not count for pages of other origins: send a token in the header Authorization, or a ticket", v.opts.Cookie)
	}
	return Grant{}, v.noToken(r)
}

func (v *Verifier) noToken(r *http.Request) error {
	if r.Header.Get("Authorization") != "" {
		return refuse(NoToken, "the header Authorization does not begin with Bearer") // nor is it quoted: it may be a bare token
	}
	return refuse(NoToken, "say who you are: %s", v.ways())
}

// ways lists how a request can say who it is from.
func (v *Verifier) ways() string {
	var ways []string
	if v.opts.Forward == nil || v.hasKeys() || len(v.opts.APIKeys) > 0 {
		ways = append(ways, "Authorization: Bearer TOKEN")
	}
	if v.readsCookie() {
		ways = append(ways, "with the cookie "+v.opts.Cookie)
	}
	if v.opts.Tickets != nil {
		ways = append(ways, "with ?ticket=TICKET")
	}
	if v.opts.Forward != nil {
		ways = append(ways, "as the application wants it, such as with its cookie")
	}
	return strings.Join(ways, ", or ")
}

// forward asks the application.
func (v *Verifier) forward(r *http.Request) (Grant, error) {
	foreign := v.isForeign(r)
	q, err := v.opts.Forward.question(r, !foreign)
	if err != nil {
		return Grant{}, err
	}
	g, err := v.opts.Forward.ask(r.Context(), q)
	e, refused := errors.AsType[*Error](err)
	if !refused || e.Code != NoToken {
		return g, err
	}
	own := *e // that one is shared
	own.Detail += "; say who you are: " + v.ways()
	if foreign {
		own.Detail += ". Cookies, and Authorization other than Bearer, do not count for pages of other origins"
	}
	return Grant{}, &own
}

// bearer checks what stands behind the word Bearer.
func (v *Verifier) bearer(r *http.Request, text string) (Grant, error) {
	if g, found := findKey(v.opts.APIKeys, text); found {
		return g, nil
	}
	if v.opts.Forward != nil && !(v.hasKeys() && isToken(text)) {
		return v.forward(r)
	}
	if !isToken(text) && (len(v.opts.APIKeys) > 0 || !v.hasKeys()) {
		return Grant{}, refuse(BadKey, "the API key is not known, and it does not look like a token")
	}
	return v.token(r.Context(), text)
}

// readHeader returns the token of the header Authorization, or "" if there is none
// of the kind Bearer.
func readHeader(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) > 1 {
		return "", refuse(BadToken, "the header Authorization is given %d times: want it once", len(values))
	}
	if len(values) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", nil
	}
	if token = strings.TrimSpace(token); token == "" {
		return "", refuse(BadToken, "the header Authorization has no token behind Bearer")
	}
	return token, nil
}

// readCookie returns the value of the cookie, or "". Two of the name are refused: a
// neighbouring site can set one for a whole domain, and which comes first is up to
// the browser.
func (v *Verifier) readCookie(r *http.Request) (string, error) {
	if !v.readsCookie() {
		return "", nil
	}
	cookies := r.CookiesNamed(v.opts.Cookie)
	switch len(cookies) {
	case 0:
		return "", nil
	case 1:
		return cookies[0].Value, nil
	}
	return "", refuse(BadToken, "the cookie %s is given %d times: want it once", v.opts.Cookie, len(cookies))
}

// readsCookie reports whether the cookie is for weir: if there are no keys for tokens,
// it is for the application.
func (v *Verifier) readsCookie() bool {
	return v.opts.Cookie != "" && (v.hasKeys() || v.opts.Forward == nil)
}

// isForeign reports whether a page of another origin is behind the request. The
// rules are those of [http.CrossOriginProtection], which lets all GET requests pass;
// here they matter as well, because the page reads what they open. A request with
// neither Sec-Fetch-Site nor Origin is no browser's, or a GET for the page's own
// origin from an old one.
func (v *Verifier) isForeign(r *http.Request) bool {
	return !origin.Match(v.opts.Origins, r.Header.Get("Origin")) && v.origin.Check(&http.Request{Method: http.MethodPost, URL: r.URL, Header: r.Header, Host: r.Host}) != nil
}

// tokenParams are names under which tokens are put into URLs.
var tokenParams = []string{"access_token", "token", "jwt", "auth", "authorization", "bearer", "ticket"}

// readQuery returns the ticket, or "". A query that cannot be read holds none; who
// reads the other parameters says what is wrong with it.
func readQuery(r *http.Request) (ticket string, err error) {
	if r.URL.RawQuery == "" {
		return "", nil
	}
	q, _ := url.ParseQuery(r.URL.RawQuery)
	for _, name := range tokenParams {
		for _, value := range q[name] {
			if name == "access_token" || isToken(strings.TrimPrefix(value, "Bearer ")) {
				return "", refuse(TokenInQuery, "the parameter %s holds a token: URLs end up in logs, so send it in the header Authorization, or fetch a ticket", name)
			}
		}
	}
	if n := len(q["ticket"]); n > 1 {
		return "", refuse(BadTicket, "the parameter ticket is given %d times: want it once", n)
	}
	return q.Get("ticket"), nil
}
