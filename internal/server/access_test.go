package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
)

const (
	tokenSecret = "a secret that only this test knows, and nobody else"
	apiKey      = "an-api-key-that-only-this-test-knows-1234"
	otherKey    = "another-api-key-that-may-do-little-567890"
	ownPage     = "https://app.example"
	foreignPage = "https://elsewhere.example"
)

// guarded are settings with access control. What the grants allow is in [mine].
func guarded(t *testing.T) *config.Settings {
	t.Helper()
	s := defaults(t)
	s.Page = true
	s.Access.Secret = tokenSecret
	s.Access.Cookie = "weir"
	s.Access.Leeway = 0
	s.Access.APIKeys = []config.APIKey{
		{Name: "robot", Hash: digest(apiKey), Publish: mine.Publish, Subscribe: mine.Subscribe},
		{Name: "little", Hash: digest(otherKey), Publish: theirs.Publish, Subscribe: theirs.Subscribe},
	}
	s.CORS.Origins, s.CORS.Credentials = []string{ownPage}, true
	s.Log.Access = true
	return s
}

func digest(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// Grants of two users.
var (
	mine   = access.Grant{User: "ann", Publish: []string{"mine/**", "weir/connections"}, Subscribe: []string{"mine/**", "weir/**"}}
	theirs = access.Grant{User: "bob", Publish: []string{"theirs/**"}, Subscribe: []string{"theirs/**"}}
)

// signed returns a token that holds for an hour, unless the grant says otherwise.
func signed(t *testing.T, g access.Grant) string {
	t.Helper()
	return signedWith(t, tokenSecret, g)
}

func signedWith(t *testing.T, secret string, g access.Grant) string {
	t.Helper()
	k, err := access.NewSecret("", []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if g.Expires.IsZero() {
		g.Expires = time.Now().Add(time.Hour)
	}
	text, err := k.Sign(g, access.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// expiredToken returns a token that held for a time.
func expiredToken() string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(`{"sub":"ann","exp":1767225600,"subscribe":["**"]}`))
	mac := hmac.New(sha256.New, []byte(tokenSecret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

func bearer(token string) string { return "Authorization: Bearer " + token }

// ticket gets a ticket for what a token allows.
func (r *running) ticket(t *testing.T, token string) string {
	t.Helper()
	resp, body := r.do(t, "POST", "/v1/tickets", "", bearer(token))
	var issued struct{ Ticket string }
	if err := json.Unmarshal([]byte(body), &issued); err != nil || resp.StatusCode != 201 || issued.Ticket == "" {
		t.Fatalf("a ticket: %s %s", resp.Status, body)
	}
	return issued.Ticket
}

// ask sends a request, and returns the answer and as much of its body as there is
// without following a stream.
func (r *running) ask(t *testing.T, method, path, body string, header ...string) (resp *http.Response, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Add(name, value)
	}
	if resp, err = r.client.Do(req); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == 200 && resp.ContentLength < 0 {
		return resp, ""
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: read body: %v", method, path, err)
	}
	return resp, string(b)
}

// An endpoint is a request, and what it is answered if it may be sent.
type endpoint struct {
	method, path string // {n} is a number that no other request has
	body         string
	header       string
	stream       string // to be created before
	status       int
	anyToken     bool // whatever the token allows
}

const (
	form  = "Content-Type: application/x-www-form-urlencoded"
	lines = "Content-Type: application/x-ndjson"
	plain = "Content-Type: text/plain"
)

// endpoints are all resources that need a right, with their methods.
var endpoints = []endpoint{
	{method: "GET", path: "/v1/topics/mine/a", status: 200},
	{method: "GET", path: "/v1/topics/mine/**", status: 200},
	{method: "GET", path: "/v1/topics/mine/a?wait=0s", status: 200},
	{method: "HEAD", path: "/v1/topics/mine/a", status: 200},
	{method: "POST", path: "/v1/topics/mine/a", body: "x", status: 201},
	{method: "DELETE", path: "/v1/topics/mine/{n}", status: 204},
	{method: "GET", path: "/v1/events?topic=mine/a&topic=mine/b", status: 200},
	{method: "HEAD", path: "/v1/events?topic=mine/a", status: 200},
	{method: "QUERY", path: "/v1/events", body: "topic=mine/a&topic=mine/*", header: form, status: 200},
	{method: "POST", path: "/v1/events", body: "topic=mine/a", header: form, status: 200},
	{method: "POST", path: "/v1/events", body: `{"topic":"mine/a","data":"1"}`, header: lines, status: 200},
	{method: "GET", path: "/v1/connections", status: 200},
	{method: "DELETE", path: "/v1/connections?user=nobody", status: 200},
	{method: "POST", path: "/v1/tickets", status: 201, anyToken: true},
	{method: "PUT", path: "/v1/streams/mine/{n}", header: plain, status: 201},
	{method: "GET", path: "/v1/streams/mine/s?offset=-1", stream: "mine/s", status: 200},
	{method: "GET", path: "/v1/streams/mine/s?offset=-1&live=long-poll", stream: "mine/s", status: 200},
	{method: "GET", path: "/v1/streams/mine/s?offset=now&live=sse", stream: "mine/s", status: 200},
	{method: "HEAD", path: "/v1/streams/mine/s", stream: "mine/s", status: 200},
	{method: "POST", path: "/v1/streams/mine/s", body: "x", header: plain, stream: "mine/s", status: 204},
	{method: "PUT", path: "/v1/streams/mine/{n}", header: "Stream-Forked-From: /v1/streams/mine/s", stream: "mine/s", status: 201},
	{method: "DELETE", path: "/v1/streams/mine/{n}", stream: "mine/{n}", status: 204},
	{method: "GET", path: "/metrics", status: 200},
	{method: "GET", path: "/demo/time", status: 200},
	{method: "GET", path: "/demo/chunks", status: 200},
}

// A credential is how a request says who sends it.
type credential struct {
	name   string
	header []string
	param  string // of the query
	status int    // instead of the endpoint's own; 0: that
	code   string
}

// credentials are all ways to say who one is, right and wrong ones. The ticket and
// the used one are made for each request.
func credentials(t *testing.T) []credential {
	token, others := signed(t, mine), signed(t, theirs)
	cookie := "Cookie: weir=" + token
	return []credential{
		{name: "nothing", status: 401, code: "no_token"},
		{name: "nothing, from an allowed page", header: []string{"Origin: " + ownPage, "Sec-Fetch-Site: cross-site"}, status: 401, code: "no_token"},
		{name: "a token with a bad signature", header: []string{bearer(token[:len(token)-4] + "AAAA")}, status: 401, code: "bad_token"},
		{name: "an expired token", header: []string{bearer(expiredToken())}, status: 401, code: "expired_token"},
		{name: "a token for other topics", header: []string{bearer(others)}, status: 403, code: "forbidden"},
		{name: "the token", header: []string{bearer(token)}},
		{name: "the token, from an allowed page", header: []string{bearer(token), "Origin: " + ownPage, "Sec-Fetch-Site: cross-site"}},
		{name: "the token in the query", param: "access_token=" + token, status: 400, code: "token_in_query"},
		{name: "the token in the query by another name", param: "jwt=" + token, status: 400, code: "token_in_query"},
		{name: "the API key", header: []string{bearer(apiKey)}},
		{name: "an API key for other topics", header: []string{bearer(otherKey)}, status: 403, code: "forbidden"},
		{name: "an unknown API key", header: []string{bearer(apiKey + "x")}, status: 401, code: "bad_key"},
		{name: "the cookie", header: []string{cookie, "Sec-Fetch-Site: same-origin"}},
		{name: "the cookie, from no page", header: []string{cookie}},
		{name: "the cookie, from an allowed page", header: []string{cookie, "Origin: " + ownPage, "Sec-Fetch-Site: cross-site"}},
		{name: "the cookie, from a foreign page", header: []string{cookie, "Sec-Fetch-Site: cross-site"}, status: 403, code: "cross_origin"},
		{name: "the cookie, from a foreign page of an old browser", header: []string{cookie, "Origin: " + foreignPage}, status: 403, code: "cross_origin"},
		{name: "the cookie, from a sandboxed page", header: []string{cookie, "Origin: null"}, status: 403, code: "cross_origin"},
		{name: "two cookies", header: []string{cookie + "; weir=x"}, status: 401, code: "bad_token"},
		{name: "a ticket", param: "ticket={ticket}"},
		{name: "a used ticket", param: "ticket={used}", status: 401, code: "bad_ticket"},
		{name: "an invented ticket", param: "ticket=AAAA", status: 401, code: "bad_ticket"},
	}
}

// withParam adds a parameter to the query.
func withParam(path, param string) string {
	switch {
	case param == "":
		return path
	case strings.Contains(path, "?"):
		return path + "&" + param
	}
	return path + "?" + param
}

// A matrix sends every request with every credential and notes what must stay secret.
type matrix struct {
	*running
	token   string // that may do everything
	n       int    // requests sent
	secrets []string
}

// fill replaces what is different for each request.
func (m *matrix) fill(t *testing.T, text string) string {
	text = strings.ReplaceAll(text, "{n}", fmt.Sprint(m.n))
	if strings.Contains(text, "{ticket}") || strings.Contains(text, "{used}") {
		ticket := m.ticket(t, m.token)
		m.secrets = append(m.secrets, ticket)
		if strings.Contains(text, "{used}") {
			m.do(t, "HEAD", "/v1/topics/mine/a?ticket="+ticket, "")
		}
		text = strings.NewReplacer("{ticket}", ticket, "{used}", ticket).Replace(text)
	}
	return text
}

// want returns the status and code that a request should get.
func want(e endpoint, c credential) (int, string) {
	byTicket, byCookie := strings.HasPrefix(c.param, "ticket={t"), len(c.header) > 0 && strings.HasPrefix(c.header[0], "Cookie")
	switch {
	case e.anyToken && c.code == "forbidden":
		return e.status, ""
	case e.anyToken && c.status == 0 && (byTicket || byCookie): // tickets are for those with a header
		return 401, "no_token"
	case c.status == 0:
		return e.status, ""
	}
	return c.status, c.code
}

func (m *matrix) try(t *testing.T, e endpoint, c credential) {
	t.Helper()
	m.n++
	if e.stream != "" {
		m.do(t, "PUT", "/v1/streams/"+m.fill(t, e.stream), "x", bearer(m.token), plain)
	}
	header := c.header
	if e.header != "" {
		header = append([]string{e.header}, c.header...)
	}
	resp, body := m.ask(t, e.method, m.fill(t, withParam(e.path, c.param)), e.body, header...)
	what := fmt.Sprintf("%s %s with %s", e.method, e.path, c.name)
	status, code := want(e, c)
	if resp.StatusCode != status || code != "" && e.method != "HEAD" && problemCode(body) != code {
		t.Errorf("%s: %s %s, want %d %s", what, resp.Status, body, status, code)
	}
	if resp.StatusCode == 401 && !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("%s: 401 with WWW-Authenticate %q", what, resp.Header.Get("WWW-Authenticate"))
	}
	fromOwn := strings.Contains(strings.Join(c.header, "\n"), "Origin: "+ownPage)
	if got := resp.Header.Get("Access-Control-Allow-Origin"); e.path != "/metrics" && (got == ownPage) != fromOwn {
		t.Errorf("%s: Access-Control-Allow-Origin is %q", what, got)
	}
	if e.path == "/v1/tickets" && status == 201 {
		return // it does hold a secret
	}
	m.keepsSecrets(t, what, fmt.Sprint(resp.Header)+body)
}

func (m *matrix) keepsSecrets(t *testing.T, what, text string) {
	t.Helper()
	for _, secret := range m.secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s: a secret, %.20s…, is in %.200s", what, secret, text)
		}
	}
}

// problemCode returns the code of a problem document, or "".
func problemCode(body string) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(body), &p) // another answer has none
	return p.Code
}

// TestEveryRequestNeedsARight sends every request with every credential.
func TestEveryRequestNeedsARight(t *testing.T) {
	s := guarded(t)
	s.Durable.Wait = 10 * time.Millisecond
	m := &matrix{running: start(t, s), token: signed(t, mine), secrets: []string{tokenSecret, apiKey, otherKey}}
	everything := credentials(t)
	for _, c := range everything {
		for _, text := range append(c.header, c.param) {
			if _, token, found := strings.Cut(text, "eyJ"); found {
				m.secrets = append(m.secrets, token)
			}
		}
	}
	for _, e := range endpoints {
		for _, c := range everything {
			m.try(t, e, c)
		}
	}
	m.client.CloseIdleConnections()
	eventually(t, "all streams have ended", func() bool { return m.Streams() == 0 })
	m.stop(t)
	log := m.log.String()
	if strings.Count(log, " msg=request ") < 300 || strings.Count(log, " msg=stream ") < 20 {
		t.Errorf("the log does not have the requests:\n%.2000s", log)
	}
	m.keepsSecrets(t, "the log", log)
	if strings.Contains(log, "ticket=") {
		t.Error("the log has queries")
	}
}

// TestWhatIsForAllNeedsNoRight asks with no token, with a bad one, and with one in
// the query.
func TestWhatIsForAllNeedsNoRight(t *testing.T) {
	r := start(t, guarded(t))
	for _, path := range []string{"/", "/healthz", "/readyz", "/version", "/openapi.yaml"} {
		for _, header := range []string{"Accept: */*", bearer("x.y.z"), "Cookie: weir=x"} {
			if resp, body := r.do(t, "GET", path, "", header); resp.StatusCode != 200 || strings.Contains(body, `"code"`) {
				t.Errorf("GET %s with %q: %s", path, header, resp.Status)
			}
		}
	}
	for _, path := range []string{"/v1/topics/mine/a", "/v1/events", "/v1/tickets", "/v1/streams/a"} {
		resp, _ := r.do(t, "OPTIONS", path, "", "Origin: "+ownPage, "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization")
		if resp.StatusCode != 204 || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("a preflight of %s: %s %v", path, resp.Status, resp.Header)
		}
	}
}

// TestGrantsCoverAllThatARequestNames has requests of which a part is allowed.
func TestGrantsCoverAllThatARequestNames(t *testing.T) {
	r := start(t, guarded(t))
	token := bearer(signed(t, mine))
	robot := access.Grant{User: "robot", Publish: []string{"**"}, Subscribe: []string{"theirs/**"}}
	r.do(t, "PUT", "/v1/streams/theirs/s", "x", plain, bearer(signed(t, robot)))
	for _, c := range []struct{ method, path, body, header string }{
		{"GET", "/v1/events?topic=mine/a&topic=theirs/a", "", plain},
		{"GET", "/v1/topics/**", "", plain},
		{"GET", "/v1/topics/*/a", "", plain},
		{"HEAD", "/v1/topics/**", "", plain},
		{"GET", "/v1/topics/**?wait=0s&since=start", "", plain},
		{"GET", "/v1/events?topic=mine/a&topic=**&wait=0s", "", plain},
		{"QUERY", "/v1/events?topic=mine/a", "topic=theirs/a", form},
		{"PUT", "/v1/streams/mine/fork", "", "Stream-Forked-From: /v1/streams/theirs/s"},
		{"PUT", "/v1/streams/mine/fork", "", "Stream-Forked-From: /v1/streams/theirs%2fs"},
	} {
		resp, body := r.ask(t, c.method, c.path, c.body, token, c.header)
		if resp.StatusCode != 403 || c.method != "HEAD" && problemCode(body) != "forbidden" {
			t.Errorf("%s %s: %s %s, want 403", c.method, c.path, resp.Status, body)
		}
	}
	three := `{"topic":"mine/a","data":"1"}` + "\n" + `{"topic":"mine/b","data":"2"}` + "\n" + `{"topic":"theirs/a","data":"3"}` + "\n" + `{"topic":"mine/c","data":"4"}` + "\n"
	resp, body := r.do(t, "POST", "/v1/events", three, token, lines)
	if resp.StatusCode != 403 || problemCode(body) != "forbidden" || !strings.Contains(body, `"line":3,"published":2`) {
		t.Errorf("a line with a forbidden topic: %s %s", resp.Status, body)
	}
}
