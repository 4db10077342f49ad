package clients_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gosse "github.com/tmaxmax/go-sse"
)

// A goClient is a connection of github.com/tmaxmax/go-sse and what it has received.
type goClient struct {
	t       *testing.T
	retries []time.Duration // set by the client's goroutine; read after stop

	mu     sync.Mutex
	events []gosse.Event // guarded by mu
	stop   func()
}

// connect follows an address until the test ends or stop is called. Events
// without data are left out: the client hands on the first bytes of a stream, which
// only tell the ID, as an empty message.
func connect(t *testing.T, address string) *goClient {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	c := &goClient{t: t}
	client := &gosse.Client{
		HTTPClient: &http.Client{Transport: transport},
		OnRetry:    func(_ error, wait time.Duration) { c.retries = append(c.retries, wait) },
		Backoff:    gosse.Backoff{Multiplier: 1},
	}
	conn := client.NewConnection(req)
	conn.SubscribeToAll(func(e gosse.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.Data != "" {
			c.events = append(c.events, e)
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := conn.Connect(); ctx.Err() == nil {
			t.Errorf("go-sse has given up: %v", err)
		}
	}()
	c.stop = func() {
		cancel()
		<-done
		transport.CloseIdleConnections()
	}
	t.Cleanup(c.stop)
	return c
}

func (c *goClient) received() []gosse.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

func (c *goClient) await(n int) []gosse.Event {
	c.t.Helper()
	await(c.t, "go-sse", func() error {
		if got := c.received(); len(got) < n {
			return fmt.Errorf("received %v, want %d events", got, n)
		}
		return nil
	})
	return c.received()
}

func TestGoClientReceivesAndResumes(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	p := newProxy(t, s.addr)
	c := connect(t, p.url+"/v1/topics/a?since=start")
	plain := s.publish("a", "水坝\n🌊", "")
	price := s.publish("a", `{"eur":17}`, "type=price")
	want := []gosse.Event{{LastEventID: plain, Data: "水坝\n🌊"}, {LastEventID: price, Type: "price", Data: `{"eur":17}`}}
	if got := c.await(2); !slices.Equal(got, want) {
		t.Errorf("received %v, want %v", got, want)
	}

	p.allow(budgets...)
	p.cut()
	s.trickle("a", 100, 5*time.Millisecond)
	c.await(102)
	c.stop()
	var got []string
	for _, e := range c.received()[2:] {
		got = append(got, e.Data)
	}
	checkCount(t, "go-sse", got, 100)
	// It waits up to half longer or shorter than it is told.
	if len(c.retries) < 6 || slices.Max(c.retries) > 200*time.Millisecond {
		t.Errorf("came back after %v, want at least 6 times, each after about 100 ms", c.retries)
	}
}

func TestGoClientComesBackAfterARestart(t *testing.T) {
	t.Parallel()
	s := serve(t, "--stream.retry", "100ms")
	c := connect(t, s.topicURL("a")+"?since=start")
	s.publish("a", "1", "")
	c.await(1)
	s = s.restart()
	s.publish("a", "2", "")
	got := c.await(3)
	if got[1].Type != "weir.gap" || !strings.Contains(got[1].Data, `"foreign"`) || got[2].Data != "2" {
		t.Errorf("received %v, want a gap and then 2", got[1:])
	}
}
