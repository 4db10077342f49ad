package feed_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/certtest"
	"github.com/weirstream/weir/internal/feed"
)

func TestPasswordIsThatOfTheFileNow(t *testing.T) {
	s := feed.Spec{}
	if password, err := s.Password("of the URL"); password != "of the URL" || err != nil {
		t.Errorf("without a file it is %q, %v", password, err)
	}
	s.PasswordFile = filepath.Join(t.TempDir(), "password")
	if password, err := s.Password("of the URL"); password != "" || err == nil || !strings.Contains(err.Error(), "password-file: open ") {
		t.Errorf("without the file that it names it is %q, %v", password, err)
	}
	for text, want := range map[string]string{"": "", "a": "a", "b\n": "b", " c d \r\n\n": " c d ", "e\nf\n": "e\nf"} {
		write(t, s.PasswordFile, text)
		if password, err := s.Password("of the URL"); password != want || err != nil {
			t.Errorf("the file holds %q: %q, %v, want %q", text, password, err, want)
		}
	}
}

// TestTLSTrustsTheFileAsItIsNow connects to a server that nobody else trusts.
func TestTLSTrustsTheFileAsItIsNow(t *testing.T) {
	pair := certtest.SelfSigned("127.0.0.1")
	addr := serveTLS(t, pair, tls.VersionTLS13)
	s := feed.Spec{}
	wantTLS(t, &s, addr, "unknown authority")
	s.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	wantTLS(t, &s, addr, "ca-file: open ")
	write(t, s.CAFile, string(pair.Key))
	wantTLS(t, &s, addr, s.CAFile+" has no certificate")
	write(t, s.CAFile, string(certtest.SelfSigned("127.0.0.1").Cert))
	wantTLS(t, &s, addr, "unknown authority")
	write(t, s.CAFile, string(pair.Cert))
	wantTLS(t, &s, addr, "")
	wantTLS(t, &s, serveTLS(t, pair, tls.VersionTLS12), "")
	wantTLS(t, &s, serveTLS(t, pair, tls.VersionTLS11), "protocol version")
}

// wantTLS connects as s says; want is in the error, "" for none.
func wantTLS(t *testing.T, s *feed.Spec, addr, want string) {
	t.Helper()
	config, err := s.TLS()
	if err == nil {
		var conn *tls.Conn
		if conn, err = tls.Dial("tcp", addr, config); err == nil {
			conn.Close()
		}
	}
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("ca-file %q: %v, want %q", s.CAFile, err, want)
	}
}

// serveTLS shakes hands with whoever connects, by no newer version than this.
func serveTLS(t *testing.T, pair certtest.Pair, version uint16) (addr string) {
	t.Helper()
	cert, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake() // the client says what it thinks of it
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
