package proxies_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// countDials counts the connections that a transport opens.
func countDials(transport *http.Transport) *atomic.Int32 {
	var dials atomic.Int32
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	return &dials
}

// A returner is a reader of an event stream that comes back whenever it is cut, with
// the ID it saw last, as browsers do.
type returner struct {
	route
	path string

	mu   sync.Mutex
	got  []string // data of the messages; guarded by mu
	id   string
	cuts int // streams that ended after they had brought something; guarded by mu
}

// follow reads until ctx ends.
func (b *returner) follow(ctx context.Context) {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for ctx.Err() == nil {
		b.once(ctx)
		<-pause.C
	}
}

func (b *returner) once(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+b.path, nil)
	if err != nil {
		panic(err)
	}
	if b.id != "" {
		req.Header.Set("Last-Event-ID", b.id)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusOK && b.read(resp.Body) > 0 {
		b.mu.Lock()
		b.cuts++
		b.mu.Unlock()
	}
}

// read reads one response and returns how many messages it had. An event counts when
// its empty line is there.
func (b *returner) read(body io.Reader) (n int) {
	var id, data string
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case name == "id":
			id = value
		case name == "data":
			data = value
		case lines.Text() == "":
			b.take(id, data)
			if data != "" {
				n++
			}
			data = ""
		}
	}
	return n
}

func (b *returner) take(id, data string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.id = id
	if data != "" {
		b.got = append(b.got, data)
	}
}

// count returns how many messages have come.
func (b *returner) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.got)
}

// awaitCount waits until so many messages have come.
func (b *returner) awaitCount(t *testing.T, want int) {
	t.Helper()
	await(t, b.name, func() error {
		if got := b.count(); got < want {
			return fmt.Errorf("%d messages, want %d", got, want)
		}
		return nil
	})
}

// check fails the test unless the messages are 1..n in order, each once.
func (b *returner) check(t *testing.T, n int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, data := range b.got {
		if data != fmt.Sprint(i+1) {
			t.Fatalf("%s: message %d is %q, want 1 to %d in order, each once", b.name, i+1, data, n)
		}
	}
	if len(b.got) != n {
		t.Fatalf("%s: %d messages, want %d", b.name, len(b.got), n)
	}
}

func TestReadersMissNothingWhenTheProxyIsKilled(t *testing.T) {
	const kills, between = 3, 150 // messages
	eachKind(t, func(t *testing.T, k kind) {
		s := serve(t)
		p := k.inFront(t, s.addr)
		ctx, cancel := context.WithCancel(context.Background())
		var readers []*returner
		var wg sync.WaitGroup
		defer wg.Wait()
		defer cancel()
		for _, r := range p.routes(t) {
			b := &returner{route: r, path: "/v1/topics/a?since=start"}
			readers = append(readers, b)
			wg.Go(func() { b.follow(ctx) })
		}
		stop := make(chan struct{})
		published := make(chan int, 1)
		wg.Go(func() { published <- s.count(stop) })
		for i := range kills {
			for _, b := range readers {
				b.awaitCount(t, (i+1)*between)
			}
			p.Kill()
			p.begin(t)
		}
		close(stop)
		n := <-published
		for _, b := range readers {
			b.awaitCount(t, n)
			b.check(t, n)
			if b.cuts < kills {
				t.Errorf("%s: %d streams were cut, want %d", b.name, b.cuts, kills)
			}
		}
	})
}

// count publishes 1, 2, 3 and so on, not through the proxy, until stop is closed. It
// returns how many there are, 0 if one was refused.
func (s *weir) count(stop <-chan struct{}) int {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return n - 1
		case <-tick.C:
		}
		resp, err := http.Post(s.url+"/v1/topics/a", "text/plain", strings.NewReader(fmt.Sprint(n)))
		if err != nil {
			s.t.Errorf("publish %d: %v", n, err)
			return 0
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusCreated {
			s.t.Errorf("publish %d: %s", n, resp.Status)
			return 0
		}
	}
}
