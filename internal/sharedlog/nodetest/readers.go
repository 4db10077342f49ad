package nodetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A site is a hub on a node, with its HTTP server.
type site struct {
	hub  *hub.Hub
	http *httptest.Server
}

func newSite(t *testing.T, s Server, name string, o sharedlog.Options) *site {
	t.Helper()
	log := Open(t, s, name, o)
	h, err := hub.New(hub.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, seq, ok := eventlog.ParseID(r.Header.Get("Last-Event-ID")); ok && seq > log.Head() {
			_ = log.Sync(r.Context()) // the reader has seen on another node what comes here this moment
		}
		h.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		h.Close()
		web.Close()
	})
	return &site{h, web}
}

// A reader follows everything on one site after another, as a browser does: when it is
// cut it comes back with its last ID.
type reader struct {
	sites []*site

	mu   sync.Mutex
	data []string // guarded by mu
	gaps int      // guarded by mu
}

func (r *reader) run(ctx context.Context, every int) {
	id := ""
	for i := 0; ctx.Err() == nil; i++ {
		id = r.read(ctx, r.sites[i%len(r.sites)], id, every)
	}
}

// read reads some messages, and returns the last ID.
func (r *reader) read(ctx context.Context, s *site, id string, n int) string {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", s.http.URL+"?topic=**", nil)
	if id != "" {
		req.Header.Set("Last-Event-ID", id)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return id
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for n > 0 && lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		r.mu.Lock()
		switch {
		case key == "id":
			id = value
		case key == "event" && value == hub.GapEvent:
			r.gaps++
		case key == "data" && strings.HasPrefix(value, "m/"):
			r.data = append(r.data, value)
			n--
		}
		r.mu.Unlock()
	}
	return id
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.data)
}

// ReadersOfAllNodesGetEverythingOnce has readers that stay at a node, and readers
// that go from node to node, while messages are published on all, and the server is killed.
func ReadersOfAllNodesGetEverythingOnce(t *testing.T, s Server) {
	o := sharedlog.Options{HotBytes: 20_000}
	sites := []*site{newSite(t, s, "hub", o), newSite(t, s, "hub", o), newSite(t, s, "hub", o)}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	readers := []*reader{{sites: sites[:1]}, {sites: sites[1:2]}, {sites: sites}, {sites: sites[1:]}}
	for i, r := range readers {
		wg.Go(func() { r.run(ctx, []int{1 << 30, 50, 7, 13}[i]) })
	}
	for _, r := range readers { // what comes before that a reader without an ID does not see
		Within(t, 10*time.Second, "the reader reads", func() bool {
			_, err := sites[0].hub.Publish(t.Context(), hub.Message{Topics: []string{"start"}, Data: []byte("m/start")})
			return err == nil && r.count() > 0
		})
	}
	publishers := publishOnAll(t, sites, 300)
	Within(t, 10*time.Second, "some messages have come", func() bool { return readers[0].count() > 100 })
	s.Kill()
	s.Restart()
	publishers.Wait()
	for i, r := range readers {
		Within(t, 20*time.Second, fmt.Sprintf("reader %d has the last messages", i), func() bool { return r.has(3, 299) })
	}
	cancel()
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	for i, r := range readers {
		r.check(t, i, 3, 300)
	}
}

// publishOnAll begins to publish n messages on each site, each until it is acknowledged. It
// returns what to wait for; the test does not end before.
func publishOnAll(t *testing.T, sites []*site, n int) *sync.WaitGroup {
	publishers := new(sync.WaitGroup)
	for i, site := range sites {
		publishers.Go(func() {
			for number := range n {
				if err := site.publish(t.Context(), fmt.Sprint("t/", i), fmt.Sprintf("m/%d/%d", i, number)); err != nil {
					t.Errorf("Publish = %v", err)
					return
				}
			}
		})
	}
	t.Cleanup(publishers.Wait)
	return publishers
}

// publish publishes a message again and again until it is acknowledged, or refused for
// another reason than that the server is away. With its key it is stored once.
func (s *site) publish(ctx context.Context, topic, data string) error {
	for {
		_, err := s.hub.Publish(ctx, hub.Message{Topics: []string{topic}, Data: []byte(data), IdempotencyKey: data})
		if !errors.Is(err, eventlog.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
	}
}

// has reports whether the last message of each publisher has come.
func (r *reader) has(publishers, last int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := strings.Join(r.data, " ") + " "
	for i := range publishers {
		if !strings.Contains(all, fmt.Sprintf("m/%d/%d ", i, last)) {
			return false
		}
	}
	return true
}

// check wants all messages of each publisher once, in order.
func (r *reader) check(t *testing.T, number, publishers, n int) {
	t.Helper()
	next := make([]int, publishers)
	for _, data := range r.data {
		var i, n int
		if _, err := fmt.Sscanf(data, "m/%d/%d", &i, &n); err != nil {
			continue
		}
		if n != next[i] {
			t.Fatalf("reader %d gets %s instead of number %d", number, data, next[i])
		}
		next[i]++
	}
	for i := range next {
		if next[i] != n || r.gaps > 0 {
			t.Errorf("reader %d got %d messages of publisher %d, want %d; %d gaps", number, next[i], i, n, r.gaps)
		}
	}
}
