package certtest_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/certtest"
)

// serve greets one client with TLS, and returns its address.
func serve(t *testing.T, cert tls.Certificate) string {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		if conn, err := ln.Accept(); err == nil {
			_, _ = io.WriteString(conn, "hello") // the client says what went wrong
			conn.Close()
		}
	}()
	return ln.Addr().String()
}

func greeting(addr, name string, pool *x509.CertPool) (string, error) {
	conn, err := tls.DialWithDialer(new(net.Dialer), "tcp", addr, &tls.Config{ServerName: name, RootCAs: pool})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	text, err := io.ReadAll(conn)
	return string(text), err
}

func TestSelfSignedIsItsOwnAuthority(t *testing.T) {
	dir := t.TempDir()
	if err := certtest.SelfSigned("localhost", "127.0.0.1").Write(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "cert.pem")
	cert, err := tls.LoadX509KeyPair(file, filepath.Join(dir, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	for name, want := range map[string]string{"localhost": "hello", "127.0.0.1": "hello", "example.com": ""} {
		if got, err := greeting(serve(t, cert), name, pool); got != want || (err == nil) != (want != "") {
			t.Errorf("the greeting of %s is %q, %v", name, got, err)
		}
	}
}

func TestIssuedIsOfItsAuthority(t *testing.T) {
	a := certtest.NewAuthority("an authority")
	pair := a.Issue("example.com")
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := greeting(serve(t, cert), "example.com", a.Pool()); err != nil || got != "hello" {
		t.Errorf("the greeting is %q, %v", got, err)
	}
	if _, err := greeting(serve(t, cert), "example.com", certtest.NewAuthority("another").Pool()); err == nil {
		t.Error("another authority vouches for it")
	}
}
