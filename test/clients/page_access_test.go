package clients_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/proctest"
)

// pageSecret signs the tokens of these tests.
const pageSecret = "a secret that only the tests of the page know"

// guarded starts a server with access control: the keys of withKeys, and tokens. Its
// own requests have the key that may do anything.
func guarded(t *testing.T, args ...string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(pageSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serve(t, slices.Concat(withKeys(t), []string{"--access.secret-file", file, "--access.leeway", "0"}, args)...)
	s.http.Transport = withBearer{s.http.Transport, fullKey}
	return s
}

// withBearer sends a token or key with each request.
type withBearer struct {
	http.RoundTripper
	text string
}

func (b withBearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.text)
	return b.RoundTripper.RoundTrip(r)
}

// token returns a token of alice, who may do anything, for a time.
func token(t *testing.T, life time.Duration) string {
	t.Helper()
	key, err := access.NewSecret("", []byte(pageSecret))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{"**"}
	text, err := key.Sign(access.Grant{User: "alice", Publish: all, Subscribe: all, Expires: time.Now().Add(life)}, access.Stamp{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A secretary passes requests on to a server and writes down all of them that is not
// the header Authorization.
type secretary struct {
	url  string
	seen proctest.Transcript
}

func newSecretary(t *testing.T, s *server) *secretary {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	y := new(secretary)
	pass := httputil.NewSingleHostReverseProxy(target)
	pass.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {} // the browser has left
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		y.write(r)
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	y.url = front.URL
	return y
}

func (y *secretary) write(r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what is missing is missed by the server
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	rest := r.Header.Clone()
	rest.Del("Authorization")
	fmt.Fprintf(&y.seen, "%s %s %v %s\n", r.Method, r.RequestURI, rest, body)
}

// shown reports which of the parts of the page that are about access can be seen.
func (b *tab) shown() string {
	b.t.Helper()
	return strings.Join(eval[[]string](b, `() => ["access-form", "access-bar"].filter(id => document.getElementById(id).checkVisibility())`), " ")
}

// awaitShown waits until one part is shown and the other is not.
func (b *tab) awaitShown(part string) {
	b.t.Helper()
	await(b.t, part, func() error {
		if got := b.shown(); got != part {
			return fmt.Errorf("shown is %q", got)
		}
		return nil
	})
}

// signIn pastes a token or key.
func (b *tab) signIn(text string) {
	b.t.Helper()
	b.awaitShown("access-form")
	eval[bool](b, `text => {
		const field = document.getElementById("access-key");
		field.focus();
		field.select();
		return document.execCommand("insertText", false, text);
	}`, text)
	b.click("#access-form button[type=submit]")
}

func has(part string) func(string) bool {
	return func(text string) bool { return strings.Contains(text, part) }
}

// reload loads the page again.
func (b *tab) reload() {
	b.t.Helper()
	b.navigate(eval[string](b, "() => location.href"))
}

// checkRefusalsOnly fails the test if the page or the browser complained about more
// than answers that say who may not do what.
func (b *tab) checkRefusalsOnly() {
	b.t.Helper()
	for _, line := range b.console.Lines() {
		if !strings.Contains(line, "status of 401") && !strings.Contains(line, "status of 403") {
			b.t.Errorf("the console has a complaint: %s", line)
		}
	}
	if got := eval[[]string](b, "() => window.stopped ?? []"); len(got) > 0 {
		b.t.Errorf("the policy has stopped %q", got)
	}
}

// checkKeeps fails the test unless a text is nowhere in the page or its storage, or,
// with inTab, in the storage of the tab alone.
func (b *tab) checkKeeps(text string, inTab bool) {
	b.t.Helper()
	places := eval[[]string](b, `text => Object.entries({
		address: location.href, "the document": document.documentElement.outerHTML,
		fields: [...document.querySelectorAll("input, textarea")].map(e => e.value).join(" "),
		cookies: document.cookie, "the storage of the browser": JSON.stringify({ ...localStorage }),
		"the storage of the tab": JSON.stringify({ ...sessionStorage }),
		history: JSON.stringify(history.state), "the name of the window": window.name,
	}).filter(([, has]) => (has ?? "").includes(text)).map(([place]) => place)`, text)
	want := []string{"the storage of the tab"}
	if !inTab {
		want = []string{}
	}
	if !slices.Equal(places, want) {
		b.t.Errorf("the token or key is in %q, want %q", places, want)
	}
}

func TestPageAsksWhoIsThereAndWorksOnceItKnows(t *testing.T) {
	t.Parallel()
	y := newSecretary(t, guarded(t))
	page := openWatched(t)
	page.navigate(y.url + "/")
	page.awaitShown("access-form")
	page.awaitText("#state-text", is("Closed · The server asks who you are"))
	page.awaitText("#access-spoken", has("This server asks who you are"))
	page.awaitText("#version", has("go1."))

	page.signIn("nobody-knows-this-key-4711-0815-abcdef")
	page.awaitText("#access-said", has("The API key is not known"))
	page.signIn(fullKey)
	page.awaitShown("access-bar")
	page.awaitText("#access-state", has("until you leave this page"))
	page.checkKeeps(fullKey, false)

	page.awaitText("#state-text", is("Open"))
	page.awaitText("#n-connections", func(text string) bool { return strings.ContainsAny(text, "123456789") })
	page.write("#pub-data", "told by somebody known")
	page.click("#publish button[type=submit]")
	page.awaitText("#pub-result", has("Kept as "))
	page.awaitText("#feed-rows .row-data", is("told by somebody known"))
	page.awaitText("#pub-curl", has(`-H "Authorization: Bearer $WEIR_TOKEN"`))
	page.click("#time-start")
	page.awaitTexts("#time-lines li", 2)
	page.click("#time-drop") // comes back with another ticket
	page.awaitText("#time-lines", has("Connection 2Server time"))
	page.click("#time-start")
	page.click("#chunks-start")
	page.awaitTexts("#chunks-lines li", 1)
	page.click("#chunks-start")
	page.click("#history-publish")
	page.awaitTexts("#history-early-lines li", 1)
	page.click("#history-forget")
	page.awaitText("#history-note", is("The topic is empty again."))

	page.checkRefusalsOnly()
	page.checkKeeps(fullKey, false)
	if seen := y.seen.String(); strings.Contains(seen, fullKey) || !strings.Contains(seen, "&ticket=") || !strings.Contains(seen, "/demo/time?ticket=") {
		t.Errorf("want requests with tickets, and the key in the header Authorization alone:\n%s", seen)
	}
	page.reload()
	page.awaitShown("access-form")
}

func TestTabRemembersAKeyIfAskedToAndForgetsIt(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.awaitShown("access-form")
	page.click("#access-keep")
	page.signIn(fullKey)
	page.awaitText("#access-state", has("This tab remembers it"))
	page.checkKeeps(fullKey, true)
	page.reload()
	page.awaitText("#state-text", is("Open"))
	if got := page.shown(); got != "access-bar" {
		t.Errorf("shown is %q after loading the page again, want the line", got)
	}
	page.click("#access-forget")
	page.awaitText("#state-text", is("Closed · The server asks who you are"))
	page.awaitShown("access-form")
	page.checkKeeps(fullKey, false)
	if got := eval[string](page, "() => document.activeElement.id"); got != "access-key" {
		t.Errorf("the focus is on %q, want the field", got)
	}
	page.reload()
	page.awaitShown("access-form")
	page.checkRefusalsOnly()
}

func TestLinkToADemoGetsATicket(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.signIn(fullKey)
	page.awaitText("#state-text", is("Open"))
	opened := chromedp.WaitNewTarget(page.ctx, func(info *target.Info) bool { return strings.Contains(info.URL, "/demo/chunks?ticket=") })
	page.click("#chunks-page")
	select {
	case id := <-opened:
		ctx, cancel := chromedp.NewContext(page.ctx, chromedp.WithTargetID(id))
		t.Cleanup(cancel)
		(&tab{t: t, ctx: ctx}).awaitText("body", has("Piece 1 of 10"))
	case <-time.After(patience):
		t.Fatal("the link opens no window")
	}
}

func TestPageWithoutAccessControlShowsNothingOfIt(t *testing.T) {
	t.Parallel()
	page := open(t, serve(t).url+"/")
	page.awaitText("#state-text", is("Open"))
	page.awaitText("#n-connections", has("2"))
	if got := page.shown() + page.texts("#access-spoken")[0]; got != "" {
		t.Errorf("the page shows %q", got)
	}
	page.awaitText("#pub-curl", func(text string) bool { return !strings.Contains(text, "Authorization") })
	page.checkConsole()
}

func TestPageSaysWhatAKeyMayNotDo(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.signIn(poorKey)
	page.awaitShown("access-bar")
	page.awaitText("#state-text", is("Closed · Not allowed"))
	page.awaitText("#feed-rows", has(`User "poor" may not read "playground".`))
	page.awaitText("#machine-state", is(`Not allowed. User "poor" may not read "weir/stats".`))
	page.click("#publish button[type=submit]")
	page.awaitText("#pub-result", is(`Not allowedUser "poor" may not publish to "playground".`))
	page.click("#time-start")
	page.awaitText("#time-note", is(`Not allowed. User "poor" may not read "weir/demo".`))
	page.click("#chunks-start")
	page.awaitText("#chunks-note", is(`Not allowed. User "poor" may not read "weir/demo".`))

	page.click("#access-other") // what was not allowed is tried again
	page.signIn(fullKey)
	page.awaitText("#state-text", is("Open"))
	page.awaitText("#n-connections", func(text string) bool { return strings.ContainsAny(text, "123456789") })
	page.checkRefusalsOnly()
}

func TestPageOffersMoreToThoseWhoSaidNothing(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t, "--access.anonymous-subscribe", "playground").url+"/")
	page.awaitText("#state-text", is("Open"))
	page.awaitShown("access-bar")
	page.awaitText("#access-state", is(`Not allowed. This request may not read "weir/stats".`))
	page.click("#access-other")
	page.signIn(fullKey)
	page.awaitText("#n-connections", func(text string) bool { return strings.ContainsAny(text, "123456789") })
	page.click("#access-forget")
	page.awaitText("#machine-state", has(`may not read "weir/stats"`))
	page.awaitText("#state-text", is("Open"))
	page.checkRefusalsOnly()
}

func TestPageWithACookieAsksNothing(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t, "--access.cookie", "session").url+"/")
	page.awaitShown("access-form")
	eval[string](page, `text => document.cookie = "session=" + text`, token(t, time.Hour))
	page.reload()
	page.awaitText("#state-text", is("Open"))
	page.awaitText("#n-connections", func(text string) bool { return strings.ContainsAny(text, "123456789") })
	if got := page.shown(); got != "" {
		t.Errorf("shown is %q", got)
	}
	eval[string](page, `() => document.cookie = "session=; max-age=0"`) // other tests are on this host, too
}

func TestPageResumesWithAnotherTicketAcrossABrokenNetwork(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	p := newProxy(t, s.addr)
	page := open(t, p.url+"/?topic=a")
	page.signIn(fullKey)
	page.awaitText("#state-text", is("Open"))
	refused := strings.Count(page.console.String(), "status of 401")
	s.publishNumbers("a", 1, 10)
	page.awaitTexts("#feed-rows .row", 10)
	p.setDown(true)
	page.awaitText("#state-text", has("Reconnecting"))
	s.publishNumbers("a", 11, 20)
	p.setDown(false)
	page.awaitText("#state-text", func(text string) bool { return strings.HasPrefix(text, "Open") })
	s.publishNumbers("a", 21, 30)
	page.awaitTexts("#feed-rows .row", 30)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 30)
	if got := page.texts("#feed-rows .gap"); len(got) != 0 || page.shown() != "access-bar" {
		t.Errorf("the page shows the gaps %q and %q", got, page.shown())
	}
	if strings.Count(page.console.String(), "status of 401") > refused {
		t.Errorf("a ticket was used again:\n%s", page.console)
	}
}

func TestPageAsksAgainWhenATokenHasExpiredAndMissesNothing(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	page := open(t, s.url+"/?topic=a")
	page.signIn(token(t, 5*time.Second))
	page.awaitText("#state-text", is("Open"))
	s.publishNumbers("a", 1, 10)
	page.awaitTexts("#feed-rows .row", 10)
	page.awaitShown("access-form")
	page.awaitText("#access-said", has("The token has expired"))
	page.awaitText("#state-text", has("Closed"))
	s.publishNumbers("a", 11, 20)
	page.signIn(token(t, time.Hour))
	page.awaitTexts("#feed-rows .row", 20)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 20)
	page.checkRefusalsOnly()
}

func TestPageTellsThatATokenWillExpire(t *testing.T) {
	t.Parallel()
	s := guarded(t)
	page := open(t, s.url+"/?topic=a")
	page.signIn(token(t, 38*time.Second)) // told 30 s before the end, if the stream is open by then
	page.awaitText("#state-text", is("Open"))
	s.publishNumbers("a", 1, 10)
	page.awaitText("#access-state", has("It holds until "))
	tickets := `() => performance.getEntriesByType("resource").filter(e => e.name.endsWith("/v1/tickets")).length`
	before := eval[int](page, tickets)
	await(t, "streams are opened anew before the end", func() error {
		if got := eval[int](page, tickets); got < before+2 {
			return fmt.Errorf("%d tickets, before the notice %d", got, before)
		}
		return nil
	})
	s.publishNumbers("a", 11, 20)
	page.click("#access-other")
	page.signIn(token(t, time.Hour))
	page.awaitText("#access-state", func(text string) bool { return !strings.Contains(text, "It holds until ") })
	s.publishNumbers("a", 21, 30)
	page.awaitTexts("#feed-rows .row", 30)
	checkCount(t, "the page", page.texts("#feed-rows .row-data"), 30)
	page.checkRefusalsOnly()
}

func TestPageGoesBackToTheFieldWhenAccessIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, how := range map[string]string{"ended": "", "revoked": "&revoke=1h"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := guarded(t)
			page := open(t, s.url+"/?topic=a")
			page.click("#access-keep")
			text := token(t, time.Hour)
			page.signIn(text)
			page.awaitText("#state-text", is("Open"))
			page.checkKeeps(text, true)
			s.endConnections("user=alice" + how)
			page.awaitShown("access-form")
			page.awaitText("#access-said", has("Access was taken back"))
			page.awaitText("#state-text", has("Closed"))
			page.checkKeeps(text, false)
			page.signIn(fullKey)
			page.awaitText("#state-text", is("Open"))
			page.checkRefusalsOnly()
		})
	}
}

// endConnections ends the streams that a query selects.
func (s *server) endConnections(query string) {
	s.t.Helper()
	r, err := http.NewRequest(http.MethodDelete, s.url+"/v1/connections?"+query, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		s.t.Fatalf("end the streams of %s: status %d, %s, %v", query, resp.StatusCode, body, err)
	}
}

func TestPageSaysThatThereIsNoRoomAndWhenItComesBack(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.signIn(slowKey) // one stream, and the page wants two
	said := page.awaitText("#machine-state, #state-text", has("Too many streams are open"))
	if strings.Contains(page.texts("#machine-state")[0], "Too many") {
		page.awaitText("#machine-state", has(`limit 1. Back at `))
		page.awaitText("#state-text", is("Open"))
	} else {
		page.awaitText("#feed-rows", has("limit 1."))
		if !strings.Contains(said, " s · Too many streams are open") {
			t.Errorf("the playground says %q, want when it comes back", said)
		}
	}
	page.checkRefusalsOnly()
}

func TestPageWithoutTicketsSaysSoAndPublishes(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t, "--access.tickets", "0").url+"/")
	page.signIn(fullKey)
	page.awaitText("#machine-state", has("This server issues no tickets"))
	page.click("#publish button[type=submit]")
	page.awaitText("#pub-result", has("Kept as "))
}

func TestPartsAboutAccessFitANarrowScreen(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.do(chromedp.EmulateViewport(360, 740))
	fits := func(what string) {
		t.Helper()
		beyond := eval[[]string](page, `() => {
			const most = document.documentElement.clientWidth;
			return [...document.querySelectorAll("body *")].filter(e => e.checkVisibility() && e.closest("#access, .top, .head"))
				.filter(e => e.getBoundingClientRect().left < 0 || e.getBoundingClientRect().right > most || document.documentElement.scrollWidth > most)
				.map(e => e.tagName + " " + e.id);
		}`)
		if len(beyond) > 0 {
			t.Errorf("%s: %q are wider than the screen", what, beyond)
		}
	}
	page.awaitShown("access-form")
	fits("the field")
	page.signIn("nobody-knows-this-key-4711-0815-abcdef")
	page.awaitText("#access-said", has("The API key is not known"))
	fits("the field after a wrong key")
	page.signIn(fullKey)
	page.awaitShown("access-bar")
	fits("the line")
}

// TestPageIsSignedInToWithTheKeyboard uses no mouse.
func TestPageIsSignedInToWithTheKeyboard(t *testing.T) {
	t.Parallel()
	page := open(t, guarded(t).url+"/")
	page.awaitShown("access-form")
	focused := func(want string) {
		t.Helper()
		await(t, "focus", func() error {
			if got := eval[string](page, "() => document.activeElement.id"); got != want {
				return fmt.Errorf("is on %q, want %q", got, want)
			}
			return nil
		})
	}
	focused("access-key") // it is all that one can do here
	page.do(chromedp.KeyEvent("wrong key\r"))
	page.awaitText("#access-said", has("Not a token or key"))
	focused("access-key")
	page.do(chromedp.KeyEvent("nobody-knows-this-key-4711-0815-abcdef\r")) // in place of what is selected
	page.awaitText("#access-said", has("The API key is not known"))
	if got := eval[string](page, `() => document.getElementById("access-key").getAttribute("aria-invalid")`); got != "true" {
		t.Errorf("aria-invalid is %q, want true", got)
	}
	page.do(chromedp.KeyEvent(fullKey + "\r"))
	focused("access-state")
	page.do(chromedp.KeyEvent("\t\t\r")) // to the second button
	focused("access-key")
	page.awaitShown("access-form")
}
