package proxy_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proxy"
)

const (
	patience = 10 * time.Second

	header1 = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x12" + "\xc0\x00\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb" + "\x04\x00\x03abc"
	local2  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	client  = "192.0.2.1:56324" // of header1 and header2
)

// A report is a call of ListenerOptions.Report.
type report struct {
	peer net.Addr
	err  error
}

// listen returns a listener at network, "tcp" or "unix", and what it reports.
func listen(t *testing.T, network string, o proxy.ListenerOptions) (*proxy.Listener, <-chan report) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	reports := make(chan report, 100)
	o.Report = func(peer net.Addr, err error) { reports <- report{peer, err} }
	l := proxy.NewListener(ln, o)
	t.Cleanup(func() { l.Close() })
	return l, reports
}

// dial connects to l and sends text.
func dial(t *testing.T, l net.Listener, text string) net.Conn {
	t.Helper()
	nc, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	send(t, nc, text)
	return nc
}

func send(t *testing.T, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc
}

// receive reads as many bytes as want has.
func receive(t *testing.T, nc net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(nc, got)
	if string(got[:n]) != want {
		t.Errorf("got %q, %v, want %q", got[:n], err, want)
	}
}

// closed wants the other side to have closed nc, with a reset or without.
func closed(t *testing.T, nc net.Conn) {
	t.Helper()
	if n, err := nc.Read(make([]byte, 1)); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not closed: %d bytes, %v", n, err)
	}
}

// next returns the next report.
func next(t *testing.T, reports <-chan report) report {
	t.Helper()
	select {
	case r := <-reports:
		return r
	case <-time.After(patience):
		t.Fatal("no report")
	}
	return report{}
}

// until waits for the counts of l.
func until(t *testing.T, l *proxy.Listener, want proxy.Counts) {
	t.Helper()
	for deadline := time.Now().Add(patience); l.Counts() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("counts are %+v, want %+v", l.Counts(), want)
		}
	}
}

func TestHeaderOfProxyNamesTheClient(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, header := range []string{header1, header2, local2} {
			l, _ := listen(t, network, proxy.ListenerOptions{Trusted: trusted(t, "loopback unix")})
			sender := dial(t, l, header+"hello")
			nc := accept(t, l)
			receive(t, nc, "hello")
			want := client
			if header == local2 {
				want = sender.LocalAddr().String()
				if network == "unix" {
					want = "@"
				}
			}
			if got := nc.RemoteAddr(); got.String() != want {
				t.Errorf("%s, %q: RemoteAddr = %v, want %s", network, header, got, want)
			}
			if _, tcp := nc.RemoteAddr().(*net.TCPAddr); tcp == (want == "@") {
				t.Errorf("%s, %q: RemoteAddr is a %T", network, header, nc.RemoteAddr())
			}
			if got := nc.LocalAddr(); got.String() != l.Addr().String() || got.Network() != network {
				t.Errorf("%s, %q: LocalAddr = %v, want %v", network, header, got, l.Addr())
			}
			send(t, nc, "answer")
			receive(t, sender, "answer")
			until(t, l, proxy.Counts{Headers: 1})
		}
	}
}

// TestNamedConnectionDoesWhatSocketsDo: net/http and package loop look for methods.
func TestNamedConnectionDoesWhatSocketsDo(t *testing.T) {
	for network, socket := range map[string]reflect.Type{"tcp": reflect.TypeFor[*net.TCPConn](), "unix": reflect.TypeFor[*net.UnixConn]()} {
		l, _ := listen(t, network, proxy.ListenerOptions{Trusted: trusted(t, "loopback unix")})
		dial(t, l, header2)
		got := reflect.TypeOf(accept(t, l))
		if got == socket {
			t.Fatalf("%s: the connection was not renamed", network)
		}
		for i := range socket.NumMethod() {
			want := socket.Method(i)
			if m, ok := got.MethodByName(want.Name); !ok || m.Type.NumIn() != want.Type.NumIn() || m.Type.NumOut() != want.Type.NumOut() {
				t.Errorf("%s: a %v has no method %s of a %v", network, got, want.Name, socket)
			}
		}
	}
}

// TestOtherConnectionIsNamed: a wrapped connection loses its methods, never its client.
func TestOtherConnectionIsNamed(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if nc := proxy.WithClient(a, netip.AddrPort{}); nc != a {
		t.Errorf("WithClient without a client = %v, want the connection", nc)
	}
	nc := proxy.WithClient(a, netip.MustParseAddrPort(client))
	if got := nc.RemoteAddr(); got.String() != client || nc.LocalAddr().String() != a.LocalAddr().String() {
		t.Errorf("RemoteAddr = %v, LocalAddr = %v", got, nc.LocalAddr())
	}
	for _, same := range []string{client, "[::ffff:192.0.2.1]:56324"} {
		if again := proxy.WithClient(nc, netip.MustParseAddrPort(same)); again != nc {
			t.Errorf("WithClient of %s, which it has, = %v, want the connection", same, again)
		}
	}
}

func TestProxyWithoutHeaderIsClosed(t *testing.T) {
	l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback")})
	for i, text := range []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 x\r\n12", strings.Replace(header2, "QUIT", "QUIR", 1), strings.Repeat("\r\n", 1000)} {
		sender := dial(t, l, text)
		closed(t, sender)
		r := next(t, reports)
		if r.peer.String() != sender.LocalAddr().String() || r.err == nil || !strings.Contains(r.err.Error(), "PROXY header") {
			t.Errorf("%q: reported is %v: %v", text, r.peer, r.err)
		}
		until(t, l, proxy.Counts{Refused: uint64(i + 1)})
	}
	for text, want := range map[string]error{"": io.EOF, header1[:20]: io.ErrUnexpectedEOF} {
		sender := dial(t, l, text)
		sender.Close()
		if r := next(t, reports); !errors.Is(r.err, want) {
			t.Errorf("%q and the end: reported is %v, want %v", text, r.err, want)
		}
	}
	dial(t, l, header1+"x")
	receive(t, accept(t, l), "x")
}

func TestStrangersAreNotTouched(t *testing.T) {
	for _, tr := range []*proxy.Trusted{nil, trusted(t, "unix 10.0.0.1")} {
		l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: tr})
		sender := dial(t, l, header1)
		nc := accept(t, l)
		receive(t, nc, header1)
		if got := nc.RemoteAddr().String(); got != sender.LocalAddr().String() {
			t.Errorf("RemoteAddr = %s, want %s", got, sender.LocalAddr())
		}
		if _, ok := nc.(*net.TCPConn); !ok {
			t.Errorf("the connection is a %T, want the socket", nc)
		}
		if c := l.Counts(); c != (proxy.Counts{}) || len(reports) > 0 {
			t.Errorf("counts are %+v, with %d reports", c, len(reports))
		}
	}
}

func TestHeadersInPiecesAreRead(t *testing.T) {
	for _, header := range []string{header1, header2} {
		l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback")})
		sender := dial(t, l, "")
		for i := range len(header) {
			send(t, sender, header[i:i+1])
		}
		nc := accept(t, l)
		if got := nc.RemoteAddr().String(); got != client {
			t.Errorf("RemoteAddr = %s, want %s", got, client)
		}
		send(t, sender, "x")
		receive(t, nc, "x")
	}
}

func TestSlowHeadersHoldNobodyUp(t *testing.T) {
	l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback"), Timeout: time.Hour})
	var slow []net.Conn
	for range 20 {
		slow = append(slow, dial(t, l, header1[:len(slow)]))
	}
	dial(t, l, header1+"quick")
	receive(t, accept(t, l), "quick")
	until(t, l, proxy.Counts{Pending: len(slow), Headers: 1})
	for i, sender := range slow {
		send(t, sender, header1[i:]+"slow")
		receive(t, accept(t, l), "slow")
	}
	until(t, l, proxy.Counts{Headers: 21})
}

func TestLateHeaderClosesTheConnection(t *testing.T) {
	l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback"), Timeout: 50 * time.Millisecond})
	late := dial(t, l, header1[:20])
	closed(t, late)
	if r := next(t, reports); !errors.Is(r.err, os.ErrDeadlineExceeded) || r.peer.String() != late.LocalAddr().String() {
		t.Errorf("reported is %v: %v, want a deadline", r.peer, r.err)
	}
	until(t, l, proxy.Counts{Refused: 1})
}

// TestDeadlineEndsWithTheHeader: the time for the header is over when the rest is read.
func TestDeadlineEndsWithTheHeader(t *testing.T) {
	l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback"), Timeout: 50 * time.Millisecond})
	sender := dial(t, l, header1)
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	dial(t, l, "") // begins later, so its deadline is later
	next(t, reports)
	send(t, sender, "x")
	receive(t, nc, "x")
}

func TestTooManyPendingAreClosed(t *testing.T) {
	l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback"), Timeout: time.Hour, MaxPending: 2})
	one, two := dial(t, l, ""), dial(t, l, "")
	until(t, l, proxy.Counts{Pending: 2})
	three := dial(t, l, "")
	closed(t, three)
	if r := next(t, reports); r.peer.String() != three.LocalAddr().String() || fmt.Sprint(r.err) != "2 connections are pending, which is the limit" {
		t.Errorf("reported is %v: %v", r.peer, r.err)
	}
	until(t, l, proxy.Counts{Pending: 2, Shed: 1})

	send(t, one, header1) // with its header it is pending until it is accepted
	until(t, l, proxy.Counts{Pending: 2, Headers: 1, Shed: 1})
	accept(t, l)
	until(t, l, proxy.Counts{Pending: 1, Headers: 1, Shed: 1})
	four := dial(t, l, header1)
	accept(t, l)
	send(t, two, header1)
	accept(t, l)
	until(t, l, proxy.Counts{Headers: 3, Shed: 1})
	four.Close()
}

func TestCloseEndsEverything(t *testing.T) {
	l, reports := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback"), Timeout: time.Hour})
	senders := []net.Conn{dial(t, l, ""), dial(t, l, header1[:7]), dial(t, l, header1), dial(t, l, header2)}
	until(t, l, proxy.Counts{Pending: 4, Headers: 2})
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if left := leak.Left(); left != "" {
		t.Errorf("goroutines are left over:\n%s", left)
	}
	for _, sender := range senders {
		closed(t, sender)
	}
	if nc, err := l.Accept(); nc != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close = %v, %v", nc, err)
	}
	if c := l.Counts(); c != (proxy.Counts{Headers: 2}) || len(reports) > 0 {
		t.Errorf("counts are %+v, with %d reports: the server's end is nobody's fault", c, len(reports))
	}
	if err := l.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

// TestCloseEndsAnAcceptedStranger: one that waits for Accept when there is none.
func TestCloseEndsAnAcceptedStranger(t *testing.T) {
	l, _ := listen(t, "tcp", proxy.ListenerOptions{})
	sender := dial(t, l, "")
	l.Close()
	closed(t, sender)
}

func TestCloseEndsAccept(t *testing.T) {
	l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback")})
	err := make(chan error)
	go func() {
		_, e := l.Accept()
		err <- e
	}()
	l.Close()
	if e := <-err; !errors.Is(e, net.ErrClosed) {
		t.Errorf("Accept = %v, want %v", e, net.ErrClosed)
	}
}

// failing is a listener without descriptors to accept with, once for each of errs.
type failing struct {
	net.Listener
	errs chan error
}

func (l failing) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

func TestErrorsOfAcceptArePassedOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := failing{ln, make(chan error, 3)}
	for i := range cap(f.errs) {
		f.errs <- fmt.Errorf("too many open files %d", i)
	}
	l := proxy.NewListener(f, proxy.ListenerOptions{Trusted: trusted(t, "loopback")})
	defer l.Close()
	for i := range cap(f.errs) {
		if nc, err := l.Accept(); nc != nil || fmt.Sprint(err) != fmt.Sprintf("too many open files %d", i) {
			t.Errorf("Accept = %v, %v", nc, err)
		}
	}
	dial(t, l, header1+"x")
	receive(t, accept(t, l), "x")
}

// serve runs an HTTP server on l, which answers with the client's address.
func serve(t *testing.T, l net.Listener, tr *proxy.Trusted) {
	t.Helper()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr, ok := tr.Client(r, "")
		fmt.Fprintf(w, "%v %v %v", addr, ok, tr.Secure(r))
	})}
	done := make(chan struct{})
	go func() {
		_ = srv.Serve(l)
		close(done)
	}()
	t.Cleanup(func() {
		srv.Close()
		<-done
	})
}

const plain = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"

func TestServerKnowsTheClient(t *testing.T) {
	forged := plain + "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n"
	for _, c := range []struct{ network, trusted, send, want string }{
		{"tcp", "loopback", header1 + forged, "192.0.2.1 true false"},
		{"tcp", "loopback", header2 + forged, "192.0.2.1 true false"},
		{"unix", "unix", header1 + forged, "192.0.2.1 true false"},
		{"unix", "unix 192.0.2.1", header1 + forged, "6.6.6.6 true true"}, // a proxy behind the proxy
		{"tcp", "loopback 192.0.2.1", header2 + forged, "6.6.6.6 true true"},
		{"unix", "unix", local2 + forged, "6.6.6.6 true true"},
		{"unix", "unix", local2 + plain + "\r\n", "invalid IP false false"},
		{"unix", "loopback", forged, "invalid IP false false"},
		{"tcp", "unix", forged, "127.0.0.1 true false"},
		{"tcp", "unix", header1 + forged, "400 Bad Request"},
		{"unix", "loopback", header1 + forged, "400 Bad Request"},
	} {
		tr := trusted(t, c.trusted)
		l, _ := listen(t, c.network, proxy.ListenerOptions{Trusted: tr})
		serve(t, l, tr)
		answer, _ := io.ReadAll(dial(t, l, c.send))
		if _, body, _ := strings.Cut(string(answer), "\r\n\r\n"); body != c.want {
			t.Errorf("%s, %q trusted, %q: %q, want %q", c.network, c.trusted, c.send, body, c.want)
		}
	}
}

// TestHeaderComesBeforeTLS: the listener stands below that of TLS.
func TestHeaderComesBeforeTLS(t *testing.T) {
	pki := httptest.NewTLSServer(nil)
	defer pki.Close()
	tr := trusted(t, "loopback")
	l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: tr})
	serve(t, tls.NewListener(l, pki.TLS), tr)

	sender := tls.Client(dial(t, l, header2), &tls.Config{InsecureSkipVerify: true})
	send(t, sender, plain+"\r\n")
	answer, _ := io.ReadAll(sender)
	if _, body, _ := strings.Cut(string(answer), "\r\n\r\n"); body != "192.0.2.1 true true" {
		t.Errorf("answer: %q", answer)
	}
}
