package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// testIssuer has one domain and a certificate for it that has ten days left.
func testIssuer(t *testing.T) (a *issuer, d *domain, events *[]Event) {
	events = new([]Event)
	a = &issuer{closed: t.Context(), report: func(e Event) { *events = append(*events, e) }}
	d = &domain{name: "www.example.com", ready: true}
	d.held.leaf = &x509.Certificate{DNSNames: []string{d.name}, NotBefore: time.Now().Add(-80 * day), NotAfter: time.Now().Add(10 * day)}
	a.domains = map[string]*domain{d.name: d}
	return a, d, events
}

// read passes an answer of the ACME server on.
func (a *issuer) read(t *testing.T, url, text string) {
	t.Helper()
	var z answer
	if err := json.Unmarshal([]byte(text), &z); err != nil {
		t.Fatal(err)
	}
	a.note(url, z)
}

const (
	refusedByTLS  = `{"status":"invalid","identifier":{"type":"dns","value":"www.example.com"},"challenges":[{"type":"tls-alpn-01","status":"invalid","error":{"detail":"no route"}}]}`
	refusedByHTTP = `{"status":"invalid","identifier":{"type":"dns","value":"www.example.com"},"challenges":[{"type":"http-01","error":{"detail":"is 404"}},{"type":"dns-01"}]}`
)

func TestFailedRenewalIsReportedOnceWithAllReasons(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, events := testIssuer(t)
		a.read(t, "https://a/1", refusedByTLS)
		a.read(t, "https://a/2", refusedByHTTP)
		a.read(t, "https://a/1", refusedByTLS) // autocert looks again
		a.remind(time.Now())
		if len(*events) != 1 || (*events)[0].Kind != Expiring {
			t.Fatalf("at once: %v", *events)
		}
		time.Sleep(time.Minute)
		a.remind(time.Now())
		a.read(t, "https://a/2", refusedByHTTP)
		time.Sleep(time.Hour)
		a.remind(time.Now())
		const want = `ACME for "www.example.com", renewal: tls-alpn-01: no route; http-01: is 404`
		if len(*events) != 2 || (*events)[1].Kind != Failed || (*events)[1].Err.Error() != want {
			t.Fatalf("later: %v, want %q", *events, want)
		}
		time.Sleep(day)
		a.remind(time.Now())
		if len(*events) != 3 || (*events)[2].Kind != Expiring || (*events)[2].Err.Error() != want {
			t.Errorf("the next day: %v", *events)
		}
	})
}

func TestRefusalBeforeSuccessIsNotReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, events := testIssuer(t)
		a.read(t, "https://a/1", refusedByTLS)
		if !a.hold(d, &x509.Certificate{Raw: []byte("new"), NotBefore: time.Now(), NotAfter: time.Now().Add(90 * day)}) {
			t.Error("the certificate is not new")
		}
		a.read(t, "https://a/1", refusedByTLS) // to be rid of it
		time.Sleep(time.Hour)
		a.remind(time.Now())
		if len(*events) > 0 {
			t.Errorf("reported %v", *events)
		}
	})
}

func TestExpiringSaysWhatTheServerSaid(t *testing.T) {
	a, _, events := testIssuer(t)
	a.read(t, "https://a/order", `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many","status":429}`)
	a.remind(time.Now())
	if len(*events) != 1 || (*events)[0].Err == nil || (*events)[0].Err.Error() != "ACME: too many" {
		t.Errorf("reported %v", *events)
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	a, d, _ := testIssuer(t)
	for i := range 100 {
		a.read(t, strconv.Itoa(i), refusedByTLS)
	}
	d.refusals.clear()
	for i := range 100 {
		a.read(t, strconv.Itoa(1000+i), refusedByTLS)
	}
	if n := len(d.refusals.reasons); n != maxRefusals || len(d.refusals.urls) > maxRefusals {
		t.Errorf("kept %d reasons of %d authorizations, want %d", n, len(d.refusals.urls), maxRefusals)
	}
}

// TestHandshakeDoesNotWaitForever has an attempt that does not end.
func TestHandshakeDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, d, _ := testIssuer(t)
		d.ready, d.attempt = false, make(chan struct{})
		client, server := net.Pipe()
		go tls.Client(client, &tls.Config{ServerName: d.name}).Handshake()
		start := time.Now()
		err := tls.Server(server, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return a.certificate(hello, d)
		}}).HandshakeContext(context.Background())
		if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "longer than") || took != patience {
			t.Errorf("after %v: %v, want an error after %v", took, err, patience)
		}
		client.Close()
		server.Close()
	})
}
