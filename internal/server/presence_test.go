package server_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/redisserver"
)

// A room is an answer about who reads a topic.
type room struct {
	Topic       string
	Connections int
	Total       int
	LastID      string `json:"last_event_id"`
	Users       []struct {
		User        string
		Info        json.RawMessage
		Connections int
	}
}

// room asks who reads a topic.
func (r *running) room(t *testing.T, key, topic string) (got room) {
	t.Helper()
	resp, body := r.do(t, "GET", "/v1/presence/"+topic, "", key)
	if err := json.Unmarshal([]byte(body), &got); err != nil || resp.StatusCode != 200 {
		t.Fatalf("presence of %s: %s %s", topic, resp.Status, body)
	}
	return got
}

// names are the users of a room, with what is known of them.
func (r *room) names() string {
	var list []string
	for _, u := range r.Users {
		list = append(list, u.User+string(u.Info))
	}
	return strings.Join(list, " ")
}

// withPresence are the settings of a server that knows the readers of rooms.
func withPresence(s *config.Settings) *config.Settings {
	s.Presence = config.Presence{Topics: []string{"rooms/*"}, Grace: 200 * time.Millisecond, Users: 100}
	return s
}

// TestWhoReadsATopic has users with tokens come and go, on one server.
func TestWhoReadsATopic(t *testing.T) {
	r := start(t, withPresence(guarded(t)))
	ada := bearer(signed(t, access.Grant{User: "ada", Subscribe: []string{"rooms/*"}, Info: `{"name":"Ada"}`}))
	bob := bearer(signed(t, access.Grant{User: "bob", Subscribe: []string{"rooms/1"}}))
	watcher := r.openAs(t, ada, "/v1/topics/weir/presence/rooms/1", "application/x-ndjson")
	first := r.openAs(t, ada, "/v1/topics/rooms/1", "text/event-stream")
	r.openAs(t, bob, "/v1/events?topic=rooms/1", "application/x-ndjson")
	awaitEvent(t, watcher, `"join"`, `"ada"`, `Ada`)
	awaitEvent(t, watcher, `"join"`, `"bob"`)
	got := r.room(t, ada, "rooms/1")
	if got.Connections != 2 || got.names() != `ada{"name":"Ada"} bob` {
		t.Errorf("the room has %d connections of %s", got.Connections, got.names())
	}
	first.Close()
	line := awaitEvent(t, watcher, `"leave"`, `"ada"`)
	if _, text := r.do(t, "GET", "/v1/topics/weir/presence/rooms/1?wait=0s&last_event_id="+got.LastID, "", ada, "Accept: application/x-ndjson"); !strings.Contains(text, strings.TrimSpace(line)) {
		t.Errorf("after %s the topic has %s", got.LastID, text)
	}
	if _, text := r.do(t, "GET", "/v1/presence?topic=rooms/*", "", ada); strings.TrimSpace(text) != `{"total":1,"topics":[{"topic":"rooms/1","connections":1,"users":1}]}` {
		t.Errorf("counts are %s", text)
	}
}

// awaitEvent reads on until a line has all these parts.
func awaitEvent(t *testing.T, c *reader, parts ...string) string {
	t.Helper()
	for {
		line, missing := c.line(t), ""
		for _, part := range parts {
			if !strings.Contains(line, part) && !strings.Contains(strings.ReplaceAll(line, `\"`, `"`), part) {
				missing = part
			}
		}
		if missing == "" {
			return line
		}
	}
}

// TestPresenceIsForThoseWhoMayRead refuses others.
func TestPresenceIsForThoseWhoMayRead(t *testing.T) {
	r := start(t, withPresence(guarded(t)))
	bob := bearer(signed(t, access.Grant{User: "bob", Subscribe: []string{"rooms/1", "news"}}))
	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v1/presence/rooms/1", 200, ""},
		{"/v1/presence/rooms/2", 403, "forbidden"},
		{"/v1/presence?topic=rooms/*", 403, "forbidden"},
		{"/v1/presence", 403, "forbidden"},
		{"/v1/presence?topic=rooms/1", 200, ""},
		{"/v1/topics/weir/presence/rooms/2?wait=0s", 403, "forbidden"},
		{"/v1/topics/weir/presence/rooms/1?wait=0s", 200, ""},
		{"/v1/topics/weir/presence/**?wait=0s", 403, "forbidden"},
		{"/v1/presence/news", 404, "no_presence"},
		{"/v1/presence/rooms/*", 400, "bad_topic"},
		{"/v1/presence?topic=a/**/b", 400, "bad_pattern"},
		{"/v1/presence?topic=rooms/1&topic=news", 400, "bad_parameter"},
		{"/v1/presence/rooms/1?users=5", 400, "unknown_parameter"},
	} {
		resp, body := r.do(t, "GET", c.path, "", bob)
		if resp.StatusCode != c.status || problemCode(body) != c.code {
			t.Errorf("%s: %s %s, want %d %s", c.path, resp.Status, body, c.status, c.code)
		}
	}
	if resp, body := r.do(t, "POST", "/v1/presence/rooms/1", "x", bob); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, OPTIONS" {
		t.Errorf("POST: %s %s, Allow %q", resp.Status, body, resp.Header.Get("Allow"))
	}
	if resp, body := r.do(t, "POST", "/v1/topics/weir/presence/rooms/1", "forged", bob); resp.StatusCode != 403 {
		t.Errorf("forging an event: %s %s", resp.Status, body)
	}
}

// TestPresenceOverNodes reads a topic on one server and asks the other, which also
// counts the streams of a user on both.
func TestPresenceOverNodes(t *testing.T) {
	redis := newRedis(t)
	one, two := sharing(t, redis), sharing(t, redis)
	ada := bearer(signed(t, access.Grant{User: "ada", Subscribe: []string{"rooms/*"}, Limits: access.Limits{Streams: 2}}))
	first := one.openAs(t, ada, "/v1/topics/rooms/1", "text/event-stream")
	eventually(t, "the other server knows", func() bool { r := two.room(t, ada, "rooms/1"); return r.Connections == 1 && r.names() == "ada" })
	two.openAs(t, ada, "/v1/topics/rooms/1", "text/event-stream")
	for _, r := range []*running{one, two} {
		eventually(t, "a third stream is refused on each", func() bool {
			resp, body := r.do(t, "GET", "/v1/topics/rooms/1?wait=0s", "", ada)
			return resp.StatusCode == 429 && strings.Contains(body, "too_many_streams") && resp.Header.Get("Retry-After") != ""
		})
	}
	first.Close()
	eventually(t, "the slot is free on the other", func() bool {
		resp, _ := two.do(t, "GET", "/v1/topics/rooms/1?wait=0s", "", ada)
		return resp.StatusCode == 200
	})
	scraper := bearer(signed(t, access.Grant{User: "prometheus", Subscribe: []string{"weir/metrics"}}))
	if _, text := two.do(t, "GET", "/metrics", "", scraper); !strings.Contains(text, "\nweir_nodes 2\n") {
		t.Error("the metrics do not count two nodes")
	}
}

// sharing starts a server with access control whose log others share.
func sharing(t *testing.T, redis *redisserver.Server) *running {
	t.Helper()
	s := withPresence(guarded(t))
	s.Nodes = config.Nodes{Log: "redis://" + redis.Addr(), Name: "test", Wait: time.Second}
	return start(t, s)
}
