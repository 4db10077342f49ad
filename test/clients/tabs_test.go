package clients_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"

	"github.com/weirstream/weir/internal/proctest"
)

// openTrusting opens a page whose certificate the browser would not accept.
func openTrusting(t *testing.T, address string) *tab {
	t.Helper()
	b := open(t, "about:blank")
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
		return err
	}))
	b.navigate(address)
	return b
}

// gauge returns a figure of /metrics.
func (s *server) gauge(name string) float64 {
	s.t.Helper()
	v, err := proctest.Metric(s.http, s.url, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// secureServer is a server with a certificate that no browser trusts.
func secureServer(t *testing.T, args ...string) *server {
	t.Helper()
	p := newPair(t)
	p.issue(t, "localhost")
	return serveTLS(t, append(args, "--tls.cert-file", p.cert, "--tls.key-file", p.key)...)
}

// TestTwelveTabsShareAConnection with HTTP/2: each has a stream and gets everything.
func TestTwelveTabsShareAConnection(t *testing.T) {
	t.Parallel()
	s := secureServer(t)
	sources := make([]*source, 12)
	for i := range sources {
		sources[i] = openTrusting(t, s.url+"/healthz").source("/v1/topics/a")
	}
	for _, source := range sources {
		source.await(1, "open")
	}
	if protocol := eval[string](sources[11].tab, "() => performance.getEntriesByType('navigation')[0].nextHopProtocol"); protocol != "h2" {
		t.Errorf("the browser speaks %q, want h2", protocol)
	}
	if got := s.gauge("weir_connections"); got != 12 {
		t.Errorf("%v streams are open", got)
	}
	s.publishNumbers("a", 1, 10)
	for i, source := range sources {
		source.await(10, "message")
		checkCount(t, fmt.Sprint("tab ", i+1), data(source.records("message", "event")), 10)
	}
	if got := s.gauge("weir_sockets"); got != 2 { // the test's own is one
		t.Errorf("%v connections are open, want one of the browser and one of the test", got)
	}
}

// TestSeventhTabWaitsWithoutHTTP2 is the problem that HTTP/2 solves: a browser opens six
// connections to one origin.
func TestSeventhTabWaitsWithoutHTTP2(t *testing.T) {
	t.Parallel()
	s := serve(t)
	tabs := make([]*tab, 7)
	for i := range tabs { // before the streams: the page of the seventh would not come
		tabs[i] = open(t, s.url+"/healthz")
	}
	sources := make([]*source, len(tabs))
	for i, b := range tabs {
		sources[i] = b.source("/v1/topics/a")
		if i < 6 {
			sources[i].await(1, "open")
		}
	}
	s.publishNumbers("a", 1, 1)
	for _, source := range sources[:6] {
		source.await(1, "message")
	}
	time.Sleep(time.Second)
	if got := sources[6].records(); len(got) > 0 {
		t.Errorf("the seventh was told %v, want nothing", got)
	}
	sources[0].close()
	sources[6].await(1, "open")
}

// TestMaxStreamsMakesABrowserWait has one stream more than a connection may have.
func TestMaxStreamsMakesABrowserWait(t *testing.T) {
	t.Parallel()
	s := secureServer(t, "--http.max-streams", "12")
	b := openTrusting(t, s.url+"/healthz")
	var sources []*source
	for range 13 {
		sources = append(sources, b.source("/v1/topics/a"))
	}
	isOpen := func(s *source) bool { return len(s.records("open")) > 0 }
	waiting := -1
	await(t, "twelve streams", func() error {
		waiting = slices.IndexFunc(sources, func(s *source) bool { return !isOpen(s) })
		if got := s.gauge("weir_connections"); got != 12 || waiting < 0 || slices.ContainsFunc(sources[waiting+1:], func(s *source) bool { return !isOpen(s) }) {
			return fmt.Errorf("%v are open, the first that waits is %d", got, waiting)
		}
		return nil
	})
	time.Sleep(500 * time.Millisecond)
	if got := sources[waiting].records(); len(got) > 0 {
		t.Errorf("the thirteenth was told %v, want nothing", got)
	}
	sources[(waiting+1)%13].close()
	sources[waiting].await(1, "open")
}
