package attack_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// bombs are requests that ask for much, with what they may be answered with.
func bombs() []bomb {
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("topic=a*/**&", n), "&") }
	distinct := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "topic=%d&", i)
		}
		return strings.TrimSuffix(b.String(), "&")
	}
	const form = "application/x-www-form-urlencoded"
	deep := strings.TrimSuffix(strings.Repeat("*/", 127), "/")
	return []bomb{
		{"100,000 topics in the URL", "GET", "/v1/events?" + distinct(100_000), "", "", "431", ""},
		{"6,000 topics in the URL", "GET", "/v1/events?" + distinct(6_000), "", "", "400", "from 1 to 100"},
		{"6,000 topics of a HEAD", "HEAD", "/v1/events?" + distinct(6_000), "", "", "400", ""},
		{"6,000 patterns of a HEAD", "HEAD", "/v1/events?" + strings.Repeat("topic=**&", 6_000) + "topic=a", "", "", "400", ""},
		{"101 topics in the URL", "GET", "/v1/events?wait=0s&" + distinct(101), "", "", "400", "from 1 to 100"},
		{"100,000 topics in a form", "POST", "/v1/events", form, distinct(100_000), "413", "limit"},
		{"20,000 topics in a form", "POST", "/v1/events", form, distinct(20_000), "400", ""},
		{"9,000 topics in a form", "POST", "/v1/events", form, distinct(9_000), "400", "from 1 to 100"},
		{"9,000 topics in a QUERY", "QUERY", "/v1/events", form, distinct(9_000), "400", "from 1 to 100"},
		{"9,000 bad patterns", "POST", "/v1/events", form, many(9_000), "400", ""},
		{"120,000 empty parameters", "POST", "/v1/events", form, strings.Repeat("&", 250_000), "400", ""},
		{"names without values", "POST", "/v1/events", form, strings.Repeat("a&", 120_000), "400", ""},
		{"a long pattern", "GET", "/v1/events?topic=" + strings.Repeat("*/", 128) + "a", "", "", "400", "limit 255"},
		{"a pattern of 60,000 bytes", "GET", "/v1/events?topic=" + strings.Repeat("a", 60_000), "", "", "400", "limit 255"},
		{"a path of 60,000 bytes", "GET", "/v1/topics/" + strings.Repeat("a", 60_000), "", "", "400", "limit 255"},
		{"a path of 20,000 escapes", "GET", "/v1/topics/" + strings.Repeat("%2a", 20_000), "", "", "400", "limit 255"},
		{"a path of a megabyte", "GET", "/v1/topics/" + strings.Repeat("a", 1<<20), "", "", "431", ""},
		{"** within", "GET", "/v1/topics/a/**/b", "", "", "400", "before the last segment"},
		{"stars", "GET", "/v1/topics/" + strings.Repeat("*", 200), "", "", "400", "within a segment"},
		{"a deep pattern", "GET", "/v1/topics/" + deep + "?wait=0s", "", "", "200", ""},
		{"a deep pattern of everything", "GET", "/v1/topics/" + deep[:250] + "**?wait=0s&since=start", "", "", "200", ""},
		{"a publish to a pattern", "POST", "/v1/topics/" + deep, "", "x", "400", "in a name"},
		{"100,000 topics of one message", "POST", "/v1/events", "", `{"topics":["a"` + strings.Repeat(`,"a"`, 100_000) + `],"data":"x"}`, "413", "limit 100"},
		{"a long number", "GET", "/v1/topics/a?wait=0s&last=" + strings.Repeat("9", 50_000), "", "", "400", ""},
		{"a long age", "GET", "/v1/topics/a?wait=0s&since=" + strings.Repeat("9", 50_000) + "h", "", "", "400", ""},
		{"a long ID", "GET", "/v1/topics/a?wait=0s&last_event_id=" + strings.Repeat("9", 50_000), "", "", "", ""},
		{"a long key", "POST", "/v1/topics/a?idempotency_key=" + strings.Repeat("9", 50_000), "", "x", "400", ""},
		{"a long event type", "POST", "/v1/topics/a?type=" + strings.Repeat("t", 50_000), "", "x", "", ""},
	}
}

// A bomb is a request. status and text are what its answer must be and contain; empty
// takes any that is no failure of the server.
type bomb struct{ name, method, target, contentType, body, status, text string }

// TestOneRequestCostsLittle: what it asks for is refused, or bounded.
func TestOneRequestCostsLittle(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	s.fill(20_000)
	check := s.growth(64 << 20)
	for _, b := range bombs() {
		start := time.Now()
		status, body := s.ask(b.method, b.target, b.contentType, b.body)
		if got := fmt.Sprint(status); status >= 500 || b.status != "" && got != b.status || !strings.Contains(body, b.text) {
			t.Errorf("%s: %d %.300q, want %s with %q", b.name, status, body, b.status, b.text)
		}
		if asked := len(b.target) + len(b.body); len(body) > asked+4096 {
			t.Errorf("%s: the answer has %d bytes, the request %d", b.name, len(body), asked)
		}
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("%s: took %v", b.name, d)
		}
	}
	check()
	s.alive()
}

// fill publishes one message to each of n topics.
func (s *server) fill(n int) {
	s.t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "{\"topic\":\"fill/%d/%d\",\"data\":\"x\"}\n", i%100, i)
	}
	if status, body := s.ask("POST", "/v1/events", "application/x-ndjson", lines.String()); status != 200 {
		s.t.Fatalf("publish %d lines: %d %s", n, status, body)
	}
}

// TestManyPatternsThatAllMatch has readers with 100 patterns each, all different and all
// of 120 segments, half of which are wildcards. Each reader gets a message once.
func TestManyPatternsThatAllMatch(t *testing.T) {
	t.Parallel()
	const readers, messages = 50, 20
	s := serve(t, "--page=false")
	random := rand.New(rand.NewPCG(7, 8))
	pattern := func() string {
		segments := make([]string, 120)
		for i := range segments {
			segments[i] = []string{"a", "*"}[random.IntN(2)]
		}
		return strings.Join(segments, "/")
	}
	deep := strings.TrimSuffix(strings.Repeat("a/", 120), "/")
	check := s.growth(256 << 20)
	wires := make([]*wire, readers)
	for i := range wires {
		form := "topic=**"
		for range 99 {
			form += "&topic=" + pattern()
		}
		wires[i] = s.dial(t, "tcp")
		wires[i].send(fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form))
		wires[i].until("retry:")
	}
	start := time.Now()
	for i := range messages {
		s.publish(deep, fmt.Sprint("m", i, "."))
	}
	for _, w := range wires {
		for i := range messages {
			before := w.until(fmt.Sprint("data: m", i, "."))
			if strings.Count(before, "data:") != 1 {
				t.Fatalf("before message %d came %q", i, before)
			}
		}
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%d messages for %d patterns took %v", messages, readers*100, d)
	}
	check()
}

// TestReplayOfManyPatternsIsBounded asks for the history of 20,000 topics by 100 patterns
// that match all of them.
func TestReplayOfManyPatternsIsBounded(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	s.fill(20_000)
	query := "topic=**"
	for i := range 99 {
		query += fmt.Sprintf("&topic=fill/%s/%d", []string{"*", "**", fmt.Sprint(i)}[i%3], i)
	}
	query = strings.ReplaceAll(query, "/**/", "/*/")
	check := s.growth(64 << 20)
	for _, target := range []string{"GET /v1/events?wait=0s&since=start&", "GET /v1/events?wait=0s&last=1000&", "HEAD /v1/events?"} {
		method, path, _ := strings.Cut(target, " ")
		start := time.Now()
		if status, body := s.ask(method, path+query, "application/x-ndjson", ""); status != 200 {
			t.Errorf("%s: %d %s", target, status, body)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: took %v", target, d)
		}
	}
	check()
}
