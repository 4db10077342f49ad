package access

import (
	"net/http"
	"net/url"
	"strings"
)

// FromRequest returns what a request may do, or an [*Error]. It takes the first of:
//
//   - the header Authorization: Bearer, with a JSON Web Token or an API key;
//   - the cookie, with a token, unless a page of another origin made the browser
//     send it: a browser adds cookies to requests that no script of this site made;
//   - the parameter ticket of the query, which is used up by that.
//
// What comes first counts, also if it is refused: a bad token in the header is not
// made good by a cookie. A token in the query is refused in any case.
func (v *Verifier) FromRequest(r *http.Request) (Grant, error) {
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
		return v.Token(r.Context(), token)
	case ticket != "" && v.opts.Tickets == nil:
		return Grant{}, refuse(BadTicket, "this server has no tickets")
	case ticket != "":
		return v.opts.Tickets.Redeem(ticket)
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
	ways := "Authorization: Bearer TOKEN"
	if v.opts.Cookie != "" {
		ways += ", or with the cookie " + v.opts.Cookie
	}
	if v.opts.Tickets != nil {
		ways += ", or with ?ticket=TICKET"
	}
	return refuse(NoToken, "say who you are: %s", ways)
}

// bearer checks what stands behind the word Bearer.
func (v *Verifier) bearer(r *http.Request, text string) (Grant, error) {
	if g, found := findKey(v.opts.APIKeys, text); found {
		return g, nil
	}
	if !isToken(text) && (len(v.opts.APIKeys) > 0 || !v.hasKeys()) {
		return Grant{}, refuse(BadKey, "the API key is not known, and it does not look like a token")
	}
	return v.Token(r.Context(), text)
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
	if v.opts.Cookie == "" {
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

// isForeign reports whether a page of another origin is behind the request. The
// rules are those of [http.CrossOriginProtection], which lets all GET requests pass;
// here they matter as well, because the page reads what they open. A request with
// neither Sec-Fetch-Site nor Origin is no browser's, or a GET for the page's own
// origin from an old one.
func (v *Verifier) isForeign(r *http.Request) bool {
	return v.origin.Check(&http.Request{Method: http.MethodPost, URL: r.URL, Header: r.Header, Host: r.Host}) != nil
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
