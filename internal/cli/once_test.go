package cli_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/protocol/native"
)

// keptBy starts a server and returns its address, and what returns all data that
// is kept of a topic.
func keptBy(t *testing.T) (address string, kept func(topic string) []string) {
	t.Helper()
	h, err := hub.New(hub.Options{History: hub.History{Default: hub.Retention{MaxEntries: 100_000}}})
	if err != nil {
		t.Fatal(err)
	}
	handler := native.New(h, native.Options{Adopt: true})
	s := httptest.NewUnstartedServer(handler)
	s.Config.ConnContext = native.ConnContext
	s.Start()
	t.Cleanup(func() {
		handler.Drain()
		s.Close()
		h.Close()
	})
	return s.Listener.Addr().String(), func(topic string) (all []string) {
		sel, err := eventlog.Select(topic)
		if err != nil {
			t.Fatal(err)
		}
		for after, head := uint64(0), h.Log().Head(); after < head; {
			page, err := h.Log().Read(context.Background(), sel, after, head, eventlog.Limit{})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range page.Entries {
				all = append(all, string(e.Data))
			}
			after = page.Next
		}
		return all
	}
}

// A fault cuts a connection when so many bytes have passed. When it cuts at an
// answer the server has sent it, so what was published is kept.
type fault struct{ request, answer int64 }

const all = 1 << 40

// A network passes connections on to a server; each of the first has a fault.
type network struct {
	url    string
	server string
	ln     net.Listener
	ended  sync.WaitGroup

	mu     sync.Mutex
	faults []fault // guarded by mu: of the next connections
	cuts   int     // guarded by mu
}

func newNetwork(t *testing.T, server string, faults ...fault) *network {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{url: "http://" + ln.Addr().String(), server: server, ln: ln, faults: faults}
	n.ended.Go(n.accept)
	t.Cleanup(func() {
		ln.Close()
		n.ended.Wait()
		if n.cuts != len(faults) {
			t.Errorf("%d connections were cut, want %d: this proves little", n.cuts, len(faults))
		}
	})
	return n
}

// accept ends with the listener.
func (n *network) accept() {
	for {
		client, err := n.ln.Accept()
		if err != nil {
			return
		}
		f := fault{all, all}
		n.mu.Lock()
		if len(n.faults) > 0 {
			f, n.faults = n.faults[0], n.faults[1:]
		}
		n.mu.Unlock()
		n.ended.Go(func() { n.pass(client, f) })
	}
}

// pass serves a connection until one side ends it, or its fault.
func (n *network) pass(client net.Conn, f fault) {
	defer client.Close()
	server, err := net.Dial("tcp", n.server)
	if err != nil {
		return
	}
	defer server.Close()
	cut := sync.OnceFunc(func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.cuts++
	})
	n.ended.Go(func() { // ends with either connection
		if _, err := io.CopyN(server, client, f.request); err == nil {
			cut()
		}
		server.Close()
	})
	if _, err := io.CopyN(client, server, f.answer); err == nil {
		if _, err := server.Read(make([]byte, 1)); err == nil { // so there is more of the answer, or another
			cut()
		}
	}
	_ = client.(*net.TCPConn).SetLinger(0) // a reset, not an end
}

// TestEveryLineIsPublishedOnceOverABrokenNetwork loses answers, whole and in part,
// and cuts requests in the middle.
func TestEveryLineIsPublishedOnceOverABrokenNetwork(t *testing.T) {
	const lines = 20_000
	var in strings.Builder
	for i := range lines {
		fmt.Fprintln(&in, i)
	}
	for _, c := range []struct {
		name   string
		faults []fault
	}{
		{"the first answers", []fault{{all, 0}, {all, 0}, {all, 1}}},
		{"later answers", []fault{{all, 1000}, {all, 2000}}},
		{"requests", []fault{{100, all}, {20_000, all}, {100_000, all}, {400_000, all}}},
		{"both", []fault{{all, 900}, {30_000, all}, {all, 0}, {50_000, 500}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, kept := keptBy(t)
			n := newNetwork(t, server, c.faults...)
			got := call{args: []string{"pub", "logs", "--server", n.url}, in: in.String()}.run()
			if want := fmt.Sprintf("%d published in ", lines); got.code != 0 || !strings.Contains(got.err, want) {
				t.Errorf("pub ends with %d and says %s, want %q", got.code, got.err, want)
			}
			data := kept("logs")
			for i, text := range data {
				if text != fmt.Sprint(i) {
					t.Fatalf("message %d is %q; %d are kept", i, text, len(data))
				}
			}
			if len(data) != lines {
				t.Errorf("%d messages are kept, want %d", len(data), lines)
			}
		})
	}
}

// TestOneMessageIsPublishedOnceOverABrokenNetwork: its ID is that of the first try.
func TestOneMessageIsPublishedOnceOverABrokenNetwork(t *testing.T) {
	server, kept := keptBy(t)
	n := newNetwork(t, server, fault{all, 0}, fault{10, all}, fault{all, 50})
	got := call{args: []string{"pub", "a", "hello", "--server", n.url}}.run()
	if got.code != 0 || !strings.HasSuffix(got.out, "-1\n") || strings.Count(got.err, "\n") != 1 || !strings.Contains(got.err, "trying again for 30s") {
		t.Errorf("pub gives %+v, want the ID of the first message", got)
	}
	if data := kept("a"); len(data) != 1 || data[0] != "hello" {
		t.Errorf("kept %q, want hello once", data)
	}
}
