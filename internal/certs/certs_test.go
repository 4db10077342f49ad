package certs_test

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/certtest"
)

func TestCertificateIsChosenByServerName(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	first := a.issue("first.example")
	wild := a.issue("*.example.com")
	exact := a.issue("www.example.com", "Other.Example.org")
	address := serve(t, open(t, certs.Options{Pairs: []certs.Pair{
		first.write(t, dir, "first"), wild.write(t, dir, "wild"), exact.write(t, dir, "exact"),
	}}).TLSConfig())
	for name, want := range map[string]material{
		"first.example":     first,
		"www.example.com":   exact,
		"WWW.Example.COM":   exact,
		"other.example.org": exact,
		"api.example.com":   wild,
		"a.b.example.com":   first, // a wildcard is one label
		"example.com":       first,
		"unknown.example":   first,
		"":                  first,
	} {
		want.wantServed(t, address, name, "at first")
	}
}

func TestPairsWithOneNameAreChosenByWhatTheClientCan(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	ec := a.issue("example.com")
	rsa := a.sign(certtest.Template(time.Now().Add(day), "example.com"), newRSAKey(t))
	address := serve(t, open(t, certs.Options{Pairs: []certs.Pair{
		ec.write(t, dir, "ec"), rsa.write(t, dir, "rsa"),
	}}).TLSConfig())
	ec.wantServed(t, address, "example.com", "a modern client")
	c, err := dial(t, address, &tls.Config{
		ServerName: "example.com", MaxVersion: tls.VersionTLS12,
		CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256},
	})
	if err != nil {
		t.Fatalf("a client without ECDSA: %v", err)
	}
	if got := c.ConnectionState().PeerCertificates[0]; !got.Equal(rsa.leaf(t)) {
		t.Errorf("a client without ECDSA gets the key %v", got.PublicKeyAlgorithm)
	}
}

func TestVersionsBelowTheLeastAreRefused(t *testing.T) {
	a := newAuthority()
	pair := a.issue("example.com").write(t, t.TempDir(), "a")
	for _, c := range []struct{ least, client, want uint16 }{
		{0, tls.VersionTLS11, 0},
		{0, tls.VersionTLS12, tls.VersionTLS12},
		{tls.VersionTLS12, tls.VersionTLS13, tls.VersionTLS13},
		{tls.VersionTLS13, tls.VersionTLS12, 0},
		{tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS13},
	} {
		address := serve(t, open(t, certs.Options{Pairs: []certs.Pair{pair}, MinVersion: c.least}).TLSConfig())
		conn, err := dial(t, address, &tls.Config{ServerName: "example.com", MinVersion: c.client, MaxVersion: c.client})
		var got uint16
		if err == nil {
			got = conn.ConnectionState().Version
		}
		if got != c.want {
			t.Errorf("least %#x, client %#x: got %#x (%v), want %#x", c.least, c.client, got, err, c.want)
		}
	}
}

// TestHTTP2AndResumption asks a real HTTP server.
func TestHTTP2AndResumption(t *testing.T) {
	a := newAuthority()
	s := open(t, certs.Options{Pairs: []certs.Pair{a.issue("127.0.0.1").write(t, t.TempDir(), "a")}})
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	server := &http.Server{TLSConfig: s.TLSConfig(), ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) })}
	done := make(chan struct{})
	go func() { defer close(done); server.ServeTLS(ln, "", "") }()
	defer func() { server.Close(); <-done }()
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
		RootCAs: a.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}}
	for i := range 2 {
		resp, err := (&http.Client{Transport: transport}).Get("https://" + ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		body := must(io.ReadAll(resp.Body))(t)
		resp.Body.Close()
		if string(body) != "HTTP/2.0" || resp.TLS.DidResume != (i == 1) {
			t.Errorf("connection %d: %s, resumed: %v", i, body, resp.TLS.DidResume)
		}
		transport.CloseIdleConnections()
	}
}

func TestExpiryNamesEachCertificate(t *testing.T) {
	a, dir := newAuthority(), t.TempDir()
	two, address := a.issue("a.example", "b.example"), a.issue("192.0.2.1")
	got := open(t, certs.Options{Pairs: []certs.Pair{two.write(t, dir, "two"), address.write(t, dir, "address")}}).Expiry()
	want := []certs.Expiry{
		{Name: "a.example", Pair: 0, NotAfter: two.leaf(t).NotAfter},
		{Name: "192.0.2.1", Pair: 1, NotAfter: address.leaf(t).NotAfter},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	dir := t.TempDir()
	pair := newAuthority().issue("example.com").write(t, dir, "a")
	withACME := func(change func(*certs.ACME)) certs.Options {
		o := certs.ACME{Domains: []string{"example.com"}, Cache: filepath.Join(dir, "acme")}
		change(&o)
		return certs.Options{ACME: o}
	}
	for want, o := range map[string]certs.Options{
		"needs a certificate":         {},
		"cannot be TLS 1.1":           {Pairs: []certs.Pair{pair}, MinVersion: tls.VersionTLS11},
		"at the files is -1s":         {Pairs: []certs.Pair{pair}, Every: -time.Second},
		`"*.example.com" would need`:  withACME(func(o *certs.ACME) { o.Domains = []string{"*.example.com"} }),
		`"192.0.2.1" is an address`:   withACME(func(o *certs.ACME) { o.Domains = []string{"192.0.2.1"} }),
		`"localhost" is no domain`:    withACME(func(o *certs.ACME) { o.Domains = []string{"localhost"} }),
		`"bücher.example" is no`:      withACME(func(o *certs.ACME) { o.Domains = []string{"bücher.example"} }),
		`"../x.example" is no domain`: withACME(func(o *certs.ACME) { o.Domains = []string{"../x.example"} }),
		`"http://a.example/" is no`:   withACME(func(o *certs.ACME) { o.Directory = "http://a.example/" }),
		"needs a directory":           withACME(func(o *certs.ACME) { o.Cache = "" }),
		"not a directory":             withACME(func(o *certs.ACME) { o.Cache = pair.Cert }),
	} {
		s, err := certs.Open(o)
		if err == nil {
			s.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}
