package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// A kind is a way in which clients reach a server.
type kind struct {
	name  string
	proto int // major version of HTTP
	tls   bool
	unix  bool
	proxy func() []byte // what a proxy sends first on each connection; nil: there is none

	remote string // how the access log names the client, for the peer of a unix socket has no address; "": 127.0.0.1 and a port
	keeps  string // why a client that never reads an ordinary answer is not cut off after stream.user-timeout; "": it is
	closes string // why a connection serves no other request once a stream on it has ended; "": it does
}

// forwarded is who the PROXY protocol says the client is.
var forwarded = netip.MustParseAddrPort("192.0.2.7:4711")

const (
	ownConnection = "a connection with TLS that was taken over is not given back: a stream says Connection: close"
	noTimeout     = "the kernel has no such timeout for unix sockets, whose peers are programs of this machine"
)

// kinds are all ways. What differs between them by nature is a field that says why;
// behaviours are the same for all.
var kinds = []kind{
	{name: "TCP", proto: 1},
	{name: "unix", proto: 1, unix: true, remote: "@", keeps: noTimeout},
	{name: "TLS", proto: 1, tls: true, closes: ownConnection},
	{name: "TLS, HTTP2", proto: 2, tls: true},
	{name: "h2c", proto: 2},
	{name: "unix, h2c", proto: 2, unix: true, remote: "@"},
	{name: "PROXY 2", proto: 1, proxy: proxyV2, remote: "192.0.2.7:"},
	{name: "PROXY 1, unix", proto: 1, unix: true, proxy: proxyV1, keeps: noTimeout, remote: "192.0.2.7:"},
	{name: "PROXY 2, TLS", proto: 1, tls: true, proxy: proxyV2, remote: "192.0.2.7:", closes: ownConnection},
	{name: "PROXY 2, TLS, HTTP2", proto: 2, tls: true, proxy: proxyV2, remote: "192.0.2.7:"},
}

// TestSameBehaviourOnEveryListener runs all behaviours over all kinds.
func TestSameBehaviourOnEveryListener(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			for name, behaves := range behaviours {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					behaves(t, &site{kind: k, t: t})
				})
			}
		})
	}
}

func proxyV1() []byte {
	return []byte("PROXY TCP4 " + forwarded.Addr().String() + " 192.0.2.1 4711 80\r\n")
}

// proxyV2 is a header for TCP over IPv4: PROXY protocol, section 2.2.
func proxyV2() []byte {
	from, to := forwarded.Addr().As4(), netip.MustParseAddr("192.0.2.1").As4()
	b := append([]byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c"), from[:]...)
	b = binary.BigEndian.AppendUint16(append(b, to[:]...), forwarded.Port())
	return binary.BigEndian.AppendUint16(b, 80)
}

// A site is a server that is reached in one way, and its client.
type site struct {
	*running
	kind
	t       *testing.T
	address string
	roots   *x509.CertPool
}

// settings returns what the kind needs. A test may change it before start.
func (s *site) settings() *config.Settings {
	set := defaults(s.t)
	set.Stream.Heartbeat = time.Minute
	listener := &set.Listen[0]
	if s.unix {
		*listener = socket(filepath.Join(s.t.TempDir(), "weir.sock"))
	}
	if listener.TLS = s.tls; s.tls {
		set.TLS.CertFile, set.TLS.KeyFile = certificate(s.t)
	}
	set.HTTP.H2C = s.proto == 2 && !s.tls
	if s.proxy != nil {
		set.Proxy.Protocol, set.Proxy.Trusted = true, []string{"loopback", "unix"}
	}
	return set
}

// start runs a server, with nil the one of settings.
func (s *site) start(set *config.Settings) {
	s.t.Helper()
	if set == nil {
		set = s.settings()
	}
	s.running = start(s.t, set)
	_, s.address, _ = strings.Cut(s.url, "://")
	s.url = "http://weir.test"
	if s.unix {
		s.address = set.Listen[0].Address
	}
	if s.tls {
		s.url = "https://localhost"
		s.roots = x509.NewCertPool()
		pem, err := os.ReadFile(set.TLS.CertFile)
		if err != nil || !s.roots.AppendCertsFromPEM(pem) {
			s.t.Fatalf("certificate: %v", err)
		}
	}
	s.client = s.newClient()
}

// newClient returns a client with connections of its own.
func (s *site) newClient() *http.Client {
	transport := &http.Transport{
		DisableCompression: true, DialContext: s.dial, Protocols: new(http.Protocols),
		TLSClientConfig: &tls.Config{RootCAs: s.roots}, ResponseHeaderTimeout: patience,
	}
	transport.Protocols.SetHTTP1(s.proto == 1)
	transport.Protocols.SetHTTP2(s.proto == 2)
	transport.Protocols.SetUnencryptedHTTP2(s.proto == 2)
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// dial opens a connection, with what a proxy sends first.
func (s *site) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	network := "tcp"
	if s.unix {
		network = "unix"
	}
	nc, err := new(net.Dialer).DialContext(ctx, network, s.address)
	if err != nil || s.proxy == nil {
		return nc, err
	}
	if _, err := nc.Write(s.proxy()); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// A follower reads a stream.
type follower struct {
	t     *testing.T
	resp  *http.Response
	body  *bufio.Reader
	leave context.CancelFunc
	conn  net.Conn // that it came over
}

// follow opens a stream.
func (s *site) follow(path, accept string, header ...string) *follower {
	s.t.Helper()
	f := &follower{t: s.t}
	ctx, cancel := context.WithCancel(context.Background())
	f.leave = cancel
	s.t.Cleanup(cancel)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { f.conn = i.Conn }})
	f.resp = s.send(s.client, s.request(ctx, "GET", path, nil, append(header, "Accept: "+accept)...))
	if f.resp.StatusCode != 200 {
		s.t.Fatalf("GET %s: %s", path, f.resp.Status)
	}
	s.t.Cleanup(func() { f.resp.Body.Close() })
	f.body = bufio.NewReader(f.resp.Body)
	return f
}

func (s *site) request(ctx context.Context, method, path string, body io.Reader, header ...string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	return req
}

// send sends a request and returns the answer, of the right version of HTTP.
func (s *site) send(c *http.Client, req *http.Request) *http.Response {
	s.t.Helper()
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	if resp.ProtoMajor != s.proto {
		s.t.Errorf("%s %s: answered with %s, want HTTP/%d", req.Method, req.URL.Path, resp.Proto, s.proto)
	}
	return resp
}

// line reads a line.
func (f *follower) line() string {
	f.t.Helper()
	got := make(chan string, 1)
	go func() {
		line, err := f.body.ReadString('\n')
		if err != nil {
			line += " (" + err.Error() + ")"
		}
		got <- strings.TrimSuffix(line, "\n")
	}()
	select {
	case line := <-got:
		return line
	case <-time.After(patience):
		f.t.Fatalf("no line within %v", patience)
		return ""
	}
}

// want reads lines.
func (f *follower) want(lines ...string) {
	f.t.Helper()
	for _, want := range lines {
		if got := f.line(); got != want {
			f.t.Fatalf("read line %q, want %q", got, want)
		}
	}
}

// until reads lines up to one that begins with prefix, and returns it.
func (f *follower) until(prefix string) string {
	f.t.Helper()
	for range 10_000 {
		if line := f.line(); strings.HasPrefix(line, prefix) {
			return line
		}
	}
	f.t.Fatalf("no line begins with %q", prefix)
	return ""
}

// rest reads to the end, which must be a clean one.
func (f *follower) rest() string {
	f.t.Helper()
	b, err := io.ReadAll(f.body)
	if err != nil {
		f.t.Errorf("the stream has no clean end after %q: %v", b, err)
	}
	return string(b)
}
