package access_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
)

// grants answers with a body of type application/json, and headers given as name
// and value in turn.
func grants(body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		_, _ = io.WriteString(w, body)
	}
}

// says answers with a status and headers.
func says(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

func forward(t testing.TB, o access.ForwardOptions) *access.Forward {
	t.Helper()
	f, err := access.OpenForward(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// asking returns a verifier that has no keys and asks the application.
func asking(t testing.TB, f *access.Forward, o access.Options) *access.Verifier {
	t.Helper()
	o.Forward = f
	v, err := access.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const aliceJSON = `{"user":"alice","publish":["rooms/7"],"subscribe":["rooms/*"]}`

func TestForwardTellsTheApplicationOfTheRequest(t *testing.T) {
	var got http.Header
	var line string
	s := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		got, line = r.Header, r.Method+" "+r.URL.RequestURI()
		grants(aliceJSON)(w, r)
	})
	r := get("https://weir.example/v1/topics/a%20b?x=1&y=%zz",
		"Authorization", "Basic eA==", "Cookie", "sid=1", "Cookie", "theme=dark", "Origin", "https://weir.example",
		"User-Agent", "test/1", "Accept-Language", "de", "Accept-Encoding", "gzip", "Connection", "x-hop", "X-Hop", "1", "TE", "trailers",
		"Transfer-Encoding", "chunked", "Upgrade", "websocket", "Proxy-Authorization", "Basic eA==", "Content-Length", "5", "Range", "bytes=0-1",
		"X-Forwarded-For", "6.6.6.6", "X-Forwarded-Uri", "/public", "X-Forwarded-Method", "HEAD", "X-Forwarded-Host", "evil.example",
		"X-Forwarded-Proto", "gopher", "X-Real-Ip", "6.6.6.6", "Forwarded", "for=6.6.6.6", "Last-Event-Id", "5")
	r.Method, r.RemoteAddr, r.TLS = "DELETE", "192.0.2.7:4711", new(tls.ConnectionState)
	own := http.Header{
		"Authorization": {"Basic eA=="}, "Cookie": {"sid=1; theme=dark"}, "Origin": {"https://weir.example"}, "User-Agent": {"test/1"},
		"Accept-Language": {"de"}, "Accept": {"application/json"}, "Accept-Encoding": {"identity"},
		"X-Forwarded-Method": {"DELETE"}, "X-Forwarded-Uri": {"/v1/topics/a%20b?x=1&y=%zz"}, "X-Forwarded-For": {"192.0.2.7"},
		"X-Forwarded-Host": {"weir.example"}, "X-Forwarded-Proto": {"https"},
	}
	proxied := own.Clone()
	proxied["X-Forwarded-For"], proxied["X-Forwarded-Host"], proxied["X-Forwarded-Proto"] = []string{"2001:db8::1"}, []string{"shop.example"}, []string{"http"}
	for name, c := range map[string]struct {
		client func(*http.Request) access.Client
		want   http.Header
	}{
		"from the request": {nil, own},
		"from the server": {func(*http.Request) access.Client {
			return access.Client{Address: "2001:db8::1", Host: "shop.example", Proto: "http"}
		}, proxied},
	} {
		f := forward(t, access.ForwardOptions{URL: s.URL + "/auth?for=weir", Client: c.client})
		g, err := asking(t, f, access.Options{}).FromRequest(r)
		if err != nil || g.User != "alice" {
			t.Fatalf("%s: FromRequest gives %+v, %v", name, g, err)
		}
		if line != "GET /auth?for=weir" || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: the application got %s with\n%v, want\n%v", name, line, got, c.want)
		}
	}
	if _, err := asking(t, forward(t, access.ForwardOptions{URL: s.URL}), access.Options{}).FromRequest(get("/")); err != nil || got["User-Agent"] != nil {
		t.Errorf("for a request without User-Agent the application got %q, %v, want none", got["User-Agent"], err)
	}
}

// TestForwardDecidesAboutTheRest: who is asked about which request.
func TestForwardDecidesAboutTheRest(t *testing.T) {
	app := newKeyServer(t, grants(`{"user":"app"}`))
	tickets := access.NewTickets(0)
	key, err := access.ParseAPIKey("key:"+apiKey, access.Grant{})
	if err != nil {
		t.Fatal(err)
	}
	f := forward(t, access.ForwardOptions{URL: app.URL})
	full := access.Options{Keys: []access.Key{secretKey(t, "")}, APIKeys: []access.APIKey{key}, Tickets: tickets, Cookie: "weir"}
	noKeys := full
	noKeys.Keys = nil
	token, page := good(t), "http://weir.example/v1/events"
	for _, c := range []struct {
		name   string
		opts   access.Options
		target string
		header []string
		user   string
		code   access.Code
	}{
		{"nothing", full, page, nil, "app", ""},
		{"cookie of the application", full, page, []string{"Cookie", "sid=1"}, "app", ""},
		{"Basic", full, page, []string{"Authorization", "Basic eA=="}, "app", ""},
		{"opaque token", full, page, []string{"Authorization", "Bearer abc"}, "app", ""},
		{"unknown API key", full, page, []string{"Authorization", "Bearer " + apiKey + "x"}, "app", ""},
		{"encrypted token", full, page, []string{"Authorization", "Bearer eyJ.a.b.c.d"}, "app", ""},
		{"token", full, page, []string{"Authorization", "Bearer " + token}, "alice", ""},
		{"bad token", full, page, []string{"Authorization", "Bearer " + token + "x"}, "", access.BadToken},
		{"nothing behind Bearer", full, page, []string{"Authorization", "Bearer "}, "", access.BadToken},
		{"two headers", full, page, []string{"Authorization", "Basic eA==", "Authorization", "Basic eA=="}, "", access.BadToken},
		{"API key", full, page, []string{"Authorization", "Bearer " + apiKey}, "key", ""},
		{"API key and a cookie", noKeys, page, []string{"Authorization", "Bearer " + apiKey, "Cookie", "weir=x"}, "key", ""},
		{"token in the cookie", full, page, []string{"Cookie", "sid=1; weir=" + token}, "alice", ""},
		{"bad token in the cookie", full, page, []string{"Cookie", "sid=1; weir=x"}, "", access.BadToken},
		{"ticket never issued", full, page + "?ticket=x", []string{"Cookie", "sid=1"}, "", access.BadTicket},
		{"token in the query", full, page + "?access_token=x", nil, "", access.TokenInQuery},
		{"token, no keys", noKeys, page, []string{"Authorization", "Bearer " + token}, "app", ""},
		{"cookie, no keys", noKeys, page, []string{"Cookie", "weir=x"}, "app", ""},
		{"two cookies, no keys", noKeys, page, []string{"Cookie", "weir=x; weir=y"}, "app", ""},
	} {
		before := f.Stats().Requests
		g, err := asking(t, f, c.opts).FromRequest(get(c.target, c.header...))
		if g.User != c.user || code(err) != c.code {
			t.Errorf("%s: FromRequest gives %q, %v, want %q, %q", c.name, g.User, err, c.user, c.code)
		}
		if asked := f.Stats().Requests - before; (asked == 1) != (c.user == "app") {
			t.Errorf("%s: the application decided %d times", c.name, asked)
		}
	}
	ticket, err := tickets.Issue(t.Context(), access.Grant{User: "ticket"})
	if err != nil {
		t.Fatal(err)
	}
	if g, err := asking(t, f, full).FromRequest(get(page+"?ticket="+ticket, "Cookie", "sid=1")); err != nil || g.User != "ticket" {
		t.Errorf("ticket: %+v, %v", g, err)
	}
	if _, err := access.New(access.Options{Forward: f, Anonymous: new(access.Grant)}); err == nil || !strings.HasPrefix(err.Error(), "anonymous: the application") {
		t.Errorf("New with an anonymous grant besides: %v", err)
	}
}

func TestForwardReadsTheGrant(t *testing.T) {
	s := newKeyServer(t, http.NotFound)
	at := time.Now().Add(time.Hour).Truncate(time.Second)
	for _, c := range []struct {
		name, body string
		want       access.Grant
	}{
		{"all", fmt.Sprintf(`{"user":"alice","id":"7","publish":["a"],"subscribe":["b/*","c"],"expires":%d,"streams":3,"rate":5}`, at.Unix()),
			access.Grant{User: "alice", ID: "7", Publish: []string{"a"}, Subscribe: []string{"b/*", "c"}, Expires: at, Limits: access.Limits{Streams: 3, Rate: 5}}},
		{"RFC 3339", `{"expires":"` + at.UTC().Format(time.RFC3339) + `"}`, access.Grant{Expires: at.UTC()}},
		{"empty", ` {} `, access.Grant{}},
		{"null is as if absent", `{"user":null,"id":null,"publish":null,"subscribe":null,"expires":null,"streams":null,"rate":null}`, access.Grant{}},
		{"unknown fields", `{"User":"x","admin":true,"roles":[{"a":1}],"user":"alice"}`, access.Grant{User: "alice"}},
	} {
		s.set(grants(c.body, "Content-Type", "Application/JSON; charset=utf-8"))
		g, err := asking(t, forward(t, access.ForwardOptions{URL: s.URL}), access.Options{}).FromRequest(get("/"))
		if err != nil || !reflect.DeepEqual(plain(g), c.want) || time.Since(g.Issued) > time.Minute {
			t.Errorf("%s: FromRequest gives\n%+v, %v, want\n%+v", c.name, g, err, c.want)
		}
	}
}

// TestForwardFailsClosed: whatever is wrong with the application, nothing is allowed.
func TestForwardFailsClosed(t *testing.T) {
	s := newKeyServer(t, http.NotFound)
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   string // part of the report
	}{
		{"204", says(204), "the answer is 204; want 200 with a grant"},
		{"200 without a body", says(200), `200 with the Content-Type ""; want application/json`},
		{"200 and JSON announced", says(200, "Content-Type", "application/json"), "the grant in the answer: not a JSON object"},
		{"a page", grants("<html>log in</html>", "Content-Type", "text/html"), `Content-Type "text/html"; want application/json`},
		{"a grant of another type", grants(aliceJSON, "Content-Type", "text/plain"), `Content-Type "text/plain"`},
		{"201", says(201, "Content-Type", "application/json"), "the answer is 201"},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) }, "the answer is 302; redirects are not followed"},
		{"400", says(400), "the answer is 400"},
		{"404", says(404), "the answer is 404"},
		{"429", says(429), "the answer is 429"},
		{"500", says(500), "the answer is 500"},
		{"503", says(503, "Retry-After", "1"), "the answer is 503"},
		{"large", grants(`{"x":"` + strings.Repeat("x", 64<<10) + `"}`), "more than 65536 bytes"},
		{"large header", grants(aliceJSON, "X-Large", strings.Repeat("x", 70<<10)), "headers exceeded 65536 bytes"},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			grants("{")(w, r)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, "more than 65536 bytes"},
		{"compressed", grants("\x1f\x8b\x08\x00", "Content-Encoding", "gzip"), "not UTF-8"},
		{"cut", grants(aliceJSON, "Content-Length", "500"), "unexpected EOF"},
		{"hung up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		{"null", grants("null"), "not a JSON object"},
		{"true", grants("true"), "not a JSON object"},
		{"a list", grants("[" + aliceJSON + "]"), "not a JSON object"},
		{"two grants", grants(aliceJSON + aliceJSON), "more than one JSON value"},
		{"publish twice", grants(`{"publish":[],"publish":["**"]}`), `the name "publish" comes twice`},
		{"publish is text", grants(`{"publish":"**"}`), "field publish: want a list"},
		{"user is a number", grants(`{"user":7}`), "field user: want a string"},
		{"user with a line end", grants(`{"user":"a\nb"}`), "control character U+000A"},
		{"bad pattern", grants(`{"subscribe":["a/**/b"]}`), `subscribe: pattern "a/**/b"`},
		{"many patterns", grants(`{"subscribe":["` + strings.Join(slices.Repeat([]string{"a"}, 101), `","`) + `"]}`), "101 patterns, limit 100"},
		{"expires is no time", grants(`{"expires":"tomorrow"}`), "field expires: want a time"},
		{"expires before 1970", grants(`{"expires":"1969-01-01T00:00:00Z"}`), "field expires: want a time"},
		{"expires is true", grants(`{"expires":true}`), "field expires: want seconds"},
		{"no streams", grants(`{"streams":0}`), "field streams: want a whole number"},
		{"half a message", grants(`{"rate":0.5}`), "field rate: want a whole number"},
		{"large number", grants(`{"rate":1e999}`), "a number in it is too large"},
	} {
		s.set(c.answer)
		reports := make(chan error, 10)
		f := forward(t, access.ForwardOptions{URL: s.URL, Timeout: patience, Report: func(err error) { reports <- err }})
		g, err := asking(t, f, access.Options{}).FromRequest(get("/", "Cookie", "sid=1"))
		if code(err) != access.AuthUnavailable || !reflect.DeepEqual(g, access.Grant{}) {
			t.Errorf("%s: FromRequest gives %+v, %v, want auth_unavailable", c.name, g, err)
			continue
		}
		if strings.Contains(err.Error(), s.URL) || strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: the client is told %q", c.name, err)
		}
		report := next(t, reports)
		if report == nil || !strings.HasPrefix(report.Error(), "ask "+s.URL+": ") || !strings.Contains(report.Error(), c.want) || errors.Unwrap(err).Error() != report.Error() {
			t.Errorf("%s: reported is %v, and the cause is %v, want %q", c.name, report, errors.Unwrap(err), c.want)
		}
		if st := f.Stats(); st.Failures != 1 || st.Calls != 1 || st.Cached != 0 {
			t.Errorf("%s: %+v, want one failure and nothing kept", c.name, st)
		}
	}
}

func TestForwardPassesRefusalsOn(t *testing.T) {
	s := newKeyServer(t, http.NotFound)
	for _, c := range []struct {
		name      string
		answer    http.HandlerFunc
		code      access.Code
		status    int
		challenge string
	}{
		{"401", says(401), access.NoToken, 401, "Bearer"},
		{"403", says(403), access.Forbidden, 403, `Bearer error="insufficient_scope"`},
		{"how to log in", says(401, "WWW-Authenticate", `Basic realm="shop"`), access.NoToken, 401, `Basic realm="shop"`},
		{"two ways", says(401, "WWW-Authenticate", `Basic realm="shop"`, "WWW-Authenticate", "Bearer"), access.NoToken, 401, `Basic realm="shop", Bearer`},
		{"403 with a way", says(403, "WWW-Authenticate", "Bearer"), access.Forbidden, 403, "Bearer"},
		{"too long", says(401, "WWW-Authenticate", strings.Repeat("x", 1001)), access.NoToken, 401, "Bearer"},
		{"expired", grants(`{"expires":1}`), access.ExpiredToken, 401, `Bearer error="invalid_token"`},
		{"401 with a grant", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(401)
			_, _ = io.WriteString(w, aliceJSON)
		}, access.NoToken, 401, "Bearer"},
	} {
		s.set(c.answer)
		f := forward(t, access.ForwardOptions{URL: s.URL, Report: func(err error) { t.Errorf("%s: %v is reported", c.name, err) }})
		g, err := asking(t, f, access.Options{}).FromRequest(get("/"))
		e, _ := errors.AsType[*access.Error](err)
		if e == nil || e.Code != c.code || e.Status() != c.status || e.Challenge() != c.challenge || !reflect.DeepEqual(g, access.Grant{}) {
			t.Errorf("%s: FromRequest gives %+v, %v, want %s, %d, %q", c.name, g, err, c.code, c.status, c.challenge)
		}
		if st := f.Stats(); st.Refusals != 1 || st.Failures != 0 {
			t.Errorf("%s: %+v, want one refusal", c.name, st)
		}
	}
}

// TestRefusalSaysHowToGetIn, naming only ways that there are.
func TestRefusalSaysHowToGetIn(t *testing.T) {
	s := newKeyServer(t, says(401))
	f := forward(t, access.ForwardOptions{URL: s.URL})
	keys := []access.Key{secretKey(t, "")}
	for _, c := range []struct {
		opts access.Options
		want string
	}{
		{access.Options{Cookie: "weir"}, "no_token: the application does not know who this is; say who you are: as the application wants it, such as with its cookie"},
		{access.Options{Cookie: "weir", Keys: keys, Tickets: access.NewTickets(0)}, "no_token: the application does not know who this is; say who you are: " +
			"Authorization: Bearer TOKEN, or with the cookie weir, or with ?ticket=TICKET, or as the application wants it, such as with its cookie"},
	} {
		if _, err := asking(t, f, c.opts).FromRequest(get("/")); err == nil || err.Error() != c.want {
			t.Errorf("FromRequest gives %v, want %q", err, c.want)
		}
		_, err := asking(t, f, c.opts).FromRequest(get("/", "Sec-Fetch-Site", "cross-site"))
		if want := c.want + ". Cookies, and Authorization other than Bearer, do not count for pages of other origins"; err == nil || err.Error() != want {
			t.Errorf("from another origin: %v, want %q", err, want)
		}
	}
	want := "no_token: say who you are: Authorization: Bearer TOKEN, or with the cookie weir"
	if _, err := verifier(t, access.Options{Cookie: "weir"}).FromRequest(get("/")); err == nil || err.Error() != want {
		t.Errorf("without an application: %v, want %q", err, want)
	}
}

// TestForeignPagesDoNotSendWhatBrowsersAdd: the application would take them for its
// own user.
func TestForeignPagesDoNotSendWhatBrowsersAdd(t *testing.T) {
	s := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := json.Marshal(strings.TrimSpace(r.Header.Get("Authorization") + " " + r.Header.Get("Cookie")))
		grants(`{"user":`+string(text)+`,"id":"`+r.Header.Get("Origin")+`"}`)(w, r)
	})
	v := asking(t, forward(t, access.ForwardOptions{URL: s.URL}), access.Options{Origins: []string{"https://app.example"}})
	for _, c := range []struct {
		name          string
		authorization string
		header        []string
		want          string
	}{
		{"own page", "Basic eA==", []string{"Sec-Fetch-Site", "same-origin"}, "Basic eA== sid=1"},
		{"no browser", "Basic eA==", nil, "Basic eA== sid=1"},
		{"page that is allowed", "Basic eA==", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://app.example"}, "Basic eA== sid=1"},
		{"other page", "Basic eA==", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ""},
		{"other page, any case", "bASIC eA==", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ""},
		{"other page, Negotiate", "Negotiate eA==", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, ""},
		{"other page, old browser", "Digest x", []string{"Origin", "https://evil.example"}, ""},
		{"other page with a token", "Bearer abc", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, "Bearer abc"},
		{"image", "", []string{"Sec-Fetch-Site", "cross-site"}, ""},
		{"other host of the site", "", []string{"Sec-Fetch-Site", "same-site", "Origin", "http://blog.weir.example"}, ""},
		{"sandbox", "", []string{"Origin", "null"}, ""},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := get("http://weir.example/v1/events", append([]string{"Cookie", "sid=1"}, c.header...)...)
			if r.Method = method; c.authorization != "" {
				r.Header.Set("Authorization", c.authorization)
			}
			g, err := v.FromRequest(r)
			if err != nil || g.User != c.want || g.ID != r.Header.Get("Origin") {
				t.Errorf("%s, %s: the application got %q from origin %q, %v, want %q", c.name, method, g.User, g.ID, err, c.want)
			}
		}
	}
}

func TestClosedForwardRefuses(t *testing.T) {
	release := make(chan struct{})
	s := newKeyServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "" {
			grants(aliceJSON)(w, r)
			return
		}
		<-release
	})
	defer close(release)
	reports := make(chan error, 10)
	f := forward(t, access.ForwardOptions{URL: s.URL, Timeout: time.Hour, Cache: time.Hour, Report: func(err error) { reports <- err }})
	v := asking(t, f, access.Options{})
	if _, err := v.FromRequest(get("/", "Cookie", "sid=1")); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1)
	go func() {
		_, err := v.FromRequest(get("/"))
		waiting <- err
	}()
	for deadline := time.Now().Add(patience); s.fetches.Load() < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	f.Close()
	f.Close()
	select {
	case err := <-waiting:
		if code(err) != access.AuthUnavailable {
			t.Errorf("a request that waits: %v, want auth_unavailable", err)
		}
	case <-time.After(patience):
		t.Error("a request waits on after Close")
	}
	for _, cookie := range []string{"sid=1", "sid=2"} {
		_, err := v.FromRequest(get("/", "Cookie", cookie))
		if code(err) != access.AuthUnavailable || !strings.HasSuffix(errors.Unwrap(err).Error(), "closed") {
			t.Errorf("after Close: %v (%v), want auth_unavailable", err, errors.Unwrap(err))
		}
	}
	if len(reports) != 0 {
		t.Errorf("reported is %v", <-reports)
	}
}

// TestForwardSendsNothingThatCannotBeSent, so that a client cannot make it look as if
// the application failed.
func TestForwardSendsNothingThatCannotBeSent(t *testing.T) {
	s := newKeyServer(t, grants(aliceJSON))
	f := forward(t, access.ForwardOptions{URL: s.URL, Report: func(err error) { t.Errorf("%v is reported", err) }})
	v := asking(t, f, access.Options{})
	host := get("/")
	host.Host = "a\r\nX-Evil: 1"
	for name, r := range map[string]*http.Request{
		"large cookie":              get("/", "Cookie", strings.Repeat("x", 17<<10)),
		"large in several lines":    get("/", "Cookie", strings.Repeat("x", 9<<10), "Cookie", strings.Repeat("x", 9<<10)),
		"large User-Agent":          get("/", "User-Agent", strings.Repeat("x", 17<<10)),
		"long URL":                  get("/?" + strings.Repeat("x", 17<<10)),
		"line end in a cookie":      get("/", "Cookie", "a\r\nX-Evil: 1"),
		"NUL in Authorization":      get("/", "Authorization", "Basic \x00"),
		"DEL in the language":       get("/", "Accept-Language", "\x7f"),
		"line end in the host name": host,
	} {
		if _, err := v.FromRequest(r); code(err) != access.BadToken {
			t.Errorf("%s: %v, want bad_token", name, err)
		}
	}
	if n := s.fetches.Load(); n != 0 {
		t.Errorf("%d calls, want 0", n)
	}
	if _, err := v.FromRequest(get("/ä", "Cookie", "name=ä\xff", "User-Agent", "a\tb")); err != nil {
		t.Errorf("bytes that headers may have: %v", err)
	}
}

func TestForwardChecksItsOptions(t *testing.T) {
	for url, ok := range map[string]bool{
		"http://app.internal:3000/auth": true, "https://app.example": true, "http://127.0.0.1:1/?for=weir": true,
		"app.example": false, "": false, "ftp://app.example/": false, "http:///auth": false, "http://app.example/#x": false, "http://user:secret@app.example/": false, "://": false,
	} {
		f, err := access.OpenForward(access.ForwardOptions{URL: url})
		if err == nil {
			f.Close()
		}
		if (err == nil) != ok || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("OpenForward(%q) gives %v, want accepted: %v", url, err, ok)
		}
	}
	for _, o := range []access.ForwardOptions{{Timeout: -1}, {MaxCache: -1}, {MaxInFlight: -1}} {
		o.URL = "http://app.example"
		if _, err := access.OpenForward(o); err == nil || !strings.HasPrefix(err.Error(), "forward auth: ") {
			t.Errorf("OpenForward(%+v) gives %v", o, err)
		}
	}
}

func TestForwardRefusesWhoIsNotThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	_, err := asking(t, forward(t, access.ForwardOptions{URL: s.URL}), access.Options{}).FromRequest(get("/"))
	if code(err) != access.AuthUnavailable || !strings.Contains(errors.Unwrap(err).Error(), "refused") {
		t.Errorf("FromRequest gives %v, %v", err, errors.Unwrap(err))
	}
}

// FuzzForwardGrantsAreSound: what an application says becomes a grant that passes its
// own check, or a refusal.
func FuzzForwardGrantsAreSound(f *testing.F) {
	f.Add(200, "application/json", aliceJSON, "max-age=5", "Bearer")
	f.Add(200, "application/json;", `{"expires":"2027-01-01T00:00:00Z","streams":1e9}`, "no-store,=,\"", "")
	f.Add(401, "", "", "max-age=\"", "Basic realm=\"x\"")
	f.Fuzz(func(t *testing.T, status int, kind, body, cache, challenge string) {
		app := roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{
				StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
				Header: http.Header{"Content-Type": {kind}, "Cache-Control": {cache}, "Www-Authenticate": {challenge}},
			}, nil
		})
		fw, err := access.OpenForward(access.ForwardOptions{URL: "http://app.example", Transport: app})
		if err != nil {
			t.Fatal(err)
		}
		defer fw.Close()
		g, err := asking(t, fw, access.Options{}).FromRequest(get("/"))
		e, _ := errors.AsType[*access.Error](err)
		switch {
		case err == nil && (status != 200 || g.Check() != nil || g.Expired(time.Now())):
			t.Errorf("%d %q %q gives %+v: %v", status, kind, body, g, g.Check())
		case err != nil && e == nil:
			t.Errorf("%d %q %q gives %v, not an *access.Error", status, kind, body, err)
		case err != nil && strings.ContainsAny(e.Challenge(), "\r\n\x00"):
			t.Errorf("the challenge is %q", e.Challenge())
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
