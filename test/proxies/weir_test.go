package proxies_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// A weir is "weir serve" in a process of its own.
type weir struct {
	*process
	addr string // host:port
	url  string
}

// serve starts a server on a free port and waits until it listens.
func serve(t *testing.T, args ...string) *weir {
	t.Helper()
	addr := freeAddr(t)
	return serveOn(t, addr, addr, args...)
}

// serveOn starts a server on the addresses listen, of which addr is one with a port, and
// waits until it listens.
func serveOn(t *testing.T, addr, listen string, args ...string) *weir {
	t.Helper()
	s := launch(t, addr, listen, args...)
	s.answers(http.DefaultClient, s.url)
	return s
}

// launch starts a server and waits for nothing.
func launch(t *testing.T, addr, listen string, args ...string) *weir {
	t.Helper()
	all := append([]string{weirPath, "serve", "--json", "--listen", listen}, args...)
	return &weir{process: start(t, nil, all...), addr: addr, url: "http://" + addr}
}

// answers waits until /healthz of the server is there at url, perhaps through a proxy.
func (p *process) answers(client *http.Client, url string) {
	p.t.Helper()
	await(p.t, p.name, func() error {
		p.running()
		resp, err := client.Get(url + "/healthz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s/healthz: %s", url, resp.Status)
		}
		return nil
	})
}

// gauge returns one of the server's metrics.
func (s *weir) gauge(name string) int {
	s.t.Helper()
	resp, err := http.Get(s.url + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.Atoi(strings.TrimSpace(value))
			if err != nil {
				s.t.Fatal(err)
			}
			return n
		}
	}
	s.t.Fatalf("no metric %s in\n%s", name, text)
	return 0
}

// awaitConnections waits until so many streams are open.
func (s *weir) awaitConnections(want int) {
	s.t.Helper()
	await(s.t, "weir_connections", func() error {
		if got := s.gauge("weir_connections"); got != want {
			return fmt.Errorf("%d connections, want %d", got, want)
		}
		return nil
	})
}

// Ports are handed out one after the other, above those of the other tests of the
// program and below those that systems give to outgoing connections: a port that a
// proxy has left stays free for the one that takes its place.
var nextPort atomic.Int32

func init() { nextPort.Store(31500 + 10*rand.Int32N(50)) }

// freeAddr finds an address at which nobody answers.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 500 {
		addr := fmt.Sprintf("127.0.0.1:%d", nextPort.Add(1))
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return addr
		}
		nc.Close()
	}
	t.Fatal("500 ports in a row are taken")
	return ""
}
