package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/certs"
)

// TestACME asks a real ACME server.
func TestACME(t *testing.T) {
	program := buildPebble(t)
	for name, test := range map[string]func(t *testing.T, program string){
		"TLS-ALPN-01":                  issueByTLS,
		"HTTP-01":                      issueByHTTP,
		"the reason of a refusal":      refuse,
		"a renewal":                    renew,
		"a store that closes meantime": closeMeantime,
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, program) })
	}
}

func issueByTLS(t *testing.T, program string) {
	const name = "www.example.com"
	ln := listen(t)
	address := ln.Addr().String()
	p := startPebble(t, program, port(ln), closing(t), 90*day)
	var j journal
	cache := filepath.Join(t.TempDir(), "acme")
	s := open(t, p.options(&j, cache, name, "other.example.com"))
	if got := s.Expiry(); len(got) > 0 {
		t.Errorf("before the first handshake there is %v", got)
	}
	stop := serveOn(tls.NewListener(ln, s.TLSConfig()))
	first := handshakes(t, address, name)
	wantIssued(t, address, name)
	e := j.wantKinds(t, "after many handshakes", certs.Loaded)[0]
	got := s.Expiry()
	if len(got) != 1 || got[0] != (certs.Expiry{Name: name, Pair: -1, NotAfter: first}) || !e.NotAfter.Equal(first) || e.Pair != -1 {
		t.Errorf("the expiry is %v, reported %v, want %v", got, e, first)
	}
	wantNoRSA(t, address, name)
	j.wantKinds(t, "after a client without ECDSA")
	wantMode(t, cache, 0o700)
	wantMode(t, filepath.Join(cache, name), 0o600)
	stop()
	s.Close()

	p.process.Kill() // who asks now is not answered
	s = open(t, p.options(&j, cache, name))
	again := serve(t, s.TLSConfig())
	wantIssued(t, again, name)
	if got := served(t, again, name).NotAfter; !got.Equal(first) {
		t.Errorf("another certificate is served, until %v", got)
	}
	j.wantKinds(t, "after it was opened again", certs.Loaded)
	s.Close()
	for range 20 {
		wantIssued(t, again, name)
	}
}

// handshakes makes several handshakes at once and returns until when the one certificate
// is valid that all get.
func handshakes(t *testing.T, address, name string) time.Time {
	t.Helper()
	var all sync.WaitGroup
	serials := make([]string, 5)
	for i := range serials {
		all.Go(func() {
			if c, err := dial(t, address, &tls.Config{ServerName: name}); err == nil {
				defer c.Close()
				serials[i] = c.ConnectionState().PeerCertificates[0].SerialNumber.String()
			}
		})
	}
	all.Wait()
	leaf := served(t, address, name)
	for _, serial := range serials {
		if serial != leaf.SerialNumber.String() {
			t.Errorf("handshakes at once got the certificates %v, then came %v", serials, leaf.SerialNumber)
		}
	}
	return leaf.NotAfter
}

// wantNoRSA: what clients say they can must not make more certificates.
func wantNoRSA(t *testing.T, address, name string) {
	t.Helper()
	c, err := dial(t, address, &tls.Config{
		ServerName: name, MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	})
	if err == nil {
		c.Close()
		t.Error("a client without ECDSA is served")
	}
}

func wantMode(t *testing.T, name string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != want {
		t.Errorf("%s: %v, %v, want mode %v", name, info, err, want)
	}
}

func issueByHTTP(t *testing.T, program string) {
	const name = "www.example.com"
	ln := listen(t)
	p := startPebble(t, program, closing(t), port(ln), 90*day)
	var j journal
	s := open(t, p.options(&j, t.TempDir(), name))
	serveHTTP(t, ln, s.HTTPHandler(http.NotFoundHandler()))
	wantIssued(t, serve(t, s.TLSConfig()), name)
	if got := kinds(j.take()); len(got) != 2 || got[0] != certs.Warning || got[1] != certs.Loaded { // t.TempDir has mode 0755
		t.Errorf("reported %v", got)
	}
}

func serveHTTP(t *testing.T, ln net.Listener, h http.Handler) {
	t.Helper()
	server, done := &http.Server{Handler: h}, make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }()
	t.Cleanup(func() { server.Close(); <-done })
}

func refuse(t *testing.T, program string) {
	const name = "www.example.com"
	p := startPebble(t, program, closing(t), closing(t), 90*day)
	var j journal
	s := open(t, p.options(&j, filepath.Join(t.TempDir(), "acme"), name))
	s.HTTPHandler(http.NotFoundHandler())
	first := refusal(t, s, name)
	for _, want := range []string{`ACME for "www.example.com"`, "tls-alpn-01: ", "; http-01: "} {
		if !strings.Contains(first.Error(), want) {
			t.Errorf("the error is %v, want %q in it", first, want)
		}
	}
	if again := refusal(t, s, name); again.Error() != first.Error() {
		t.Errorf("the second handshake has the error %v, the first %v", again, first)
	}
	e := j.wantKinds(t, "after two handshakes", certs.Failed)[0]
	if e.Err.Error() != first.Error() || e.Names[0] != name {
		t.Errorf("reported %v, want %v", e, first)
	}
}

// refusal returns the error with which a handshake in memory fails at the server.
func refusal(t *testing.T, s *certs.Store, name string, protocols ...string) error {
	t.Helper()
	a, b := net.Pipe()
	failed := make(chan error)
	go func() { failed <- tls.Server(a, s.TLSConfig()).Handshake(); a.Close() }()
	tls.Client(b, &tls.Config{ServerName: name, InsecureSkipVerify: true, NextProtos: protocols}).Handshake()
	b.Close()
	err := <-failed
	if err == nil {
		t.Fatalf("the handshake for %q went well", name)
	}
	return err
}

// renew: autocert renews after two thirds of the life, without a handshake.
func renew(t *testing.T, program string) {
	const name = "www.example.com"
	ln := listen(t)
	address := ln.Addr().String()
	p := startPebble(t, program, port(ln), closing(t), 6*time.Second)
	var j journal
	loaded := make(chan certs.Event, 8)
	o := p.options(&j, filepath.Join(t.TempDir(), "acme"), name)
	o.Report = func(e certs.Event) { loaded <- e }
	s := open(t, o)
	t.Cleanup(serveOn(tls.NewListener(ln, s.TLSConfig())))
	wantIssued(t, address, name)
	first := (<-loaded).NotAfter
	select {
	case e := <-loaded:
		if e.Kind != certs.Loaded || !e.NotAfter.After(first) {
			t.Errorf("reported %v after a certificate until %v", e, first)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("no renewal within 30 s")
	}
	wantIssued(t, address, name)
}

func closeMeantime(t *testing.T, program string) {
	asked := make(chan struct{})
	once := sync.OnceFunc(func() { close(asked) })
	release := make(chan struct{})
	silent := port(serveConns(t, func(net.Conn) { once(); <-release }))
	defer close(release)
	p := startPebble(t, program, silent, silent, 90*day)
	var j journal
	s := open(t, p.options(&j, filepath.Join(t.TempDir(), "acme"), "www.example.com"))
	failed := make(chan error)
	go func() { failed <- refusal(t, s, "www.example.com") }()
	<-asked
	s.Close()
	if err := <-failed; !strings.Contains(err.Error(), "the server is closing") {
		t.Errorf("the handshake that waited has the error %v", err)
	}
}

// directory counts connections to what should be an ACME server.
func directory(t *testing.T) (url string, count *atomic.Int64) {
	t.Helper()
	count = new(atomic.Int64)
	ln := serveConns(t, func(net.Conn) { count.Add(1) })
	return "https://" + ln.Addr().String() + "/", count
}

func TestOnlyTheDomainsReachTheACMEServer(t *testing.T) {
	url, asked := directory(t)
	s := open(t, certs.Options{ACME: certs.ACME{
		Domains: []string{"WWW.example.com"}, Cache: filepath.Join(t.TempDir(), "acme"), Directory: url,
	}})
	for _, name := range []string{"example.com", "a.www.example.com", "unknown.example", "localhost", ""} {
		for _, protocols := range [][]string{nil, {"acme-tls/1"}} {
			refusal(t, s, name, protocols...)
		}
	}
	refusal(t, s, "www.example.com", "acme-tls/1") // a challenge that nobody has set
	if n := asked.Load(); n > 0 {
		t.Errorf("names that are not listed made %d connections", n)
	}
	refusal(t, s, "www.EXAMPLE.com")
	if asked.Load() == 0 {
		t.Error("the domain made no connection")
	}
}

// TestCloseEndsRequests has an ACME server that does not answer.
func TestCloseEndsRequests(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(left)
	}))
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	s := open(t, certs.Options{ACME: certs.ACME{
		Domains: []string{"www.example.com"}, Cache: filepath.Join(t.TempDir(), "acme"), Directory: server.URL, RootCAs: pool,
	}})
	failed := make(chan error)
	go func() { failed <- refusal(t, s, "www.example.com") }()
	<-asked
	s.Close()
	<-failed
	select {
	case <-left:
	case <-time.After(10 * time.Second): // a third of what a request may take
		t.Error("the request goes on")
	}
}

func TestClientIsToldThatANameIsNotKnown(t *testing.T) {
	url, _ := directory(t)
	address := serve(t, open(t, certs.Options{ACME: certs.ACME{
		Domains: []string{"www.example.com"}, Cache: filepath.Join(t.TempDir(), "acme"), Directory: url,
	}}).TLSConfig())
	_, err := dial(t, address, &tls.Config{ServerName: "other.example.com"})
	if err == nil || !strings.HasSuffix(err.Error(), "tls: unrecognized name") {
		t.Errorf("the client gets %v", err)
	}
}

func TestFilesGoBeforeACME(t *testing.T) {
	url, asked := directory(t)
	a, dir := newAuthority(), t.TempDir()
	exact, wild := a.issue("www.example.com"), a.issue("*.example.org")
	address := serve(t, open(t, certs.Options{
		Pairs: []certs.Pair{exact.write(t, dir, "exact"), wild.write(t, dir, "wild")},
		ACME: certs.ACME{
			Domains: []string{"www.example.com", "www.example.org", "www.example.net"},
			Cache:   filepath.Join(dir, "acme"), Directory: url,
		},
	}).TLSConfig())
	exact.wantServed(t, address, "www.example.com", "with ACME")
	wild.wantServed(t, address, "www.example.org", "with ACME")
	exact.wantServed(t, address, "unknown.example", "with ACME")
	if n := asked.Load(); n > 0 {
		t.Errorf("names of files made %d connections", n)
	}
	if _, err := dial(t, address, &tls.Config{ServerName: "www.example.net"}); err == nil || asked.Load() == 0 {
		t.Errorf("the name without files: %v, %d connections", err, asked.Load())
	}
}

func TestHTTPHandlerAnswersChallengesOnly(t *testing.T) {
	url, _ := directory(t)
	cache := filepath.Join(t.TempDir(), "acme")
	s := open(t, certs.Options{ACME: certs.ACME{Domains: []string{"www.example.com"}, Cache: cache, Directory: url}})
	fallback := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	write(t, filepath.Join(cache, "token+http-01"), []byte("proof"))
	server := httptest.NewServer(s.HTTPHandler(fallback))
	defer server.Close()
	const path = "/.well-known/acme-challenge/"
	for _, c := range []struct {
		host, path string
		status     int
		body       string
	}{
		{"www.example.com", path + "token", http.StatusOK, "proof"},
		{"WWW.example.com:80", path + "token", http.StatusOK, "proof"},
		{"www.example.com", "/", http.StatusTeapot, ""},
		{"www.example.com", "/v1/topics", http.StatusTeapot, ""},
		{"www.example.com", "/.well-known/acme-challengex", http.StatusTeapot, ""},
		{"www.example.com", path + "unknown", http.StatusNotFound, "acme/autocert: certificate cache miss\n"},
		{"www.example.com", path + strings.Repeat("x", 300), http.StatusNotFound, "acme/autocert: certificate cache miss\n"},
		{"www.example.com", path + "%00", http.StatusNotFound, "acme/autocert: certificate cache miss\n"},
		{"other.example.com", path + "token", http.StatusForbidden, "\"other.example.com\" is not among the domains of ACME\n"},
	} {
		r := must(http.NewRequest("GET", server.URL+c.path, nil))(t)
		r.Host = c.host
		resp := must(http.DefaultTransport.RoundTrip(r))(t)
		body := must(io.ReadAll(resp.Body))(t)
		resp.Body.Close()
		if resp.StatusCode != c.status || string(body) != c.body {
			t.Errorf("%s%s: %d %q, want %d %q", c.host, c.path, resp.StatusCode, body, c.status, c.body)
		}
	}
}

func TestWithoutACMEThereIsNothingOfIt(t *testing.T) {
	s := open(t, certs.Options{Pairs: []certs.Pair{newAuthority().issue("a.example").write(t, t.TempDir(), "a")}})
	w := httptest.NewRecorder()
	s.HTTPHandler(http.RedirectHandler("/", http.StatusFound)).ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/acme-challenge/x", nil))
	if w.Code != http.StatusFound {
		t.Errorf("a challenge is answered with %d", w.Code)
	}
	if err := refusal(t, s, "a.example", "acme-tls/1"); !strings.Contains(err.Error(), "application protocol") {
		t.Errorf("a challenge is refused with %v", err)
	}
}

// TestAttemptsAreRare has an ACME server that is not there.
func TestAttemptsAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		s := open(t, certs.Options{Report: j.report, ACME: certs.ACME{
			Domains: []string{"www.example.com"}, Cache: filepath.Join(t.TempDir(), "acme"), Directory: "https://127.0.0.1:1/",
		}})
		try := func(when string, want ...certs.Kind) {
			t.Helper()
			for range 3 {
				if err := refusal(t, s, "www.example.com"); !strings.Contains(err.Error(), "refused") {
					t.Errorf("%s: %v", when, err)
				}
			}
			synctest.Wait()
			j.wantKinds(t, when, want...)
		}
		try("at first", certs.Failed)
		wait(60 * time.Second)
		try("after a minute")
		wait(time.Second)
		try("a second later", certs.Failed)
		wait(2 * time.Minute)
		try("after two minutes")
		wait(2 * time.Second)
		try("two seconds later", certs.Failed)
		wait(2 * time.Minute)
		try("before four minutes")
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
		try("after a reload", certs.Failed)
		for range 6 {
			wait(time.Hour)
			try("an hour later", certs.Failed)
		}
	})
}
