package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/loop"
	"github.com/weirstream/weir/internal/proxy"
	"github.com/weirstream/weir/stream"
)

// TestDescriptorIsBehindTheHeader: whoever takes the descriptor finds all that follows.
func TestDescriptorIsBehindTheHeader(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, header := range []string{header1, header2} {
			l, _ := listen(t, network, proxy.ListenerOptions{Trusted: trusted(t, "loopback unix")})
			sender := dial(t, l, header+"hello")
			fd, err := loop.Detach(accept(t, l), time.Minute, time.Minute)
			if err != nil {
				t.Fatalf("%s: %v", network, err)
			}
			nc, err := loop.Attach(fd)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			receive(t, nc, "hello")
			if got := proxy.WithClient(nc, netip.MustParseAddrPort(client)).RemoteAddr().String(); got != client {
				t.Errorf("%s: RemoteAddr with client = %s, want %s", network, got, client)
			}
			send(t, nc, "answer")
			receive(t, sender, "answer")
		}
	}
}

func TestStreamKnowsTheClient(t *testing.T) {
	l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "loopback")})
	srv := &http.Server{Handler: stream.Chunked("text/plain", func(c *stream.Conn, _ *http.Request) {
		_, _ = io.WriteString(c, c.RemoteAddr().String()+"\n")
		_ = c.End()
	})}
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	sender := dial(t, l, header2+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	r, err := http.ReadResponse(bufio.NewReader(sender), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r.Body); string(got) != client+"\n" {
		t.Errorf("got %q, %v, want %q", got, err, client)
	}
}

// TestStrangerPassesWhileProxiesArePending needs a second address of this machine.
func TestStrangerPassesWhileProxiesArePending(t *testing.T) {
	l, _ := listen(t, "tcp", proxy.ListenerOptions{Trusted: trusted(t, "127.0.0.1"), Timeout: time.Hour, MaxPending: 1})
	dial(t, l, "")
	until(t, l, proxy.Counts{Pending: 1})
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	stranger, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	send(t, stranger, header1)
	nc := accept(t, l)
	receive(t, nc, header1)
	if got := nc.RemoteAddr().String(); !strings.HasPrefix(got, "127.0.0.2:") {
		t.Errorf("RemoteAddr = %s", got)
	}
}

// TestUnixPeerCannotNameItselfAnAddress: who connects to a unix socket may be bound to a
// file with any name.
func TestUnixPeerCannotNameItselfAnAddress(t *testing.T) {
	t.Chdir(t.TempDir())
	tr := trusted(t, "private")
	l, _ := listen(t, "unix", proxy.ListenerOptions{Trusted: tr})
	serve(t, l, tr)
	liar, err := net.DialUnix("unix", &net.UnixAddr{Name: "10.0.0.1:80", Net: "unix"}, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer liar.Close()
	_ = liar.SetDeadline(time.Now().Add(patience))
	send(t, liar, plain+"X-Forwarded-For: 6.6.6.6\r\n\r\n")
	answer, _ := io.ReadAll(liar)
	if _, body, _ := strings.Cut(string(answer), "\r\n\r\n"); body != "invalid IP false false" {
		t.Errorf("answer: %q, want no address", answer)
	}
}
