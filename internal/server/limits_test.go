package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
	"github.com/weirstream/weir/internal/config"
)

// refused checks that a request was answered with a status, a code, and when to come
// back.
func refused(t *testing.T, what string, resp *http.Response, body string, status int, code string) {
	t.Helper()
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if resp.StatusCode != status || problemCode(body) != code || err != nil || seconds < 1 {
		t.Errorf("%s: %s, Retry-After %q, %s, want %d %s", what, resp.Status, resp.Header.Get("Retry-After"), body, status, code)
	}
}

// hold opens streams, each as sent with the header, until one is refused or there are
// as many as there may be. It returns the readers and the refusal.
func (r *running) hold(t *testing.T, most int, header ...string) (readers []*reader, last *http.Response, body string) {
	t.Helper()
	for range most {
		c := r.connect(t)
		resp := c.send(t, "GET", "/v1/topics/mine/a", "", header...)
		if resp.StatusCode != 200 {
			b, _ := io.ReadAll(resp.Body)
			return readers, resp, string(b)
		}
		readers = append(readers, c)
	}
	return readers, nil, ""
}

// TestStreamsInAll opens one more than there may be, without and with access control.
func TestStreamsInAll(t *testing.T) {
	for name, s := range map[string]*config.Settings{"open": defaults(t), "guarded": guarded(t)} {
		s.Limits.Streams = 3
		r := start(t, s)
		key := bearer(signed(t, mine))
		readers, _, _ := r.hold(t, 3, key)
		if len(readers) != 3 {
			t.Fatalf("%s: %d streams are open, want 3", name, len(readers))
		}
		eventually(t, "the streams are counted", func() bool { // a client may have the head before
			_, page := r.do(t, "GET", "/metrics", "", key)
			return strings.Contains(page, "\nweir_connections 3\n")
		})
		more, resp, body := r.hold(t, 1, key)
		if len(more) > 0 {
			t.Fatalf("%s: %d streams are open, limit 3", name, len(readers)+1)
		}
		refused(t, name, resp, body, 503, "overloaded")
		r.asksLikeABrowser(t, key)
		readers[0].Close()
		eventually(t, "there is room again", func() bool {
			more, _, _ := r.hold(t, 1, key)
			return len(more) == 1
		})
	}
}

// asksLikeABrowser asks a server that is full as an EventSource does.
func (r *running) asksLikeABrowser(t *testing.T, key string) {
	t.Helper()
	resp, body := r.do(t, "GET", "/v1/topics/mine/a", "", key, "Accept: text/event-stream", "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin")
	first, rest, _ := strings.Cut(body, "\n")
	ms, err := strconv.Atoi(strings.TrimPrefix(first, "retry: "))
	if resp.StatusCode != 200 || err != nil || ms < 20_000 || ms > 60_000 || !strings.HasPrefix(rest, "event: weir.error\ndata: {") || !strings.HasSuffix(rest, "\n\n") {
		t.Errorf("a browser gets %s %q", resp.Status, body)
	}
	if got := resp.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/event-stream") {
		t.Errorf("a browser gets the type %q", got)
	}
	for _, header := range []string{"Accept: text/event-stream", "Sec-Fetch-Mode: cors"} { // a program, or fetch
		if resp, _ := r.do(t, "GET", "/v1/topics/mine/a", "", key, header); resp.StatusCode < 400 {
			t.Errorf("with %s alone: %s", header, resp.Status)
		}
	}
}

// TestStreamsOfAnAddress has clients of several addresses behind a proxy.
func TestStreamsOfAnAddress(t *testing.T) {
	s := defaults(t)
	s.Limits.StreamsPerIP = 2
	s.Proxy.Trusted = []string{"loopback"}
	r := start(t, s)
	from := func(addr string) string { return "X-Forwarded-For: " + addr }
	r.hold(t, 1, from("2001:db8:1:2::1"))
	for _, c := range []struct {
		addr string
		most int // streams that it can still open
	}{
		{"192.0.2.1", 2}, {"192.0.2.2", 2}, {"::ffff:192.0.2.1", 0}, {"203.0.113.9, 192.0.2.3", 2}, {"192.0.2.3", 0},
		{"2001:db8:1:2:ffff::9", 1}, {"2001:db8:1:2:1::", 0}, {"2001:db8:1:3::1", 2},
	} {
		readers, resp, body := r.hold(t, c.most+1, from(c.addr))
		if len(readers) != c.most {
			t.Fatalf("%s: %d streams, want %d", c.addr, len(readers), c.most)
		}
		refused(t, c.addr, resp, body, 429, "too_many_streams")
	}
	if _, body := r.do(t, "GET", "/metrics", ""); !strings.Contains(body, `weir_limited_total{limit="streams",of="address"} 8`) {
		t.Error("the metrics do not count eight refusals")
	}
}

// TestAddressesThatNobodyVouchesFor do not count.
func TestAddressesThatNobodyVouchesFor(t *testing.T) {
	s := defaults(t)
	s.Limits.StreamsPerIP = 2
	r := start(t, s)
	for n := range 3 {
		readers, resp, body := r.hold(t, 1, fmt.Sprint("X-Forwarded-For: 192.0.2.", n))
		if n < 2 && len(readers) == 1 {
			continue
		}
		refused(t, "an address of its own", resp, body, 429, "too_many_streams")
	}
}

// TestStreamsOfAUser and of a token, with limits of the settings and of the grant.
func TestStreamsOfAUser(t *testing.T) {
	for name, c := range map[string]struct {
		limits config.Limits
		grants []access.Grant
		most   []int // streams of each grant in turn
	}{
		"of a user":               {config.Limits{StreamsPerUser: 2}, []access.Grant{{User: "a", ID: "1"}, {User: "a", ID: "2"}, {User: "b"}}, []int{2, 0, 2}},
		"of a user with a limit":  {config.Limits{StreamsPerUser: 5}, []access.Grant{{User: "a", Limits: access.Limits{Streams: 1}}, {User: "b"}}, []int{1, 5}},
		"of a token":              {config.Limits{StreamsPerToken: 1}, []access.Grant{{User: "a", ID: "1"}, {User: "a", ID: "2"}, {ID: "3"}}, []int{1, 1, 1}},
		"of a token with a limit": {config.Limits{}, []access.Grant{{ID: "1", Limits: access.Limits{Streams: 2}}, {ID: "2", Limits: access.Limits{Streams: 1}}}, []int{2, 1}},
		"of a token without ID":   {config.Limits{StreamsPerToken: 1}, []access.Grant{{User: "a"}, {User: "b"}}, []int{1, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := guarded(t)
			s.Limits = c.limits
			r := start(t, s)
			for i, g := range c.grants {
				g.Subscribe = []string{"**"}
				readers, resp, body := r.hold(t, c.most[i]+1, bearer(signed(t, g)))
				if len(readers) != c.most[i] {
					t.Fatalf("grant %d has %d streams, want %d", i, len(readers), c.most[i])
				}
				refused(t, name, resp, body, 429, "too_many_streams")
			}
		})
	}
}

// TestAClosedConnectionFreesItsPlaceAtOnce comes back a thousand times with a limit of
// one stream. A new connection waits for nothing but the news of the end of the old
// one, which comes over another connection.
func TestAClosedConnectionFreesItsPlaceAtOnce(t *testing.T) {
	s := guarded(t)
	s.Log.Access, s.Limits.StreamsPerUser, s.Limits.StreamsPerIP = false, 1, 1
	r := start(t, s)
	key := bearer(signed(t, mine))
	longest := time.Duration(0)
	for n := range 1000 {
		began := time.Now()
		readers, resp, _ := r.hold(t, 1, key)
		for ; len(readers) == 0; readers, resp, _ = r.hold(t, 1, key) {
			if took := time.Since(began); resp.StatusCode != 429 || took > 2*time.Second {
				t.Fatalf("connection %d: %s %v after the last one", n, resp.Status, took)
			}
		}
		longest = max(longest, time.Since(began))
		readers[0].Close()
	}
	t.Logf("a place was free %v after the end of its stream at the latest", longest)
}

// TestNothingHoldsAPlaceForGood opens streams in all ways in which that may go wrong.
func TestNothingHoldsAPlaceForGood(t *testing.T) {
	s := guarded(t)
	s.Limits.Streams, s.Limits.StreamsPerUser, s.Limits.StreamsPerToken, s.Limits.StreamsPerIP = 8, 4, 3, 4
	s.Durable.Wait = 20 * time.Millisecond
	r := start(t, s)
	key := bearer(signed(t, mine))
	r.do(t, "PUT", "/v1/streams/mine/s", "x", plain, key)
	for range 10 { // more than there are places
		for _, c := range []struct{ method, path, header string }{
			{"HEAD", "/v1/topics/mine/a", plain},
			{"GET", "/v1/topics/mine/a?wait=1ms", plain},
			{"GET", "/v1/topics/mine/a?nonsense=1", plain},
			{"GET", "/v1/topics/mine/a?since=nonsense", plain},
			{"GET", "/v1/topics/theirs/a", plain},
			{"GET", "/v1/topics/mine/a", "Accept: image/png"},
			{"GET", "/v1/topics/mine/" + strings.Repeat("a", 300), plain},
			{"GET", "/v1/events?topic=mine/a" + strings.Repeat("&topic=mine/b", 200), plain},
			{"GET", "/v1/streams/mine/s?offset=-1&live=long-poll", plain},
			{"GET", "/v1/streams/mine/s?offset=now&live=long-poll", plain},
			{"GET", "/v1/streams/mine/s?offset=nonsense&live=sse", plain},
			{"GET", "/v1/streams/mine/none?offset=now&live=sse", plain},
			{"HEAD", "/demo/time", plain},
			{"POST", "/demo/time", plain},
			{"GET", "/demo/none", plain},
			{"GET", "/demo/time", "Accept: image/png"},
		} {
			// The answer may be there before its place is free, and streams of clients that
			// are gone may open late.
			eventually(t, c.method+" finds a place", func() bool {
				resp, _ := r.do(t, c.method, c.path, "", key, c.header)
				return resp.StatusCode != 429 && resp.StatusCode != 503
			})
		}
		for _, target := range []string{"/v1/topics/mine/a", "/v1/streams/mine/s?offset=-1&live=sse", "/demo/time", "/demo/chunks"} {
			c := r.connect(t) // it is gone before, or while, the stream is opened
			c.begin(t, "GET", target, key)
			c.Close()
		}
		r.holdsNothing(t)
	}
	r.do(t, "GET", "/v1/topics/mine/a?wait=10ms", "", plain, key) // late ones are over
	r.holdsNothing(t)
	if readers, _, _ := r.hold(t, 3, key); len(readers) != 3 {
		t.Errorf("%d streams can be opened, want 3", len(readers))
	}
}

// holdsNothing waits until no stream is open, and no place taken.
func (r *running) holdsNothing(t *testing.T) {
	t.Helper()
	key := bearer(signed(t, mine))
	eventually(t, "no stream is open and no client counted", func() bool {
		_, page := r.do(t, "GET", "/metrics", "", key)
		return strings.Contains(page, "\nweir_connections 0\n") && strings.Contains(page, "\nweir_clients 0\n")
	})
}

// TestPublishRates sends more messages than a client may: of an address, of a user
// whose token says nothing, and of one whose token does.
func TestPublishRates(t *testing.T) {
	own := access.Grant{User: "own", Limits: access.Limits{Rate: 2}, Publish: []string{"**"}}
	nobody := access.Grant{ID: "1", Limits: access.Limits{Rate: 2}, Publish: []string{"**"}}
	for name, c := range map[string]struct {
		settings *config.Settings
		limits   config.Limits
		key      string
	}{
		"of an address":           {defaults(t), config.Limits{PublishPerIP: 2}, plain},
		"of a user":               {guarded(t), config.Limits{PublishPerIP: 1000, PublishPerUser: 2}, bearer(signed(t, mine))},
		"of a grant":              {guarded(t), config.Limits{PublishPerUser: 1000}, bearer(signed(t, own))},
		"of a grant without user": {guarded(t), config.Limits{PublishPerIP: 1000}, bearer(signed(t, nobody))},
	} {
		t.Run(name, func(t *testing.T) {
			c.settings.Limits = c.limits
			r := start(t, c.settings)
			r.do(t, "PUT", "/v1/streams/mine/s", "", plain, c.key) // counts as one
			for n := range 19 {                                    // ten seconds' worth at once
				if resp, body := r.do(t, "POST", "/v1/topics/mine/a", "x", c.key); resp.StatusCode != 201 {
					t.Fatalf("message %d: %s %s", n, resp.Status, body)
				}
			}
			r.publishesTooMuch(t, c.key)
		})
	}
}

// publishesTooMuch publishes in all ways. The rate has been used up; one more message
// may pass now and then.
func (r *running) publishesTooMuch(t *testing.T, key string) {
	t.Helper()
	line := `{"topic":"mine/b","data":"x"}` + "\n"
	for _, c := range []struct{ method, path, body, header string }{
		{"POST", "/v1/topics/mine/a", "x", plain},
		{"POST", "/v1/streams/mine/s", "x", plain},
		{"PUT", "/v1/streams/mine/new", "x", plain},
		{"POST", "/v1/events", strings.Repeat(line, 600), lines},
	} {
		resp, body := r.do(t, c.method, c.path, c.body, key, c.header)
		for n := 0; n < 5 && resp.StatusCode < 300; n++ {
			resp, body = r.do(t, c.method, c.path, c.body, key, c.header)
		}
		refused(t, c.method+" "+c.path, resp, body, 429, "too_many_requests")
		if c.header == lines {
			var p struct {
				Line, Published int
				LastID          string `json:"last_id"`
			}
			if err := json.Unmarshal([]byte(body), &p); err != nil || p.Line != p.Published+1 || p.Published > 256 || (p.Published > 0) != (p.LastID != "") {
				t.Errorf("lines beyond the rate: %s", body)
			}
		}
	}
}

// TestLinesThatPassTheRateAreKept sends a batch beyond the rate, and another.
func TestLinesThatPassTheRateAreKept(t *testing.T) {
	s := defaults(t)
	s.Limits.PublishPerIP = 1
	r := start(t, s)
	c := r.connect(t)
	c.beginLines(t)
	line := `{"topic":"a","data":"x"}` + "\n"
	c.chunk(t, strings.Repeat(line, 5))
	eventually(t, "five lines are published", func() bool { return published(t, r) == 5 })
	c.chunk(t, strings.Repeat(line, 7))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	refused(t, "too many lines", resp, string(body), 429, "too_many_requests")
	if !strings.Contains(string(body), `"line":6,"published":5,"last_id":`) || published(t, r) != 5 {
		t.Errorf("too many lines: %s, and %d are kept", body, published(t, r))
	}
}

// TestCountedPublishersAreNotAdopted: what is adopted is not counted.
func TestCountedPublishersAreNotAdopted(t *testing.T) {
	counted := defaults(t)
	counted.Limits.PublishPerIP = 1000
	for name, c := range map[string]struct {
		s      *config.Settings
		want   int
		header []string
	}{"open": {defaults(t), 1, nil}, "counted": {counted, 0, nil}, "guarded": {guarded(t), 0, []string{bearer(signed(t, mine))}}} {
		r := start(t, c.s)
		client := r.connect(t)
		for range 10 {
			resp := client.send(t, "POST", "/v1/topics/mine/a", "x", c.header...)
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 201 {
				t.Fatalf("%s: %s %v", name, resp.Status, err)
			}
		}
		if r.Adopted() != c.want {
			t.Errorf("%s: %d connections are adopted, want %d", name, r.Adopted(), c.want)
		}
	}
}

// TestReplayOverAndOver reads the history again and again. Who is live is not
// disturbed by that.
func TestReplayOverAndOver(t *testing.T) {
	for _, path := range []string{"/v1/topics/mine/a?since=start", "/v1/topics/mine/a?since=start&wait=1s",
		"/v1/streams/mine/a?offset=-1", "/v1/streams/mine/a?offset=-1&live=long-poll", "/v1/streams/mine/a?offset=-1&live=sse"} {
		s := guarded(t)
		s.Limits.ReplayPerClient = 64 << 10 // so 4 MiB at once
		r := start(t, s)
		key, others := bearer(signed(t, mine)), bearer(apiKey)
		r.do(t, "PUT", "/v1/streams/mine/a", "", plain, others)
		for range 4 {
			r.do(t, "POST", "/v1/topics/mine/a", strings.Repeat("x", 500_000), others)
		}
		live := r.openAs(t, key, "/v1/topics/mine/a", "text/plain")
		read, resp, body := r.replayUntilRefused(t, path, key, 16<<20)
		refused(t, path, resp, body, 429, "too_many_requests")
		if read < 3_500_000 || read > 8_000_000 {
			t.Errorf("%s: refused after %d bytes", path, read)
		}
		if n, resp, _ := r.replayUntilRefused(t, path, others, 1); n == 0 {
			t.Errorf("%s: another user: %s", path, resp.Status)
		}
		r.do(t, "POST", "/v1/topics/mine/a", "still live", others)
		if line := live.line(t); line != "still live" {
			t.Errorf("%s: the live reader got %q", path, line)
		}
		if again := r.openAs(t, key, "/v1/topics/mine/a", "text/plain"); again.resp.StatusCode != 200 {
			t.Errorf("%s: a reader without history: %s", path, again.resp.Status)
		}
	}
}

// replayUntilRefused reads history over and over, but not much more than most bytes.
func (r *running) replayUntilRefused(t *testing.T, path, key string, most int64) (read int64, resp *http.Response, body string) {
	t.Helper()
	for {
		c := r.connect(t)
		resp = c.send(t, "GET", path, "", key, "Accept: text/plain, */*;q=0.1")
		if resp.StatusCode != 200 || read >= most {
			b, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
			return read, resp, string(b)
		}
		n, err := io.CopyN(io.Discard, resp.Body, 2_000_000)
		if err != nil && err != io.EOF || n == 0 {
			t.Fatalf("%s: %d bytes, then %v", path, n, err)
		}
		read += n
		c.Close()
	}
}

// TestAdoptedPublishersAreHeldToLimitsToo has one that was adopted before the rules
// change so that clients count, and one before memory is short.
func TestAdoptedPublishersAreHeldToLimitsToo(t *testing.T) {
	short := defaults(t)
	short.Limits.Memory = 1 << 20 // less than the process has; the first look at it is after a second
	for name, c := range map[string]struct {
		settings *config.Settings
		status   int
		code     string
	}{"a rate": {defaults(t), 429, "too_many_requests"}, "memory": {short, 503, "overloaded"}} {
		r := start(t, c.settings)
		client := r.connect(t)
		for n := 0; ; n++ {
			resp := client.send(t, "POST", "/v1/topics/mine/a", "x")
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != 201 {
				refused(t, name, resp, string(body), c.status, c.code)
				break
			}
			if n == 5 {
				eventually(t, "it is adopted", func() bool { return r.Adopted() == 1 })
				r.limitRate(t, name == "a rate")
			}
		}
	}
}

// limitRate lets an address publish one message per second from now on, if it is to.
func (r *running) limitRate(t *testing.T, limited bool) {
	t.Helper()
	if !limited {
		return
	}
	s := defaults(t)
	s.Limits.PublishPerIP = 1
	if err := r.Reload(s); err != nil {
		t.Fatal(err)
	}
}

// TestConnectionsNameTheClientBehindAProxy looks at the list as the operator does.
func TestConnectionsNameTheClientBehindAProxy(t *testing.T) {
	s := defaults(t)
	s.Proxy.Trusted, s.Limits.StreamsPerIP = []string{"loopback"}, 5
	r := start(t, s)
	if resp := r.connect(t).send(t, "GET", "/v1/topics/mine/a", "", "X-Forwarded-For: 203.0.113.9"); resp.StatusCode != 200 {
		t.Fatal(resp.Status)
	}
	var body string
	eventually(t, "the stream is in the list", func() bool {
		_, body = r.do(t, "GET", "/v1/connections", "")
		return strings.Contains(body, `"total":1`)
	})
	if !strings.Contains(body, `"address":"203.0.113.9"`) {
		t.Errorf("the list is %s", body)
	}
}
