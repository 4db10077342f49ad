package server_test

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirstream/weir/internal/config"
)

// TestACMEGoesByTheSettings has an authority that refuses everything. That certificates
// are got from a real one, internal/certs tests.
func TestACMEGoesByTheSettings(t *testing.T) {
	var asked atomic.Int64
	authority := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/dir" {
			asked.Add(1)
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer authority.Close()
	s := defaults(t)
	s.Data = t.TempDir()
	s.Listen = []config.Listener{tcp("secure", "127.0.0.1:0", "all"), tcp("plain", "127.0.0.1:0", "all")}
	s.Listen[0].TLS = true
	s.TLS.ACME = config.ACME{Domains: []string{"live.example.com"}, Directory: authority.URL + "/dir", CAFile: filepath.Join(t.TempDir(), "ca.pem")}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw})
	if err := os.WriteFile(s.TLS.ACME.CAFile, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, s)
	address := strings.TrimPrefix(r.url, "https://")
	try := func(name string) error {
		nc, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err == nil {
			nc.Close()
		}
		return err
	}
	if err := try("other.example.com"); err == nil || asked.Load() > 0 {
		t.Errorf("a name that is no domain: %v, the authority was asked %d times", err, asked.Load())
	}
	if err := try("live.example.com"); err == nil || asked.Load() == 0 {
		t.Errorf("a domain: %v, the authority was asked %d times", err, asked.Load())
	}
	if log := r.log.String(); !strings.Contains(log, "certificate cannot be used") || strings.Contains(log, "unknown authority") {
		t.Errorf("the log does not say what the authority said:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "acme")); err != nil {
		t.Errorf("certificates are not kept below the data directory: %v", err)
	}

	// The other listener answers challenges, and nothing else in another way.
	r.url = r.Listeners()[1].URL
	req, err := http.NewRequest("GET", r.url+"/.well-known/acme-challenge/unknown", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "live.example.com"
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if ct := resp.Header.Get("Content-Type"); resp.StatusCode != 404 || strings.Contains(ct, "problem") {
		t.Errorf("a challenge is answered with %s %s, want an answer of ACME", resp.Status, ct)
	}
	r.publish(t, "a", "hello")
}
