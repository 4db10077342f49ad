package clients_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// watchPolicy runs before anything of a page does, and collects what the page's
// policy stops.
const watchPolicy = `window.stopped = [];
document.addEventListener("securitypolicyviolation", e => stopped.push(e.effectiveDirective + " " + e.blockedURI));`

// openWatched opens a tab in which watchPolicy will come first.
func openWatched(t *testing.T) *tab {
	t.Helper()
	b := open(t, "about:blank")
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watchPolicy})
		return err
	}))
	return b
}

// begin goes to an address and does not wait until all of it is there.
func (b *tab) begin(address string) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, page.Navigate, page.NavigateParams{URL: address})
		return err
	}))
}

// checkPolicy fails the test if the policy has stopped anything, or if the console
// says so.
func (b *tab) checkPolicy() {
	b.t.Helper()
	if got := eval[[]string](b, "() => window.stopped"); len(got) > 0 {
		b.t.Errorf("the policy has stopped %q", got)
	}
	b.checkConsole()
}

func TestPageAndDemosWorkUnderTheirPolicy(t *testing.T) {
	t.Parallel()
	b := openWatched(t)
	b.navigate(serve(t).url + "/")
	b.awaitText("#state-text", is("Open"))
	b.write("#pub-topic", "playground")
	b.write("#pub-data", "x")
	b.click("#publish button[type=submit]")
	b.awaitTexts("#feed-rows .row", 1)
	b.click("[data-copy]")
	b.click("#theme")
	b.click("#time-start")
	b.awaitTexts("#time-lines li", 1)
	b.click("#time-start") // a browser opens six connections to a server
	b.click("#chunks-start")
	b.awaitTexts("#chunks-lines li", 1)
	b.click("#chunks-start")
	b.click("#history-publish")
	b.awaitTexts("#history-early-lines li", 1)
	b.awaitText("#n-connections", func(text string) bool { return strings.ContainsAny(text, "123456789") })
	b.awaitText("#version", func(text string) bool { return strings.Contains(text, "go1.") })
	if got := eval[string](b, "() => getComputedStyle(document.querySelector('.skip')).position"); got != "absolute" && got != "fixed" {
		t.Errorf("the style sheet is not in force: the link to skip to the content is %q", got)
	}
	b.checkPolicy()
}

func TestDemosAsPagesOfTheirOwnWorkUnderTheirPolicy(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for path, says := range map[string]string{"/demo/chunks": "Piece 1 of 10", "/demo/time": "Counter: 2"} {
		b := openWatched(t)
		b.begin(s.url + path)
		b.awaitText("body", func(text string) bool { return strings.Contains(text, says) })
		b.checkPolicy()
	}
}

// TestPolicyStopsWhatThePageDoesNotDo tries what somebody would who has got a piece
// of markup into the page.
func TestPolicyStopsWhatThePageDoesNotDo(t *testing.T) {
	t.Parallel()
	other := otherOrigin(t)
	b := openWatched(t)
	b.navigate(serve(t).url + "/")
	b.awaitText("#state-text", is("Open"))
	for name, c := range map[string]struct{ does, stopped string }{
		"a script in the page":   {`document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = true"}))`, "script-src-elem inline"},
		"an event handler":       {`document.body.setAttribute("onclick", "window.ran = true")`, "script-src-attr inline"},
		"a script from a string": {`setTimeout("window.ran = true")`, "script-src eval"},
		"a script of another":    {`document.body.append(Object.assign(document.createElement("script"), {src: other + "/x.js"}))`, "script-src-elem "},
		"a connection elsewhere": {`fetch(other).catch(() => {})`, "connect-src "},
		"an event stream":        {`new EventSource(other)`, "connect-src "},
		"an image elsewhere":     {`new Image().src = other + "/secret.png"`, "img-src "},
		"a frame":                {`document.body.append(Object.assign(document.createElement("iframe"), {src: "/"}))`, "frame-src "},
		"another base":           {`document.head.append(Object.assign(document.createElement("base"), {href: other}))`, "base-uri "},
		"a form elsewhere":       {`{ const form = Object.assign(document.createElement("form"), {action: other}); document.body.append(form); form.submit() }`, "form-action "},
	} {
		eval[bool](b, "other => { stopped.length = 0; "+c.does+"; return true }", other)
		await(t, name, func() error {
			got := eval[[]string](b, "() => window.stopped")
			if !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, c.stopped) }) {
				return fmt.Errorf("the policy has stopped %q, want %s", got, c.stopped)
			}
			return nil
		})
	}
	if eval[bool](b, "() => window.ran === true") {
		t.Error("a script ran")
	}
}

func TestPageOfAnotherOriginCannotFrameThePage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	b := open(t, otherOrigin(t))
	eval[bool](b, `address => { document.body.append(Object.assign(document.createElement("iframe"), {src: address})); return true }`, s.url+"/")
	await(t, "a complaint about the frame", func() error {
		if got := b.console.String(); !strings.Contains(got, "frame-ancestors") {
			return fmt.Errorf("the console has %q", got)
		}
		return nil
	})
}

func TestPageAndDemosSendSecurityHeaders(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, path := range []string{"/", "/favicon.ico", "/demo/time", "/demo/chunks", "/nowhere"} {
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for name, want := range map[string]string{
			"Content-Security-Policy":    "default-src 'none'",
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "no-referrer",
			"X-Frame-Options":            "DENY",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Permissions-Policy":         "camera=()",
		} {
			if got := resp.Header.Values(name); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("%s: %s is %q, want %s", path, name, got, want)
			}
		}
	}
}
