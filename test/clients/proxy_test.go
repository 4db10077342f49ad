package clients_test

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// A proxy passes TCP connections on to a server, and can cut them. It stands for
// the network between the two.
type proxy struct {
	url    string
	target string
	ln     net.Listener

	answers proctest.Transcript // what has passed from the server to clients

	mu      sync.Mutex
	down    bool
	budgets []int // answer bytes that the next connections may carry
	heads   []head
	conns   map[net.Conn]struct{}
	cuts    int // connections that were cut because their budget was used up
}

// A head is the beginning of what a client sent on one connection.
type head struct {
	at   time.Time
	text string
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", proctest.FreeAddr())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{url: "http://" + ln.Addr().String(), target: target, ln: ln, conns: make(map[net.Conn]struct{})}
	go p.accept()
	t.Cleanup(func() {
		ln.Close()
		p.cut()
	})
	return p
}

func (p *proxy) accept() {
	for {
		nc, err := p.ln.Accept()
		if err != nil {
			return
		}
		go p.pass(nc)
	}
}

// pass serves one connection: it dials when the client has sent something.
func (p *proxy) pass(client net.Conn) {
	defer client.Close()
	if !p.track(client) {
		return
	}
	defer p.untrack(client)
	first := make([]byte, 16<<10)
	n, err := client.Read(first)
	if err != nil {
		return
	}
	budget := p.begin(string(first[:n]))
	upstream, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer upstream.Close()
	if !p.track(upstream) {
		return
	}
	defer p.untrack(upstream)
	if _, err := upstream.Write(first[:n]); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(upstream, client)
		upstream.Close()
	}()
	noted := io.MultiWriter(client, &p.answers)
	if budget < 0 {
		_, _ = io.Copy(noted, upstream)
		return
	}
	if n, _ := io.CopyN(noted, upstream, int64(budget)); n == int64(budget) {
		p.exhausted(client)
	}
}

// begin notes a request and returns how many bytes of answer may pass, -1 for all.
func (p *proxy) begin(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heads = append(p.heads, head{time.Now(), text})
	if len(p.budgets) == 0 {
		return -1
	}
	b := p.budgets[0]
	p.budgets = p.budgets[1:]
	return b
}

// exhausted cuts a connection like a broken network does, with a reset.
func (p *proxy) exhausted(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts++
}

func (p *proxy) track(nc net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.conns[nc] = struct{}{}
	}
	return !p.down
}

func (p *proxy) untrack(nc net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, nc)
}

// allow lets each of the next connections carry so many bytes of answer.
func (p *proxy) allow(bytes ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budgets = append(p.budgets, bytes...)
}

// cut closes all connections; new ones work.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.conns {
		nc.Close()
	}
}

// setDown closes all connections and, until it is called with false, new ones too.
func (p *proxy) setDown(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.cut()
	}
}

// requests returns the heads of the requests so far, in the order in which they came.
func (p *proxy) requests() []head {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]head(nil), p.heads...)
}

// exhaustions returns how many connections used up their budget.
func (p *proxy) exhaustions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// field returns a header field of a request, and "" if it is not there.
func (h head) field(name string) string {
	for line := range strings.SplitSeq(h.text, "\r\n") {
		if n, value, ok := strings.Cut(line, ": "); ok && strings.EqualFold(n, name) {
			return value
		}
	}
	return ""
}
