package proxies_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// TestProxySaysWhoAsks looks at what the server gets to see.
func TestProxySaysWhoAsks(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "header": r.Header}) // the client looks at it
		}))
		defer echo.Close()
		p := k.inFront(t, strings.TrimPrefix(echo.URL, "http://"))
		p.eachRoute(t, func(t *testing.T, r route) {
			scheme, host, _ := strings.Cut(r.url, "://")
			_, answer := r.post(t, "/", "x", "X-Forwarded-For", "192.0.2.66", "X-Forwarded-Proto", "gopher")
			var seen struct {
				Host   string
				Header http.Header
			}
			if err := json.Unmarshal([]byte(answer), &seen); err != nil {
				t.Fatalf("%v: %s", err, answer)
			}
			chain := strings.Split(strings.Join(seen.Header["X-Forwarded-For"], ","), ",")
			if last := strings.TrimSpace(chain[len(chain)-1]); last != "127.0.0.1" {
				t.Errorf("X-Forwarded-For is %q: its end was not written by the proxy", chain)
			}
			if got := strings.Join(seen.Header["X-Forwarded-Proto"], ","); got != scheme {
				t.Errorf("X-Forwarded-Proto is %q, want %q", got, scheme)
			}
			if seen.Host != host {
				t.Errorf("Host is %q, want %q", seen.Host, host)
			}
		})
	})
}

// elsewhere is an address of this machine that no proxy has.
const elsewhere = "127.0.0.2"

// fromElsewhere makes the connections of a route come from that address.
func (r route) fromElsewhere() route {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(elsewhere)}}
	r.client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, addr)
	}
	return r
}

// checkAddress publishes from elsewhere and looks for that address in the access log.
func checkAddress(t *testing.T, s *weir, r route) {
	t.Helper()
	topic := "from-" + r.name
	resp, answer := r.fromElsewhere().post(t, "/v1/topics/"+topic, "x", "X-Forwarded-For", "192.0.2.66")
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("publish: %s %s", resp.Status, answer)
	}
	await(t, "the access log", func() error {
		for line := range strings.Lines(s.Said()) {
			if strings.Contains(line, "path=/v1/topics/"+topic+" ") && strings.Contains(line, "remote="+elsewhere+":") {
				return nil
			}
		}
		return fmt.Errorf("no request to %s of %s in\n%s", topic, elsewhere, s.Said())
	})
}

func TestServerBelievesTheProxyAndNotTheClient(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t, "--proxy.trusted", "127.0.0.1", "--log.access")
		k.inFront(t, s.addr).eachRoute(t, func(t *testing.T, r route) { checkAddress(t, s, r) })
	})
}

// TestHAProxySpeaksTheProxyProtocol turns the line of the file on that is a comment.
func TestHAProxySpeaksTheProxyProtocol(t *testing.T) {
	t.Parallel()
	addr := proctest.FreeAddr()
	s := launch(t, addr, addr, "--proxy.trusted", "127.0.0.1", "--proxy.protocol", "--log.access")
	p := kinds["HAProxy"].inFront(t, addr,
		"    server weir 127.0.0.1:8080 check inter 2s\n", "",
		"# server weir", "server weir",
		"    option forwardfor\n", "")
	for _, r := range p.routes(t) {
		t.Run(r.name, func(t *testing.T) { checkAddress(t, s, r) })
	}
}
