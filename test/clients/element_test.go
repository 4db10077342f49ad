package clients_test

import (
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
)

// texts returns the texts of the elements that a CSS selector finds.
func (b *tab) texts(selector string) []string {
	b.t.Helper()
	return eval[[]string](b, "selector => [...document.querySelectorAll(selector)].map(e => e.textContent)", selector)
}

// awaitTexts waits until a selector finds n elements and returns their texts.
func (b *tab) awaitTexts(selector string, n int) []string {
	b.t.Helper()
	var got []string
	await(b.t, selector, func() error {
		if got = b.texts(selector); len(got) < n {
			return fmt.Errorf("there are %d of them, %q, want %d", len(got), got, n)
		}
		return nil
	})
	return got
}

// awaitText waits until the first element that a selector finds says so.
func (b *tab) awaitText(selector string, says func(string) bool) string {
	b.t.Helper()
	var got string
	await(b.t, selector, func() error {
		if got = strings.Join(b.texts(selector), "|"); !says(got) {
			return fmt.Errorf("it says %q", got)
		}
		return nil
	})
	return got
}

func is(want string) func(string) bool { return func(got string) bool { return got == want } }

// click clicks as a user does, with a mouse, and again if the page has moved the
// element away meanwhile.
func (b *tab) click(selector string) {
	b.t.Helper()
	eval[bool](b, `selector => {
		weirTest.clicked = false;
		document.querySelector(selector).addEventListener("click", () => { weirTest.clicked = true; }, { once: true, capture: true });
		return true;
	}`, selector)
	await(b.t, "click on "+selector, func() error {
		b.do(chromedp.Click(chromedp.CSS(selector)))
		if !eval[bool](b, "() => weirTest.clicked") {
			return fmt.Errorf("another element was hit")
		}
		return nil
	})
}

// write puts text in the place of what a field holds.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(selector)), chromedp.SendKeys(chromedp.CSS(selector), text))
	if got := eval[string](b, "selector => document.querySelector(selector).value", selector); got != text {
		b.t.Fatalf("%s holds %q after typing %q", selector, got, text)
	}
}

// checkConsole fails the test if the page or the browser complained, for example
// of a violation of the page's policy.
func (b *tab) checkConsole() {
	b.t.Helper()
	if got := b.console.String(); got != "" {
		b.t.Errorf("the console has complaints:\n%s", got)
	}
}
