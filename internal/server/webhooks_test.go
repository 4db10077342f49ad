package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/webhook"
)

// An application gets webhooks.
type application struct {
	url string

	mu     sync.Mutex
	events []string // guarded by mu: "join rooms/1 ada"
}

func newApplication(t *testing.T) *application {
	a := new(application)
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	a.url = s.URL
	return a
}

func (a *application) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		Events []struct{ Event, Topic, User, Data string }
	}
	text, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(text, &body) // the test misses what is not there
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range body.Events {
		a.events = append(a.events, strings.TrimSpace(fmt.Sprint(e.Event, " ", e.Topic, " ", e.User, e.Data)))
	}
}

func (a *application) got() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events)
}

// want waits until these events have come, in this order but for those that happened at
// once, and no others.
func (a *application) want(t *testing.T, events ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the application has %d events", len(events)), func() bool { return len(a.got()) >= len(events) })

	got := a.got()
	slices.Sort(got)
	slices.Sort(events)
	if !slices.Equal(got, events) {
		t.Errorf("the application got %q, want %q", got, events)
	}
}

// withWebhook adds a webhook to settings.
func withWebhook(t *testing.T, s *config.Settings, a *application, events ...string) *config.Settings {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Webhooks = []webhook.Spec{{Name: "app", URL: a.url, SecretFile: secret, Topics: []string{"rooms/*"}, Events: events}}
	s.Presence.Grace = 300 * time.Millisecond
	s.Presence.Users = 100
	return s
}

// TestApplicationsAreTold has a user open a topic, load the page again, and leave.
func TestApplicationsAreTold(t *testing.T) {
	app := newApplication(t)
	r := start(t, withWebhook(t, guarded(t), app, "occupied", "vacated", "join", "leave", "connect", "disconnect", "message"))
	ada := bearer(signed(t, access.Grant{User: "ada", Publish: []string{"**"}, Subscribe: []string{"rooms/*"}}))
	first := r.openAs(t, ada, "/v1/topics/rooms/1", "text/event-stream")
	want := []string{"occupied rooms/1", "join rooms/1 ada", "connect rooms/1 ada"}
	app.want(t, want...)
	first.Close()
	second := r.openAs(t, ada, "/v1/topics/rooms/1", "text/event-stream")
	want = append(want, "disconnect rooms/1 ada", "connect rooms/1 ada")
	app.want(t, want...)
	if resp, body := r.do(t, "POST", "/v1/topics/rooms/1", "hello", ada); resp.StatusCode != 201 {
		t.Fatalf("publish: %s %s", resp.Status, body)
	}
	want = append(want, "message rooms/1 hello")
	app.want(t, want...)
	second.Close()
	want = append(want, "disconnect rooms/1 ada", "leave rooms/1 ada", "vacated rooms/1")
	app.want(t, want...)
	scraper := bearer(signed(t, access.Grant{User: "prometheus", Subscribe: []string{"weir/metrics"}}))
	eventually(t, "the metrics count the events", func() bool {
		_, text := r.do(t, "GET", "/metrics", "", scraper)
		return strings.Contains(text, fmt.Sprintf("\nweir_webhook_events_total{webhook=\"app\"} %d\n", len(want)))
	})
}

// TestOneOfManyNodesTells has two servers with the same webhook: events of both come once,
// also those of the second when the first has ended.
func TestOneOfManyNodesTells(t *testing.T) {
	app, redis := newApplication(t), newRedis(t)
	begin := func() *running {
		s := withWebhook(t, guarded(t), app)
		s.Nodes = config.Nodes{Log: "redis://" + redis.Addr(), Name: "test", Wait: time.Second}
		return start(t, s)
	}
	one, two := begin(), begin()
	as := func(user string) string {
		return bearer(signed(t, access.Grant{User: user, Subscribe: []string{"rooms/*"}}))
	}
	a := one.openAs(t, as("ada"), "/v1/topics/rooms/1", "text/event-stream")
	b := two.openAs(t, as("bob"), "/v1/topics/rooms/2", "text/event-stream")
	want := []string{"occupied rooms/1", "join rooms/1 ada", "occupied rooms/2", "join rooms/2 bob"}
	app.want(t, want...)
	a.Close()
	want = append(want, "leave rooms/1 ada", "vacated rooms/1")
	app.want(t, want...)
	one.stop(t)
	b.Close()
	want = append(want, "leave rooms/2 bob", "vacated rooms/2")
	app.want(t, want...)
}
