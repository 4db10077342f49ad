package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/feed/feedtest"
)

// enter asks for what a ticket lets in, and returns the status and code of the answer.
func (r *running) enter(t *testing.T, ticket string) (status int, code string) {
	t.Helper()
	resp, body := r.do(t, "GET", "/v1/topics/mine/a?wait=0s&ticket="+ticket, "")
	if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
		t.Errorf("a refusal has no Retry-After: %s", body)
	}
	return resp.StatusCode, problemCode(body)
}

// TestTicketsHoldOnceOnAllNodes gets them from one node, and uses them at another, or at
// both at once.
func TestTicketsHoldOnceOnAllNodes(t *testing.T) {
	redis := newRedis(t)
	a, b := sharing(t, redis), sharing(t, redis)
	token := signed(t, mine)
	ticket := a.ticket(t, token)
	stream := b.follow(t, "/v1/topics/mine/a?ticket="+ticket, "text/plain")
	if resp, body := a.do(t, "POST", "/v1/topics/mine/a", "hello", bearer(token)); resp.StatusCode != 201 {
		t.Fatalf("publish: %s %s", resp.Status, body)
	}
	if line := stream.line(t); line != "hello" {
		t.Errorf("the stream that the ticket opened got %q", line)
	}
	for _, r := range []*running{a, b} {
		if status, code := r.enter(t, ticket); status != 401 || code != "bad_ticket" {
			t.Errorf("the second time: %d %s", status, code)
		}
	}
	for i := range 100 {
		nodes := []*running{a, b}
		ticket := nodes[i%2].ticket(t, token)
		var accepted atomic.Int32
		var all sync.WaitGroup
		begin := make(chan struct{})
		for _, r := range append(nodes, nodes...) {
			all.Go(func() {
				<-begin
				switch status, code := r.enter(t, ticket); {
				case status == 200:
					accepted.Add(1)
				case status != 401 || code != "bad_ticket":
					t.Errorf("ticket %d: %d %s", i, status, code)
				}
			})
		}
		close(begin)
		all.Wait()
		if n := accepted.Load(); n != 1 {
			t.Errorf("ticket %d was accepted %d times", i, n)
		}
	}
}

// TestTicketsHoldAtANodeThatHearsLate: who has a ticket is faster there than the log.
func TestTicketsHoldAtANodeThatHearsLate(t *testing.T) {
	redis := newRedis(t)
	relay := feedtest.NewRelay(t, redis.Addr())
	s := guarded(t)
	s.Nodes = config.Nodes{Log: "redis://" + relay.Addr(), Name: "test", Wait: patience}
	a, late := sharing(t, redis), start(t, s)
	relay.Slow(50 * time.Millisecond)
	for range 5 {
		if status, code := late.enter(t, a.ticket(t, signed(t, mine))); status != 200 {
			t.Errorf("a ticket that is new: %d %s", status, code)
		}
	}
	relay.Slow(0)
}

// TestRevocationsHoldOnAllNodes ends the streams of a user at two, and keeps the user out
// there, and at one that starts afterwards.
func TestRevocationsHoldOnAllNodes(t *testing.T) {
	for _, query := range []string{"?user=ann&revoke=10m", "?token=t1&revoke=10m"} {
		redis := newRedis(t)
		nodes := []*running{sharing(t, redis), sharing(t, redis)}
		op := bearer(signed(t, operator))
		ann := bearer(signed(t, access.Grant{User: "ann", ID: "t1", Publish: []string{"**"}, Subscribe: []string{"**"}}))
		bob := bearer(signed(t, access.Grant{User: "bob", ID: "t2", Publish: []string{"**"}, Subscribe: []string{"**"}}))
		var ends, stays []*reader
		for _, r := range nodes {
			ends = append(ends, r.openAs(t, ann, "/v1/topics/a", "text/event-stream"))
			stays = append(stays, r.openAs(t, bob, "/v1/topics/a", "text/plain"))
		}
		eventually(t, "all streams are listed", func() bool { return len(nodes[0].connections(t, op, ""))+len(nodes[1].connections(t, op, "")) == 4 })
		ticket := nodes[0].ticket(t, strings.TrimPrefix(ann, "Authorization: Bearer "))
		if n := nodes[0].end(t, op, query); n != 1 {
			t.Errorf("%s ends %d streams of the node that is asked, want 1", query, n)
		}
		for i, c := range ends {
			c.endsRevoked(t, fmt.Sprintf("a stream of node %d", i))
		}
		nodes = append(nodes, sharing(t, redis))
		for i, r := range nodes {
			if resp, body := r.ask(t, "GET", "/v1/topics/a?wait=0s", "", ann); resp.StatusCode != 401 || problemCode(body) != "revoked_token" {
				t.Errorf("%s: node %d answers %s %s", query, i, resp.Status, body)
			}
			if resp, body := r.ask(t, "GET", "/v1/topics/a?wait=0s", "", bob); resp.StatusCode != 200 {
				t.Errorf("%s: node %d answers another user %s %s", query, i, resp.Status, body)
			}
		}
		if status, code := nodes[1].enter(t, ticket); status != 401 || code != "revoked_token" {
			t.Errorf("%s: a ticket from before: %d %s", query, status, code)
		}
		nodes[2].do(t, "POST", "/v1/topics/a", "still here", bob)
		for i, c := range stays {
			if line := c.line(t); line != "still here" {
				t.Errorf("%s: the stream of another at node %d got %q", query, i, line)
			}
		}
	}
}

// TestEndingWithoutRevokingIsOfOneNode: its list of streams is, too.
func TestEndingWithoutRevokingIsOfOneNode(t *testing.T) {
	redis := newRedis(t)
	a, b := sharing(t, redis), sharing(t, redis)
	op, ann := bearer(signed(t, operator)), bearer(signed(t, mine))
	ends, stays := a.openAs(t, ann, "/v1/topics/mine/a", "text/event-stream"), b.openAs(t, ann, "/v1/topics/mine/a", "text/plain")
	eventually(t, "each node lists its own", func() bool { return len(a.connections(t, op, "")) == 1 && len(b.connections(t, op, "")) == 1 })
	if n := a.end(t, op, "?user=ann"); n != 1 {
		t.Errorf("%d have ended, want 1", n)
	}
	ends.endsRevoked(t, "a stream of ann")
	b.do(t, "POST", "/v1/topics/mine/a", "x", ann)
	if line := stays.line(t); line != "x" {
		t.Errorf("the stream at the other node got %q", line)
	}
}

// TestRevocationsEndOnAllNodes when their time has come.
func TestRevocationsEndOnAllNodes(t *testing.T) {
	redis := newRedis(t)
	nodes := []*running{sharing(t, redis), sharing(t, redis)}
	op, ann := bearer(signed(t, operator)), bearer(signed(t, mine))
	begun := time.Now()
	nodes[0].end(t, op, "?user=ann&revoke=4s")
	for i, r := range nodes {
		eventually(t, fmt.Sprintf("node %d refuses the user", i), func() bool {
			resp, _ := r.ask(t, "GET", "/v1/topics/mine/a?wait=0s", "", ann)
			return resp.StatusCode == 401
		})
	}
	for _, r := range nodes {
		eventually(t, "the user is let in", func() bool {
			resp, _ := r.ask(t, "GET", "/v1/topics/mine/a?wait=0s", "", ann)
			return resp.StatusCode == 200
		})
	}
	if d := time.Since(begun); d < 4*time.Second {
		t.Errorf("a revocation for 4 s has ended after %v", d)
	}
}

// TestRevocationsSurviveARestart of a node with a log on disk, and of one that shares
// its log.
func TestRevocationsSurviveARestart(t *testing.T) {
	redis := newRedis(t)
	dir := t.TempDir()
	for name, begin := range map[string]func() *running{
		"shared": func() *running { return sharing(t, redis) },
		"disk": func() *running {
			s := guarded(t)
			s.Data = dir
			return start(t, s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			op, ann, robot := bearer(signed(t, operator)), bearer(signed(t, mine)), bearer(apiKey)
			r := begin()
			r.end(t, op, "?user=ann&revoke=10m")
			r.stop(t)
			r = begin()
			if resp, body := r.ask(t, "GET", "/v1/topics/mine/a?wait=0s", "", ann); resp.StatusCode != 401 || problemCode(body) != "revoked_token" {
				t.Errorf("after a restart: %s %s", resp.Status, body)
			}
			if resp, body := r.ask(t, "GET", "/v1/topics/mine/a?wait=0s", "", robot); resp.StatusCode != 200 {
				t.Errorf("another user after a restart: %s %s", resp.Status, body)
			}
		})
	}
}

// TestTicketsOfOneNodeStayInMemory: they need not be written to the disk.
func TestTicketsOfOneNodeStayInMemory(t *testing.T) {
	s := guarded(t)
	s.Data = t.TempDir()
	r := start(t, s)
	ticket := r.ticket(t, signed(t, mine))
	r.stop(t)
	r = start(t, s)
	if status, code := r.enter(t, ticket); status != 401 || code != "bad_ticket" {
		t.Errorf("a ticket from before a restart: %d %s", status, code)
	}
}

// TestWithoutTheLogNobodyIsRevoked, and no ticket is issued or taken; the answers say so.
// Whoever has a token goes on.
func TestWithoutTheLogNobodyIsRevoked(t *testing.T) {
	redis := newRedis(t)
	nodes := []*running{sharing(t, redis), sharing(t, redis)}
	op, token := bearer(signed(t, operator)), signed(t, mine)
	stays := nodes[0].openAs(t, bearer(token), "/v1/topics/mine/a", "text/plain")
	tickets := []string{nodes[0].ticket(t, token), nodes[0].ticket(t, token)}
	redis.Kill()
	unavailable := func(r *running, method, path, key string) {
		t.Helper()
		resp, body := r.do(t, method, path, "", key)
		if resp.StatusCode != 503 || problemCode(body) != "log_unavailable" || resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s %s: %s %s", method, path, resp.Status, body)
		}
	}
	for i, r := range nodes {
		unavailable(r, "DELETE", "/v1/connections?user=ann&revoke=1m", op)
		unavailable(r, "POST", "/v1/tickets", bearer(token))
		if status, code := r.enter(t, tickets[i]); status != 503 || code != "log_unavailable" {
			t.Errorf("node %d takes a ticket: %d %s", i, status, code)
		}
		if resp, body := r.do(t, "GET", "/v1/topics/mine/a?wait=0s", "", bearer(token)); resp.StatusCode != 200 {
			t.Errorf("node %d lets nobody in: %s %s", i, resp.Status, body)
		}
	}
	if list := nodes[0].connections(t, op, "?user=ann"); len(list) != 1 {
		t.Errorf("%v are listed, want the stream that was not ended", list)
	}
	redis.Restart()
	eventually(t, "a ticket is issued again", func() bool {
		resp, _ := nodes[1].do(t, "POST", "/v1/tickets", "", bearer(token))
		return resp.StatusCode == 201
	})
	nodes[1].end(t, op, "?user=ann&revoke=1m")
	if _, err := io.ReadAll(stays.body); err != nil {
		t.Errorf("the stream ends with %v", err)
	}
}

// TestTicketsAreBoundedOnAllNodes together.
func TestTicketsAreBoundedOnAllNodes(t *testing.T) {
	redis := newRedis(t)
	var nodes []*running
	for range 2 {
		s := guarded(t)
		s.Access.Tickets = 32 // two of one user
		s.Nodes = config.Nodes{Log: "redis://" + redis.Addr(), Name: "test", Wait: time.Second}
		nodes = append(nodes, start(t, s))
	}
	token := signed(t, mine)
	first := nodes[0].ticket(t, token)
	nodes[1].ticket(t, token)
	for i, r := range nodes {
		eventually(t, "the node knows of both", func() bool { return r.Tickets() == 2 })
		if resp, body := r.do(t, "POST", "/v1/tickets", "", bearer(token)); resp.StatusCode != 503 || problemCode(body) != "too_many_tickets" {
			t.Errorf("a third ticket of one user at node %d: %s %s", i, resp.Status, body)
		}
	}
	if status, code := nodes[1].enter(t, first); status != 200 {
		t.Fatalf("a ticket of another node: %d %s", status, code)
	}
	eventually(t, "there is room again", func() bool {
		resp, _ := nodes[0].do(t, "POST", "/v1/tickets", "", bearer(token))
		return resp.StatusCode == 201
	})
}
