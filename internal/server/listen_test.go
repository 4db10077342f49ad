package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/server"
)

var discard = slog.New(slog.DiscardHandler)

func tcp(name, address, handler string) config.Listener {
	return config.Listener{Name: name, Network: "tcp", Address: address, Handler: handler}
}

func socket(path string) config.Listener {
	return config.Listener{Name: "socket", Network: "unix", Address: path, Handler: "all"}
}

// TestStartBindsAllOrNothing has the second address taken.
func TestStartBindsAllOrNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close() // nobody is likely to take this port at once
	path := filepath.Join(t.TempDir(), "weir.sock")
	s := defaults(t)
	s.Listen = []config.Listener{tcp("one", free.Addr().String(), "all"), socket(path), tcp("two", taken.Addr().String(), "all")}
	srv, err := server.New(s, discard)
	if err != nil {
		t.Fatal(err)
	}
	err = srv.Start()
	if want := "listen on " + taken.Addr().String() + ": address already in use"; err == nil || err.Error() != want || !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("Start: %v, want %s", err, want)
	}
	if ls := srv.Listeners(); len(ls) != 0 {
		t.Errorf("after Start failed there are listeners: %v", ls)
	}
	again, err := net.Listen("tcp", free.Addr().String())
	if err != nil {
		t.Errorf("the first address is still bound: %v", err)
	} else {
		again.Close()
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket file is still there: %v", err)
	}
	taken.Close()
	if err := srv.Start(); err != nil {
		t.Errorf("Start once all are free: %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Run(ended); err != nil { // which stops a server that has started
		t.Errorf("Run for no time: %v", err)
	}
	if nc, err := net.Dial("tcp", free.Addr().String()); err == nil {
		nc.Close()
		t.Error("after Run the address is still bound")
	}
}

// TestErrorsOfStartAreOneClearLine tries addresses that cannot be bound.
func TestErrorsOfStartAreOneClearLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := net.Listen("unix", filepath.Join(dir, "live.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	for _, c := range []struct {
		l    config.Listener
		want string
	}{
		{socket(file), "listen on unix:" + file + ": the file exists and is no socket"},
		{socket(dir), "listen on unix:" + dir + ": the file exists and is no socket"},
		{socket(live.Addr().String()), "listen on unix:" + live.Addr().String() + ": address already in use"},
		{socket(filepath.Join(dir, "none", "weir.sock")), "listen on unix:" + filepath.Join(dir, "none", "weir.sock") + ": no such file or directory"},
		{socket(filepath.Join(dir, strings.Repeat("x", 200))), "listen on unix:" + filepath.Join(dir, strings.Repeat("x", 200)) + ": invalid argument"},
		{tcp("far", "192.0.2.1:80", "all"), "listen on 192.0.2.1:80: cannot assign requested address"},
	} {
		s := defaults(t)
		s.Listen = []config.Listener{c.l}
		srv, err := server.New(s, discard)
		if err != nil {
			t.Fatal(err)
		}
		if err := srv.Start(); err == nil || err.Error() != c.want {
			t.Errorf("Start: %v, want %s", err, c.want)
		}
	}
	if b, err := os.ReadFile(file); string(b) != "precious" {
		t.Errorf("a file in the way was overwritten: %q, %v", b, err)
	}
	nc, err := net.Dial("unix", live.Addr().String())
	if err != nil {
		t.Fatalf("the socket of another server is gone: %v", err)
	}
	nc.Close()
}

// TestStaleSocketIsReplaced leaves a socket file behind, as a killed server does.
func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weir.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	s := defaults(t)
	s.Listen = []config.Listener{socket(path)}
	r := start(t, s)
	if r.url != "unix:"+path {
		t.Errorf("URL is %q", r.url)
	}
	r.url = "http://weir.test"
	r.client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	id := r.publish(t, "a", "hello")
	resp, err := r.client.Get(r.url + "/v1/topics/a?since=start")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	eventually(t, "the stream is open", func() bool { return r.Streams() == 1 })
	r.cancel() // a stream over the socket ends like any other
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(body), "id: "+id+"\ndata: hello\n\n") {
		t.Errorf("stream over the socket: %q, %v", body, err)
	}
	r.stop(t)
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Run the socket file is still there: %v", err)
	}
}

// TestEachListenerServesItsHandler has one of each kind, one of them on IPv6.
func TestEachListenerServesItsHandler(t *testing.T) {
	s := defaults(t)
	s.Page = true
	s.Listen = []config.Listener{tcp("public", "127.0.0.1:0", "all"), tcp("programs", "[::1]:0", "api"), tcp("people", "127.0.0.1:0", "page")}
	if ln, err := net.Listen("tcp", "[::1]:0"); err == nil {
		ln.Close()
	} else {
		t.Logf("no IPv6 on this machine (%v): the second listener is on IPv4", err)
		s.Listen[1].Address = "127.0.0.1:0"
	}
	r := start(t, s)
	ls := r.Listeners()
	for i, l := range ls {
		want := s.Listen[i]
		host, _, _ := strings.Cut(want.Address, ":0")
		if l.Name != want.Name || l.Handler != want.Handler || !strings.HasPrefix(l.URL, "http://"+host+":") || strings.HasSuffix(l.URL, ":0") {
			t.Errorf("listener %d is %+v, configured as %+v", i, l, want)
		}
		r.url = l.URL
		page := want.Handler != "api"
		for path, status := range map[string]int{"/": 200, "/demo/nothing": 404, "/favicon.ico": 200, "/healthz": 200, "/readyz": 200, "/version": 200, "/v1/topics/a": 200, "/v1/nope": 404, "/nope": 404} {
			if !page && (path == "/" || path == "/favicon.ico") {
				status = 404
			}
			method := "GET"
			if path == "/v1/topics/a" {
				method = "HEAD"
			}
			resp, body := r.do(t, method, path, "")
			if resp.StatusCode != status {
				t.Errorf("%s: %s %s: %s, want %d", want.Name, method, path, resp.Status, status)
			}
			if status == 404 && (resp.Header.Get("Content-Type") != "application/problem+json" || !strings.Contains(body, `"code":"not_found"`)) {
				t.Errorf("%s: %s: %v %s, want a problem document", want.Name, path, resp.Header, body)
			}
		}
	}
	// They serve one hub.
	r.url = ls[0].URL
	id := r.publish(t, "a", "hello")
	r.url = ls[1].URL
	if _, body := r.do(t, "GET", "/v1/topics/a?since=start&wait=0s", ""); body != "id: "+id+"\ndata: hello\n\n" {
		t.Errorf("the second listener has %q", body)
	}
}

// TestRunReturnsTheErrorOfAListener closes a listener under the server.
func TestRunReturnsTheErrorOfAListener(t *testing.T) {
	r := start(t, defaults(t))
	r.publish(t, "a", "x")
	r.BreakListener()
	if err := r.wait(t); err == nil || !strings.HasPrefix(err.Error(), "serve 127.0.0.1:0: ") {
		t.Errorf("Run returned %v, want the listener's error", err)
	}
	<-r.done
	r.done <- nil // the test has seen it
}

// TestRunTakesTheEndOfItsContextForNoError, also if the context has a cause, as that
// of a signal has.
func TestRunTakesTheEndOfItsContextForNoError(t *testing.T) {
	srv, err := server.New(defaults(t), discard)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("terminated signal received"))
	if err := srv.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestSocketsHaveTheModeThatIsSet(t *testing.T) {
	s := defaults(t)
	path := filepath.Join(t.TempDir(), "weir.sock")
	s.Listen[0] = config.Listener{Name: "main", Network: "unix", Address: path, Handler: "all"}
	s.SocketMode = 0o606
	start(t, s)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o606 {
		t.Errorf("the socket has the mode %v, %v; want 0606", info.Mode(), err)
	}
}
