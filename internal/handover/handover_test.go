package handover_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/handover"
)

// patience bounds every wait.
const patience = 20 * time.Second

// TestMain fails if a goroutine of net/http is left.
func TestMain(m *testing.M) {
	code := m.Run()
	if left := serving(); code == 0 && left != "" {
		fmt.Fprintf(os.Stderr, "goroutines are left over:\n%s\n", left)
		code = 1
	}
	os.Exit(code)
}

// serving waits for the goroutines of net/http to end, and returns those that do
// not.
func serving() string {
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		buf := make([]byte, 1<<20)
		stacks := string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "net/http.") {
			return ""
		}
		if time.Now().After(deadline) {
			return stacks
		}
	}
}

// newServer returns a server that answers with method, path and body, and closes
// its connections when the test ends.
func newServer(t *testing.T) *http.Server {
	t.Helper()
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1000))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.Path, body)
	})}
	t.Cleanup(func() { srv.Close() })
	return srv
}

// pair returns the ends of a connection over the network, or over a socket file.
func pair(t *testing.T, network string) (client, server net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/socket"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if client, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	_ = client.SetDeadline(time.Now().Add(patience))
	if server, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

func answer(t *testing.T, in *bufio.Reader) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("read answer: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read answer: %v (so far %q)", err, b)
	}
	return resp.StatusCode, string(b)
}

// TestUnreadBytesAreServedFirst cuts two requests at every byte: what is before
// has been read by the one who gives the connection back.
func TestUnreadBytesAreServedFirst(t *testing.T) {
	const two = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: x\r\n\r\n"
	srv := newServer(t)
	for cut := range len(two) + 1 {
		client, server := pair(t, []string{"tcp", "unix"}[cut%2])
		if _, err := io.WriteString(client, two[cut:]); err != nil {
			t.Fatal(err)
		}
		handover.Return(srv, server, []byte(two[:cut]))
		in := bufio.NewReader(client)
		for _, want := range []string{"POST /a abc", "GET /b "} {
			if _, got := answer(t, in); got != want {
				t.Fatalf("cut at %d: answer is %q, want %q", cut, got, want)
			}
		}
		client.Close()
	}
}

// TestLargeUnreadIsServedWhole returns more than net/http reads at once, a byte of
// which net/http reads while a handler runs.
func TestLargeUnreadIsServedWhole(t *testing.T) {
	const n = 500
	srv := newServer(t)
	client, server := pair(t, "tcp")
	var unread bytes.Buffer
	for i := range n {
		fmt.Fprintf(&unread, "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", i)
	}
	handover.Return(srv, server, unread.Bytes())
	in := bufio.NewReader(client)
	for i := range n {
		if _, got := answer(t, in); got != fmt.Sprintf("POST /%d abc", i) {
			t.Fatalf("answer %d is %q", i, got)
		}
	}
	if _, err := io.WriteString(client, "GET /last HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, got := answer(t, in); got != "GET /last " {
		t.Errorf("after what was unread, the answer is %q", got)
	}
}

// TestRefusedClientSeesAnEnd has a client send more than the server reads. It must
// be able to read the answer and the end of the stream before a reset comes.
func TestRefusedClientSeesAnEnd(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		srv := newServer(t)
		client, server := pair(t, network)
		const begin = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
		if _, err := client.Write(make([]byte, 100000)); err != nil { // more than is read
			t.Fatal(err)
		}
		handover.Return(srv, server, []byte(begin))
		in := bufio.NewReader(client)
		if status, body := answer(t, in); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: answer is %d %q", network, status, body)
		}
		if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
			t.Errorf("%s: after the answer the client reads %q, %v; want a plain end", network, rest, err)
		}
		client.Close()
	}
}

// TestCloseWriteNeedsAConnectionThatCan: pipes cannot be half closed.
func TestCloseWriteNeedsAConnectionThatCan(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if err := accepted(t, a, "").CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("CloseWrite of a pipe: %v", err)
	}
}

// accepted returns what a server accepts when nc is returned to it.
func accepted(t *testing.T, nc net.Conn, unread string) *handover.Conn {
	t.Helper()
	got := make(chan net.Conn, 1)
	srv := newServer(t)
	srv.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
		got <- nc
		runtime.Goexit() // so that the server does not read from it
		return ctx
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		handover.Return(srv, nc, []byte(unread))
	}()
	<-done
	c, ok := (<-got).(*handover.Conn)
	if !ok {
		t.Fatal("the server accepts something that is not marked as given back")
	}
	return c
}

// TestSyscallConnWaitsForWhatIsUnread: taking the descriptor would lose it.
func TestSyscallConnWaitsForWhatIsUnread(t *testing.T) {
	client, server := pair(t, "tcp")
	c := accepted(t, server, "abc")
	defer c.Close()
	if _, err := io.WriteString(client, "d"); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for _, size := range []int{2, 5, 5} {
		if raw, err := c.SyscallConn(); (err == nil) != (len(got) >= 3) || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("after %q: SyscallConn() = %v, %v", got, raw, err)
		}
		p := make([]byte, size)
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p[:n]...)
	}
	if string(got) != "abcd" {
		t.Errorf("read %q", got)
	}
	p, _ := net.Pipe()
	defer p.Close()
	if raw, err := accepted(t, p, "").SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn of a pipe: %v, %v", raw, err)
	}
}

// TestReturnToAStoppedServerCloses: nobody else would.
func TestReturnToAStoppedServerCloses(t *testing.T) {
	srv := newServer(t)
	if err := srv.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, server := pair(t, "tcp")
	handover.Return(srv, server, nil)
	if rest, err := io.ReadAll(client); err != nil || len(rest) > 0 {
		t.Errorf("the client reads %q, %v; want the end", rest, err)
	}
}

// TestListenerMayBeClosedDuringAccept closes it as Shutdown does, at the moment
// when the server is about to accept. The connection is served, or closed.
func TestListenerMayBeClosedDuringAccept(t *testing.T) {
	for range 50 {
		srv := newServer(t)
		var wg sync.WaitGroup
		srv.BaseContext = func(l net.Listener) context.Context {
			wg.Go(func() { l.Close() })
			return context.Background()
		}
		client, server := pair(t, "tcp")
		handover.Return(srv, server, []byte("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
		wg.Wait()
		got, err := io.ReadAll(client)
		if served := strings.HasSuffix(string(got), "GET / "); err != nil || !served && len(got) > 0 {
			t.Errorf("the client reads %q, %v; want an answer or the end", got, err)
		}
		client.Close()
	}
}

// TestReturnDuringShutdownServesOrCloses returns connections from all sides while
// the server stops.
func TestReturnDuringShutdownServesOrCloses(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	for range 100 {
		srv := newServer(t)
		var wg sync.WaitGroup
		var clients []net.Conn
		for range 4 {
			client, server := pair(t, "tcp")
			clients = append(clients, client)
			wg.Go(func() { handover.Return(srv, server, []byte(request)) })
		}
		wg.Go(func() { srv.Shutdown(t.Context()) })
		wg.Wait()
		for _, c := range clients {
			got, err := io.ReadAll(c)
			if served := strings.HasSuffix(string(got), "GET / "); err != nil || !served && len(got) > 0 {
				t.Errorf("the client reads %q, %v; want an answer or the end", got, err)
			}
			c.Close()
		}
	}
}
