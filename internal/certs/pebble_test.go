package certs_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/certs"
	"github.com/weirstream/weir/internal/proctest"
)

// buildPebble builds the ACME server that tools/go.mod pins, and returns its path.
func buildPebble(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "pebble")
	if err := proctest.Build(program, "-modfile=tools/go.mod", "github.com/letsencrypt/pebble/v2/cmd/pebble"); err != nil {
		t.Fatal(err)
	}
	return program
}

// A pebble is an ACME server that finds every domain on this machine.
type pebble struct {
	authority authority // of its own certificate
	address   string
	process   *proctest.Process
}

// startPebble starts the server and waits until it answers. It looks for proof at
// the two ports, and what it issues lives as long as life.
func startPebble(t *testing.T, program string, tlsPort, httpPort int, life time.Duration) *pebble {
	t.Helper()
	p := &pebble{authority: newAuthority(), address: proctest.FreeAddr()}
	pair := p.authority.issue("127.0.0.1").write(t, t.TempDir(), "pebble")
	config := filepath.Join(t.TempDir(), "pebble.json")
	write(t, config, must(json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": p.address, "certificate": pair.Cert, "privateKey": pair.Key,
		"tlsPort": tlsPort, "httpPort": httpPort, "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles":   map[string]any{"default": map[string]any{"description": "-", "validityPeriod": int(life.Seconds())}},
	}}))(t))
	p.process = proctest.Launch{
		Args: []string{program, "-config", config, "-dnsserver", serveDNS(t)},
		Env:  []string{"PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0"},
	}.Start(t)
	p.process.Await(t, 30*time.Second, func() error {
		conn, err := tls.Dial("tcp", p.address, &tls.Config{RootCAs: p.authority.Pool()})
		if err == nil {
			conn.Close()
		}
		return err
	})
	return p
}

// options asks the server for certificates of domains.
func (p *pebble) options(j *journal, cache string, domains ...string) certs.Options {
	return certs.Options{Report: j.report, ACME: certs.ACME{
		Domains: domains, Email: "admin@example.com", Cache: cache,
		Directory: "https://" + p.address + "/dir", RootCAs: p.authority.Pool(),
	}}
}

func port(ln net.Listener) int { return ln.Addr().(*net.TCPAddr).Port }

// listen returns a listener that is closed with the test.
func listen(t *testing.T) net.Listener {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { ln.Close() })
	return ln
}

// serveConns hands each connection to fn, one after another, and closes it then.
func serveConns(t *testing.T, fn func(net.Conn)) net.Listener {
	t.Helper()
	ln, done := listen(t), make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			fn(nc)
			nc.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln
}

// closing is a port where nobody proves anything.
func closing(t *testing.T) int {
	t.Helper()
	return port(serveConns(t, func(net.Conn) {}))
}

// serveDNS answers over TCP that every name has the address 127.0.0.1, and returns
// its own address.
func serveDNS(t *testing.T) string {
	t.Helper()
	return serveConns(t, func(nc net.Conn) {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		var size [2]byte
		if _, err := io.ReadFull(nc, size[:]); err != nil {
			return
		}
		query := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(nc, query); err != nil {
			return
		}
		answer := answerDNS(query)
		nc.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	}).Addr().String()
}

// answerDNS answers one question: RFC 1035, section 4.
func answerDNS(query []byte) []byte {
	const header, afterName = 12, 5 // a zero that ends the name, the type, the class
	end := header + bytes.IndexByte(query[header:], 0) + afterName
	answer := append([]byte(nil), query[:end]...)
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // a response without an error and without records
	if kind := binary.BigEndian.Uint16(query[end-4:]); kind == 1 {
		answer[7] = 1
		answer = append(answer, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1)
	}
	return answer
}

func wantIssued(t *testing.T, address, name string) {
	t.Helper()
	leaf := served(t, address, name)
	if !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble") || fmt.Sprint(leaf.DNSNames) != "["+name+"]" {
		t.Errorf("%q is served a certificate of %v for %v", name, leaf.Issuer, leaf.DNSNames)
	}
}
