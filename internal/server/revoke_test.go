package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
)

// operator may see and end connections, and nothing else.
var operator = access.Grant{User: "op", Publish: []string{"weir/connections"}, Subscribe: []string{"weir/connections"}}

// A listed connection.
type listed struct {
	ID, User, Token, Address string
	Topics                   []string
	Bytes                    int64
}

// connections lists streams.
func (r *running) connections(t *testing.T, key, query string) (list []listed) {
	t.Helper()
	resp, body := r.do(t, "GET", "/v1/connections"+query, "", key)
	var answer struct {
		Total       int
		Connections []listed
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != 200 || answer.Total != len(answer.Connections) {
		t.Fatalf("connections%s: %s %s", query, resp.Status, body)
	}
	return answer.Connections
}

// end ends streams and returns how many.
func (r *running) end(t *testing.T, key, query string) int {
	t.Helper()
	resp, body := r.do(t, "DELETE", "/v1/connections"+query, "", key)
	var answer struct{ Ended int }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || resp.StatusCode != 200 {
		t.Fatalf("DELETE connections%s: %s %s", query, resp.Status, body)
	}
	return answer.Ended
}

// readers opens a stream for each of the names, "user token topic", and waits until
// all are listed.
func (r *running) readers(t *testing.T, op string, names ...string) map[string]*reader {
	t.Helper()
	opened := make(map[string]*reader)
	for _, name := range names {
		f := strings.Fields(name)
		g := access.Grant{User: f[0], ID: f[1], Subscribe: []string{"**"}}
		opened[name] = r.openAs(t, bearer(signed(t, g)), "/v1/topics/"+f[2], "text/event-stream")
	}
	eventually(t, "all are listed", func() bool { return len(r.connections(t, op, "")) == len(names) })
	return opened
}

// endsRevoked reads a stream to its end, which must have a notice before it.
func (c *reader) endsRevoked(t *testing.T, name string) {
	t.Helper()
	text, err := io.ReadAll(c.body)
	if err != nil || !strings.HasSuffix(string(text), "event: weir.revoked\ndata: {}\n\n") {
		t.Errorf("%s ends with %q, %v", name, text, err)
	}
}

// TestEndingConnections ends some of several streams, in all ways.
func TestEndingConnections(t *testing.T) {
	names := []string{"ann t1 a", "ann t2 b/1", "bob t3 a", "bob t3 b/*", "cid t4 c"}
	for _, c := range []struct {
		query string
		ended []string
	}{
		{"?user=ann", names[:2]},
		{"?user=nobody", nil},
		{"?user=an", nil},
		{"?token=t3", names[2:4]},
		{"?topic=a", []string{names[0], names[2]}},
		{"?topic=b/1", []string{names[1], names[3]}},
		{"?topic=b/**", []string{names[1], names[3]}},
		{"?topic=**", names},
		{"?user=bob&topic=a", names[2:3]},
		{"?user=ann&token=t3", nil},
		{"?id={cid}", names[4:]},
		{"?id=999999", nil},
	} {
		t.Run(c.query, func(t *testing.T) {
			r := start(t, guarded(t))
			op := bearer(signed(t, operator))
			opened := r.readers(t, op, names...)
			query := strings.ReplaceAll(c.query, "{cid}", r.connections(t, op, "?user=cid")[0].ID)
			if list := r.connections(t, op, query); len(list) != len(c.ended) {
				t.Errorf("%d are listed, want %d: %v", len(list), len(c.ended), list)
			}
			if n := r.end(t, op, query); n != len(c.ended) {
				t.Errorf("%d have ended, want %d", n, len(c.ended))
			}
			for _, name := range c.ended {
				opened[name].endsRevoked(t, name)
			}
			eventually(t, "the others stay", func() bool { return r.Streams() == len(names)-len(c.ended) })
			left := r.connections(t, op, "")
			for _, l := range left {
				if slices.ContainsFunc(c.ended, func(n string) bool { return strings.HasPrefix(n, l.User+" "+l.Token+" "+l.Topics[0]) }) {
					t.Errorf("%v is still there", l)
				}
			}
		})
	}
}

// TestConnectionsAreListed checks what is said of one.
func TestConnectionsAreListed(t *testing.T) {
	r := start(t, guarded(t))
	op := bearer(signed(t, operator))
	c := r.openAs(t, bearer(signed(t, mine)), "/v1/events?topic=mine/b&topic=mine/a", "text/event-stream")
	key := r.openAs(t, bearer(apiKey), "/v1/topics/mine/*", "text/plain")
	eventually(t, "both are listed", func() bool { return len(r.connections(t, op, "")) == 2 })
	ann, robot := r.connections(t, op, "?user=ann")[0], r.connections(t, op, "?user=robot")[0]
	if ann.Address != c.LocalAddr().String() || robot.Address != key.LocalAddr().String() {
		t.Errorf("addresses %q and %q", ann.Address, robot.Address)
	}
	if !slices.Equal(ann.Topics, []string{"mine/a", "mine/b"}) || len(ann.Token) != 16 {
		t.Errorf("a reader is listed as %+v", ann)
	}
	if len(robot.Token) != 16 || strings.Contains(digest(apiKey)[17:], robot.Token) || robot.ID == ann.ID {
		t.Errorf("a key is listed as %+v", robot)
	}
}

// TestBadWishesEndNothing sends what selects nothing, or too much.
func TestBadWishesEndNothing(t *testing.T) {
	r := start(t, guarded(t))
	op := bearer(signed(t, operator))
	r.readers(t, op, "ann t1 a")
	for _, query := range []string{"", "?user=", "?user=&topic=a", "?topic=a&id=", "?user=ann&user=bob", "?topic=a&topic=b", "?topic=a/**/b",
		"?nonsense=1", "?user=ann&revoke=", "?user=ann&revoke=0s", "?user=ann&revoke=-1m", "?user=ann&revoke=721h", "?topic=a&revoke=1m",
		"?user=ann&topic=a&revoke=1m", "?user=ann&token=t1&revoke=1m", "?user=" + strings.Repeat("a", 256) + "&revoke=1m", "?user=%00&revoke=1m"} {
		resp, body := r.do(t, "DELETE", "/v1/connections"+query, "", op)
		if resp.StatusCode != 400 || problemCode(body) == "" {
			t.Errorf("DELETE %s: %s %s", query, resp.Status, body)
		}
	}
	for _, key := range []string{bearer(signed(t, theirs)), plain, bearer(otherKey)} {
		for _, method := range []string{"GET", "DELETE"} {
			if resp, body := r.do(t, method, "/v1/connections?user=ann", "", key); resp.StatusCode != 403 && (key != plain || resp.StatusCode != 401) {
				t.Errorf("%s with %.20s: %s %s", method, key, resp.Status, body)
			}
		}
	}
	if len(r.connections(t, op, "?user=ann")) != 1 {
		t.Error("the stream is gone")
	}
}

// TestAnonymousMayNotEndConnections although anybody may read and publish.
func TestAnonymousMayNotEndConnections(t *testing.T) {
	s := guarded(t)
	s.Access.Publish, s.Access.Subscribe = []string{"*", "rooms/**"}, []string{"*", "rooms/**"}
	r := start(t, s)
	if resp, _ := r.do(t, "POST", "/v1/topics/rooms/1", "x"); resp.StatusCode != 201 {
		t.Errorf("publishing: %s", resp.Status)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if resp, body := r.do(t, method, "/v1/connections?topic=**", ""); resp.StatusCode != 403 {
			t.Errorf("%s: %s %s", method, resp.Status, body)
		}
	}
}

// TestWhoIsRevokedStaysOut ends streams and refuses their user, or token.
func TestWhoIsRevokedStaysOut(t *testing.T) {
	for _, query := range []string{"?user=ann&revoke=10m", "?token=t1&revoke=10m"} {
		r := start(t, guarded(t))
		op := bearer(signed(t, operator))
		opened := r.readers(t, op, "ann t1 a", "bob t2 a")
		g := access.Grant{User: "ann", ID: "t1", Publish: []string{"**"}, Subscribe: []string{"**"}}
		key := bearer(signed(t, g))
		ticket := r.ticket(t, strings.TrimPrefix(key, "Authorization: Bearer "))
		if n := r.end(t, op, query); n != 1 {
			t.Errorf("%s has ended %d", query, n)
		}
		opened["ann t1 a"].endsRevoked(t, "ann")
		for _, path := range []string{"/v1/topics/a", "/v1/topics/a?wait=0s", "/v1/streams/a", "/metrics"} {
			if resp, body := r.ask(t, "GET", path, "", key); resp.StatusCode != 401 || problemCode(body) != "revoked_token" {
				t.Errorf("%s, then GET %s: %s %s", query, path, resp.Status, body)
			}
		}
		if resp, body := r.ask(t, "GET", "/v1/topics/a?ticket="+ticket, ""); resp.StatusCode != 401 || problemCode(body) != "revoked_token" {
			t.Errorf("%s, then a ticket: %s %s", query, resp.Status, body)
		}
		if resp, _ := r.do(t, "POST", "/v1/topics/a", "x", key); resp.StatusCode != 401 {
			t.Errorf("%s, then a publish: %s", query, resp.Status)
		}
		bob := bearer(signed(t, access.Grant{User: "bob", ID: "t2", Subscribe: []string{"**"}}))
		if resp, _ := r.ask(t, "GET", "/v1/topics/a?wait=0s", "", bob); resp.StatusCode != 200 {
			t.Errorf("%s, then another user: %s", query, resp.Status)
		}
	}
}

// TestRevokingWithoutAccessControl is not possible; ending streams is.
func TestRevokingWithoutAccessControl(t *testing.T) {
	r := start(t, defaults(t))
	c := r.follow(t, "/v1/topics/a", "text/event-stream")
	if resp, body := r.do(t, "DELETE", "/v1/connections?user=ann&revoke=1m", ""); resp.StatusCode != 404 || problemCode(body) != "not_found" {
		t.Errorf("revoke: %s %s", resp.Status, body)
	}
	eventually(t, "the stream is listed", func() bool { return len(r.connections(t, plain, "")) == 1 })
	if n := r.end(t, plain, "?topic=a"); n != 1 {
		t.Errorf("%d have ended", n)
	}
	c.endsRevoked(t, "a stream")
}

// TestAnswersThatWaitAreRevoked has a long poll, a form and lines that began before.
func TestAnswersThatWaitAreRevoked(t *testing.T) {
	r := start(t, guarded(t))
	op, key := bearer(signed(t, operator)), bearer(signed(t, mine))
	poll, subscribe, publish, stream, follow := r.connect(t), r.connect(t), r.connect(t), r.connect(t), r.connect(t)
	r.do(t, "PUT", "/v1/streams/mine/a", "", plain, key)
	stream.begin(t, "GET", "/v1/streams/mine/a?offset=now&live=long-poll", key)
	follow.send(t, "GET", "/v1/streams/mine/a?offset=now&live=sse", "", key)
	poll.begin(t, "GET", "/v1/topics/mine/a?wait=1m", key)
	subscribe.begin(t, "POST", "/v1/events", key, form, "Content-Length: 12")
	publish.beginLines(t, key)
	publish.chunk(t, `{"topic":"mine/b","data":"1"}`+"\n")
	lasting := bearer(apiKey)
	eventually(t, "the line is published", func() bool { return r.kept(t, "mine/b", lasting) == 1 })
	r.end(t, op, "?user=ann&revoke=1m")

	r.do(t, "POST", "/v1/topics/mine/a", "not for ann any more", lasting)
	fmt.Fprint(subscribe, "topic=mine/a")
	publish.chunk(t, `{"topic":"mine/b","data":"2"}`+"\n")
	for what, c := range map[string]*reader{"a long poll": poll, "a form": subscribe, "lines": publish, "a stream": stream} {
		if status, body := c.answer(t); status != 401 || problemCode(body) != "revoked_token" || strings.Contains(body, "not for ann") {
			t.Errorf("%s: %d %s", what, status, body)
		}
	}
	if text, _ := io.ReadAll(follow.body); strings.Contains(string(text), "not for ann") {
		t.Errorf("a follower got %q", text)
	}
	if n := r.kept(t, "mine/b", lasting); n != 1 {
		t.Errorf("%d lines are published, want 1", n)
	}
}

// TestRevokingMissesNobody opens streams of one user while that is revoked. None may
// stay.
func TestRevokingMissesNobody(t *testing.T) {
	s := guarded(t)
	s.Limits.StreamsPerUser = 0
	r := start(t, s)
	op := bearer(signed(t, operator))
	for round := range 10 {
		user := fmt.Sprint("user", round)
		key := bearer(signed(t, access.Grant{User: user, Subscribe: []string{"**"}}))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { r.openUntilRefused(t, key, &wg) })
		}
		eventually(t, "some are open", func() bool { return r.Streams() > 3 })
		r.end(t, op, "?user="+user+"&revoke=1m")
		out := make(chan struct{})
		go func() { wg.Wait(); close(out) }()
		select {
		case <-out:
		case <-time.After(patience):
			t.Fatalf("%d streams are open, of %v", r.Streams(), r.connections(t, op, ""))
		}
	}
}

// openUntilRefused opens streams and reads them to their ends.
func (r *running) openUntilRefused(t *testing.T, key string, wg *sync.WaitGroup) {
	for {
		req, err := http.NewRequest("GET", r.url+"/v1/topics/**", nil)
		if err != nil {
			t.Error(err)
			return
		}
		name, value, _ := strings.Cut(key, ": ")
		req.Header.Set(name, value)
		resp, err := r.client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		if resp.StatusCode != 200 {
			resp.Body.Close()
			return
		}
		wg.Go(func() {
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamsThatOpenWhileTheirUserIsRevokedEnd has one that was not yet there when the
// others were ended.
func TestStreamsThatOpenWhileTheirUserIsRevokedEnd(t *testing.T) {
	r := start(t, guarded(t))
	ann, robot := bearer(signed(t, mine)), bearer(apiKey)
	readers := []*reader{r.openAs(t, ann, "/v1/topics/mine/a", "text/event-stream"), r.openAs(t, ann, "/demo/time", "text/event-stream")}
	stays := r.openAs(t, robot, "/v1/topics/mine/a", "text/plain")
	if err := r.RevokeUser("ann"); err != nil {
		t.Fatal(err)
	}
	for _, c := range readers {
		c.endsRevoked(t, "a stream of ann")
	}
	r.do(t, "POST", "/v1/topics/mine/a", "x", robot)
	if line := stays.line(t); line != "x" {
		t.Errorf("the stream of another got %q", line)
	}
	eventually(t, "one stream is open", func() bool { return r.Streams() == 1 })
}

// TestSweepForgetsWithoutAccessControlToo: there is nothing to forget.
func TestSweepForgetsWithoutAccessControlToo(t *testing.T) {
	for _, r := range []*running{start(t, defaults(t)), start(t, guarded(t))} {
		r.Sweep()
		if resp, _ := r.do(t, "GET", "/healthz", ""); resp.StatusCode != 200 {
			t.Error(resp.Status)
		}
	}
}
