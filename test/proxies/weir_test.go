package proxies_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// A weir is "weir serve" in a process of its own.
type weir struct {
	process
	addr string // host:port
	url  string
}

// serve starts a server on a free port and waits until it listens.
func serve(t *testing.T, args ...string) *weir {
	t.Helper()
	addr := proctest.FreeAddr()
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

// gauge returns one of the server's metrics.
func (s *weir) gauge(name string) float64 {
	s.t.Helper()
	v, err := proctest.Metric(http.DefaultClient, s.url, name)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// awaitConnections waits until so many streams are open.
func (s *weir) awaitConnections(want float64) {
	s.t.Helper()
	await(s.t, "weir_connections", func() error {
		if got := s.gauge("weir_connections"); got != want {
			return fmt.Errorf("%v connections, want %v", got, want)
		}
		return nil
	})
}
