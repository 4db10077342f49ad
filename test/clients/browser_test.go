package clients_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/weirstream/weir/internal/proctest"
)

// browser is the Chromium that all tests share; each opens tabs of its own.
var browser chromium

type chromium struct {
	once   sync.Once
	ctx    context.Context
	cancel func()
	err    error
}

// context returns a context in which tabs can be opened.
func (c *chromium) context(t *testing.T) context.Context {
	t.Helper()
	path := proctest.Need(t, "chromium")
	c.once.Do(func() { c.start(path) })
	if c.err != nil {
		t.Fatalf("start chromium: %v", c.err)
	}
	return c.ctx
}

func (c *chromium) start(path string) {
	flags := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(filepath.Join(scratch, "chromium")),
		chromedp.CombinedOutput(io.Discard),
	}
	for _, name := range []string{
		"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "disable-dev-shm-usage",
		// Tabs in the background are tabs like the others.
		"disable-background-timer-throttling", "disable-backgrounding-occluded-windows", "disable-renderer-backgrounding",
	} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	allocator, release := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, cancel := chromedp.NewContext(allocator)
	c.ctx, c.cancel = ctx, func() { cancel(); release() }
	c.err = chromedp.Do(ctx)
}

func (c *chromium) stop() {
	if c.cancel != nil {
		c.cancel()
	}
}

// A tab is one page of the browser. Its methods fail the test when the browser
// does.
type tab struct {
	t       *testing.T
	ctx     context.Context
	console *proctest.Transcript // warnings, errors and exceptions, also those of the browser
}

// open opens an address in a new tab, with the recorder of testdata/record.js.
func open(t *testing.T, address string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser.context(t))
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx, console: new(proctest.Transcript)}
	b.do(chromedp.Func(func(context.Context, *chromedp.Target) error { return nil })) // opens the tab
	go b.listen(chromedp.Console(ctx))
	b.navigate(address)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("console of %s:\n%s", address, b.console)
		}
	})
	return b
}

// navigate goes to an address and adds the recorder.
func (b *tab) navigate(address string) {
	b.t.Helper()
	recorder, err := os.ReadFile(filepath.Join("testdata", "record.js"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := chromedp.Navigate(address)(ctx, target)
		return err
	}))
	b.do(chromedp.Evaluate[chromedp.Void](string(recorder)))
}

func (b *tab) listen(messages func(func(chromedp.ConsoleMessage, error) bool)) {
	for m, err := range messages {
		if err != nil {
			return // the tab is closed
		}
		switch m.Type {
		case chromedp.ConsoleWarning, chromedp.ConsoleError, chromedp.ConsoleException:
			fmt.Fprintf(b.console, "%s %s (%s)\n", m, m.URL, m.Source)
		}
	}
}

// do runs actions.
func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	do(b, chromedp.Steps(actions...))
}

func do[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := b.ctx, func() {}
	if chromedp.FromContext(ctx).Target != nil { // else the tab would end with the timeout
		ctx, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("browser: %v", err)
	}
	return v
}

// eval calls a JavaScript function, given as an expression, and returns its
// result, or what its promise gives.
func eval[T any](b *tab, function string, args ...any) T {
	b.t.Helper()
	texts := make([]string, len(args))
	for i, arg := range args {
		text, err := json.Marshal(arg)
		if err != nil {
			b.t.Fatal(err)
		}
		texts[i] = string(text)
	}
	expression := "(" + function + ")(" + strings.Join(texts, ", ") + ")"
	return do(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// A record is something that an EventSource told the page.
type record struct {
	Kind string  // "open", "error", "message" (onmessage), "event" (a listener)
	Type string  // of the event
	Data string  // of the event
	ID   string  // lastEventId
	At   float64 // milliseconds since the page was opened
	Left int     // readyState: 0 connecting, 1 open, 2 closed
}

func (r record) String() string {
	switch r.Kind {
	case "message", "event":
		return fmt.Sprintf("%s %s %q %s", r.Kind, r.Type, r.Data, r.ID)
	}
	return fmt.Sprintf("%s %d", r.Kind, r.Left)
}

// A source is an EventSource of a page.
type source struct {
	*tab
	number int
}

// source opens an EventSource, with listeners for types and, always, weir.gap.
func (b *tab) source(address string, types ...string) *source {
	b.t.Helper()
	return &source{b, eval[int](b, "weirTest.open", address, append([]string{"weir.gap"}, types...), false)}
}

// sourceWithCredentials is source for an EventSource that sends cookies anywhere.
func (b *tab) sourceWithCredentials(address string) *source {
	b.t.Helper()
	return &source{b, eval[int](b, "weirTest.open", address, []string{"weir.gap"}, true)}
}

// records returns all there is of some kinds, or of all.
func (s *source) records(kinds ...string) []record {
	s.t.Helper()
	var some []record
	for _, r := range eval[[]record](s.tab, "number => weirTest.records[number]", s.number) {
		if len(kinds) == 0 || strings.Contains(" "+strings.Join(kinds, " ")+" ", " "+r.Kind+" ") {
			some = append(some, r)
		}
	}
	return some
}

// await waits for n records of some kinds.
func (s *source) await(n int, kinds ...string) []record {
	s.t.Helper()
	var got []record
	await(s.t, fmt.Sprintf("%d of %v", n, kinds), func() error {
		if got = s.records(kinds...); len(got) < n {
			return fmt.Errorf("the page has\n%v", s.records())
		}
		return nil
	})
	return got
}

// opened waits until the stream is open and the page has read its first bytes,
// which no event tells. What the page asks the server for later is answered later.
func (s *source) opened() {
	s.t.Helper()
	s.await(1, "open")
	eval[string](s.tab, "() => fetch(location.href, {cache: 'no-store'}).then(r => r.text())")
	eval[bool](s.tab, "() => new Promise(done => setTimeout(done, 20, true))")
}

func (s *source) close() {
	s.t.Helper()
	eval[bool](s.tab, "weirTest.close", s.number)
}

// data returns the data of records.
func data(records []record) []string {
	texts := make([]string, len(records))
	for i, r := range records {
		texts[i] = r.Data
	}
	return texts
}

// after returns the time between two records.
func (r record) after(earlier record) time.Duration {
	return time.Duration((r.At - earlier.At) * float64(time.Millisecond))
}
