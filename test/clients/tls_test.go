package clients_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/proctest"
)

// A pair is two files: a certificate that signs itself, and its key.
type pair struct{ cert, key string }

func newPair(t *testing.T) pair {
	dir := t.TempDir()
	return pair{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
}

// issue writes a new certificate into the files, and returns its number.
func (p pair) issue(t *testing.T, names ...string) *big.Int {
	t.Helper()
	a := certtest.NewAuthority(names...)
	pair := a.Pair()
	replace(t, p.key, pair.Key)
	replace(t, p.cert, pair.Cert)
	return a.Cert.SerialNumber
}

// replace changes a file as programs that renew certificates do: under another name.
func replace(t *testing.T, path string, content []byte) {
	t.Helper()
	err := os.WriteFile(path+".new", content, 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// serveTLS starts a server with TLS on a free port. Its client speaks HTTP/2 and takes
// any certificate.
func serveTLS(t *testing.T, args ...string) *server {
	t.Helper()
	addr := proctest.FreeAddr()
	s := serveAt(t, "tls:"+addr, args...)
	s.addr, s.url = addr, "https://localhost:"+addr[strings.LastIndexByte(addr, ':')+1:]
	s.http.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(s.http.CloseIdleConnections)
	return s
}

// handshake returns the certificate that a client gets who asks for name.
func (s *server) handshake(name string, oldest, newest uint16) (*x509.Certificate, error) {
	nc, err := tls.Dial("tcp", s.addr, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: oldest, MaxVersion: newest})
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0], nil
}

// awaitServed waits until new connections get a certificate.
func (s *server) awaitServed(name string, serial *big.Int) {
	s.t.Helper()
	await(s.t, "the certificate of "+name, func() error {
		got, err := s.handshake(name, tls.VersionTLS12, tls.VersionTLS13)
		if err == nil && got.SerialNumber.Cmp(serial) != 0 {
			err = fmt.Errorf("%v of %v is served, want %v", got.SerialNumber, got.DNSNames, serial)
		}
		return err
	})
}

func TestCertificatesAreReplacedUnderOpenStreams(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	serial := p.issue(t, "localhost")
	s := serveTLS(t, "--tls.cert-file", p.cert, "--tls.key-file", p.key)
	s.awaitServed("localhost", serial)
	req, err := http.NewRequest("GET", s.topicURL("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/plain")
	client := &http.Client{Transport: s.http.Transport} // without a time limit
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stream := bufio.NewReader(resp.Body)
	goesOn := func(when string) {
		t.Helper()
		s.publish("a", when, "")
		if line, err := stream.ReadString('\n'); line != when+"\n" {
			t.Fatalf("the stream, %s: %q, %v", when, line, err)
		}
	}
	goesOn("before")

	serial = p.issue(t, "localhost")
	s.awaitServed("localhost", serial) // the files are looked at every ten seconds
	goesOn("after new files")

	for range 2 { // it may have looked by itself just then, but not twice
		serial = p.issue(t, "localhost")
		began := time.Now()
		s.signal(syscall.SIGHUP)
		s.awaitServed("localhost", serial)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("after SIGHUP it takes %v", took)
		}
	}
	goesOn("after SIGHUP")

	replace(t, p.cert, []byte("not a certificate"))
	s.signal(syscall.SIGHUP)
	s.awaitText(s.Err, `level=ERROR msg="certificate cannot be used"`)
	s.awaitServed("localhost", serial)
	goesOn("after a bad file")

	p.issue(t, "localhost")
	half := newPair(t)
	half.issue(t, "localhost")
	other, err := os.ReadFile(half.cert)
	if err != nil {
		t.Fatal(err)
	}
	replace(t, p.cert, other)
	s.signal(syscall.SIGHUP)
	s.awaitText(s.Err, "the key does not belong to the certificate")
	s.awaitServed("localhost", serial)
	serial = p.issue(t, "localhost")
	s.signal(syscall.SIGHUP)
	s.awaitServed("localhost", serial)
	goesOn("after half a pair")
}

func TestServerNameChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	first, second, wild := newPair(t), newPair(t), newPair(t)
	serials := map[string]*big.Int{}
	serials["a.example"] = first.issue(t, "a.example")
	serials["b.example"] = second.issue(t, "b.example")
	serials["x.c.example"] = wild.issue(t, "*.c.example")
	serials["unknown.example"] = serials["a.example"]
	settings := filepath.Join(t.TempDir(), "weir.yaml")
	text := fmt.Sprintf("tls:\n  cert-file: %s\n  key-file: %s\n  certificates:\n    - {cert: %s, key: %s}\n    - {cert: %s, key: %s}\n",
		first.cert, first.key, second.cert, second.key, wild.cert, wild.key)
	if err := os.WriteFile(settings, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveTLS(t, "--config", settings)
	for name, serial := range serials {
		got, err := s.handshake(name, tls.VersionTLS12, tls.VersionTLS13)
		if err != nil || got.SerialNumber.Cmp(serial) != 0 {
			t.Errorf("for %s comes %v, %v", name, got, err)
		}
	}
}

func TestOldVersionsOfTLSAreRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.issue(t, "localhost")
	for oldest, want := range map[string]map[uint16]bool{
		"1.2": {tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true},
		"1.3": {tls.VersionTLS11: false, tls.VersionTLS12: false, tls.VersionTLS13: true},
	} {
		s := serveTLS(t, "--tls.cert-file", p.cert, "--tls.key-file", p.key, "--tls.min-version", oldest)
		for version, served := range want {
			if _, err := s.handshake("localhost", version, version); (err == nil) != served {
				t.Errorf("tls.min-version %s: a client of %s gets %v", oldest, tls.VersionName(version), err)
			}
		}
	}
}

// TestPlainRequestToTLSIsAnswered: who forgets the s in https is told.
func TestPlainRequestToTLSIsAnswered(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.issue(t, "localhost")
	s := serveTLS(t, "--tls.cert-file", p.cert, "--tls.key-file", p.key)
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s.addr)
	answer, _ := io.ReadAll(nc)
	if text := string(answer); !strings.HasPrefix(text, "HTTP/1.0 400 ") || !strings.Contains(text, "Client sent an HTTP request to an HTTPS server") {
		t.Errorf("the answer is %q", text)
	}
}
