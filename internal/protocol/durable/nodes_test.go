package durable_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/internal/problem"
	"github.com/weirstream/weir/internal/redislog"
	"github.com/weirstream/weir/internal/redisserver"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A redis is a server that keeps what it has acknowledged, also when it is killed.
type redis struct {
	*redisserver.Server
	t *testing.T
}

func startRedis(t *testing.T) *redis {
	t.Helper()
	return &redis{redisserver.Start(t, redisserver.Options{}), t}
}

// within waits for something.
func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// node starts a server that shares its log with others, and waits so long for Redis; 0 is
// the default.
func (r *redis) node(wait time.Duration) *server {
	r.t.Helper()
	engine, err := redislog.Connect(r.t.Context(), redislog.Options{URL: r.URL(), Wait: wait})
	if err != nil {
		r.t.Fatal(err)
	}
	log, err := sharedlog.Open(r.t.Context(), engine, sharedlog.Options{Wait: wait})
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := hub.New(hub.Options{Log: log, Sync: log.Sync, MaxBytes: maxBytes})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { h.Close() })
	return serveHub(r.t, h, options())
}

// twoNodes starts two servers that share a log.
func twoNodes(t *testing.T) (a, b *server) {
	t.Helper()
	r := startRedis(t)
	return r.node(0), r.node(0)
}

// TestNumberedAppendsAreStoredOnceThroughTwoNodes sends each number of some producers
// through both nodes, from several clients at once.
func TestNumberedAppendsAreStoredOnceThroughTwoNodes(t *testing.T) {
	const producers, clients, numbers = 3, 4, 40
	a, b := twoNodes(t)
	a.create("s")
	var mu sync.Mutex
	accepted := map[string]int{}
	var wg sync.WaitGroup
	for p := range producers {
		for c := range clients {
			node := []*server{a, b}[c%2]
			wg.Go(func() {
				for n := range numbers {
					one := fmt.Sprintf("%d/%d ", p, n)
					answer, err := node.try("POST", "s", one, by(fmt.Sprint("p", p), 0, n)...)
					if err != nil || answer.StatusCode != 200 && answer.StatusCode != 204 || answer.Header.Get("Producer-Seq") == "" {
						t.Errorf("append %s: %v %v", one, answer, err)
						return
					}
					if answer.StatusCode == 200 {
						mu.Lock()
						accepted[one]++
						mu.Unlock()
					}
				}
			})
		}
	}
	wg.Wait()
	next := make([]int, producers)
	whole := a.want(a.do("GET", "s", ""), "200").body
	for _, one := range strings.Fields(whole) {
		var p, n int
		if _, err := fmt.Sscanf(one, "%d/%d", &p, &n); err != nil || n != next[p] {
			t.Fatalf("%s is stored, next of its producer is %d: %s", one, next[p], whole)
		}
		next[p]++
		if accepted[one+" "] != 1 {
			t.Errorf("%s was accepted %d times", one, accepted[one+" "])
		}
	}
	if len(accepted) != producers*numbers || next[0] != numbers || next[1] != numbers || next[2] != numbers {
		t.Errorf("%d numbers were accepted, %v stored", len(accepted), next)
	}
	b.read("s", whole)
}

// TestOneStreamSeqWinsThroughTwoNodes sends the same Stream-Seq through both at once.
func TestOneStreamSeqWinsThroughTwoNodes(t *testing.T) {
	a, b := twoNodes(t)
	a.create("s")
	var want strings.Builder
	for seq := range 30 {
		answers := make([]answer, 4)
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				answers[i], _ = []*server{a, b}[i%2].try("POST", "s", fmt.Sprint(i), text, fmt.Sprintf("Stream-Seq: %04d", seq))
			})
		}
		wg.Wait()
		stored := 0
		for i, answer := range answers {
			switch {
			case answer.Response == nil || answer.StatusCode != 204 && answer.code() != "stream_seq":
				t.Fatalf("Stream-Seq %d: %v", seq, answer)
			case answer.StatusCode == 204:
				fmt.Fprint(&want, i)
				stored++
			}
		}
		if stored != 1 {
			t.Errorf("Stream-Seq %d was accepted %d times", seq, stored)
		}
	}
	b.read("s", want.String())
}

// TestNodesKnowWhatOthersHaveAnswered sends each request to the node that has not got the
// last, often enough for one to be behind.
func TestNodesKnowWhatOthersHaveAnswered(t *testing.T) {
	a, b := twoNodes(t)
	for i := range 50 {
		name := fmt.Sprint("s", i%3) // names come again
		a.create(name)
		b.append(name, "1")
		end := a.append(name, "2").next()
		if got := b.read(name, "12"); got.next() != end {
			t.Fatalf("one node says that the stream ends at %s, the other at %s", end, got.next())
		}
		b.read(name+"?offset="+a.append(name, "3").next(), "")
		a.want(a.do("PUT", name, "", jsn), "409 exists")
		b.want(b.do("PUT", name, "", jsn), "409 exists")
		a.want(a.do("PUT", name, "", text), "200")
		b.want(b.do("PUT", "fork", "4", forked(name)...), "201")
		a.read("fork", "1234")
		a.want(a.do("POST", name, "", "Stream-Closed: true"), "204")
		if got := b.want(b.do("POST", name, "late", text), "409 closed"); got.Header.Get("Stream-Closed") != "true" {
			t.Fatalf("the refusal is %v", got)
		}
		a.want(a.do("DELETE", name, ""), "204")
		b.want(b.do("GET", name, ""), "410 deleted")
		b.want(b.do("DELETE", "fork", ""), "204")
		a.want(a.do("HEAD", name, ""), "404")
		b.want(b.do("POST", name, "late", text), "404 not_found")
	}
}

// TestAcknowledgedAppendsAreBeforeTheEnd closes a stream on one node while both append.
func TestAcknowledgedAppendsAreBeforeTheEnd(t *testing.T) {
	a, b := twoNodes(t)
	for i, closing := range []string{"", "end"} {
		name := fmt.Sprint("s", i)
		a.create(name)
		var mu sync.Mutex
		acknowledged := 0
		var wg sync.WaitGroup
		for c := range 6 {
			wg.Go(func() {
				for {
					answer, err := []*server{a, b}[c%2].try("POST", name, "x", text)
					if err != nil || answer.StatusCode != 204 && answer.code() != "closed" {
						t.Errorf("append: %v %v", answer, err)
						return
					}
					if answer.StatusCode == 409 {
						return
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
			})
		}
		within(t, "appends are acknowledged", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return acknowledged > 50
		})
		b.want(b.do("POST", name, closing, text, "Stream-Closed: true"), "204")
		wg.Wait()
		a.publish(name, "too late")
		for _, node := range []*server{a, b} {
			node.read(name, strings.Repeat("x", acknowledged)+closing)
		}
	}
}

// TestFollowersHearOfOtherNodes follows on one node what happens on the other.
func TestFollowersHearOfOtherNodes(t *testing.T) {
	a, b := twoNodes(t)
	for _, end := range []string{"close", "close with data", "delete"} {
		name := strings.ReplaceAll(end, " ", "-")
		a.create(name)
		f := b.follow(name + "?live=sse&offset=-1")
		f.page()
		for i := range 20 {
			want := a.append(name, fmt.Sprint(i)).next()
			if data, c := f.page(); strings.Join(data, "") != fmt.Sprint(i) || c.StreamNextOffset != want {
				t.Fatalf("after append %d the follower gets %q %+v, want offset %s", i, data, c, want)
			}
		}
		poll := make(chan answer, 1)
		go func() {
			got, _ := b.try("GET", name+"?live=long-poll&offset=now", "")
			poll <- got
		}()
		before := time.Now()
		switch end {
		case "close":
			a.want(a.do("POST", name, "", "Stream-Closed: true"), "204")
			if _, c := f.page(); !c.StreamClosed {
				t.Errorf("%s: the follower gets %+v", end, c)
			}
		case "close with data":
			a.want(a.do("POST", name, "last", text, "Stream-Closed: true"), "204")
			data, c := f.page()
			for !c.StreamClosed {
				_, c = f.page()
			}
			if strings.Join(data, "") != "last" {
				t.Errorf("%s: the follower gets %q", end, data)
			}
		case "delete":
			a.want(a.do("DELETE", name, ""), "204")
		}
		f.end()
		if got := <-poll; got.Response == nil || end != "delete" && got.Header.Get("Stream-Closed") != "true" || end == "delete" && got.StatusCode != 404 {
			t.Errorf("%s: the long poll is answered with %v", end, got)
		}
		if took := time.Since(before); took > patience/2 {
			t.Errorf("%s: they heard of it after %v", end, took)
		}
	}
}

// TestUseOnAnyNodeKeepsStreamsAlive uses streams on one node only, each in its own way,
// for longer than their TTL. Then they go, with all that was theirs.
func TestUseOnAnyNodeKeepsStreamsAlive(t *testing.T) {
	a, b := twoNodes(t)
	for _, name := range []string{"read", "written", "followed", "unused"} {
		a.create(name, "Stream-TTL: 1")
	}
	b.create("at", "Stream-Expires-At: "+time.Now().Add(2*time.Second).UTC().Format(time.RFC3339))
	f := b.follow("followed?live=sse&offset=-1")
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		b.want(b.do("GET", "read", ""), "200")
		b.want(b.do("POST", "written", ".", text), "204")
		for _, name := range []string{"read", "written", "followed"} {
			a.want(a.do("HEAD", name, ""), "200")
		}
	}
	a.want(a.do("GET", "unused", ""), "404 not_found")
	a.want(a.do("GET", "at", ""), "404 not_found")
	f.stop()
	for _, s := range []*server{a, b} {
		within(t, "nothing is left", func() bool {
			for range s.hub.Log().Values("ds") {
				return false
			}
			bounds, err := s.hub.Bounds("written")
			return err == nil && bounds.Entries == 0
		})
	}
	a.want(a.do("HEAD", "followed", ""), "404")
}

// TestForksAndDeletionsOnTwoNodes lets many create and delete forks of each other.
func TestForksAndDeletionsOnTwoNodes(t *testing.T) {
	a, b := twoNodes(t)
	forkAndDelete(t, 6, 30, a, b)
	if bounds, err := a.hub.Bounds("*"); err != nil || bounds.Entries > 0 {
		t.Errorf("messages are left: %+v %v", bounds, err)
	}
}

// TestNewStreamsKeepTheirMessages deletes a stream on one node while the other waits to
// create it anew.
func TestNewStreamsKeepTheirMessages(t *testing.T) {
	a, b := twoNodes(t)
	for i := range 100 {
		a.create("s")
		a.append("s", "old")
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				got, err := b.try("PUT", "s", "new", text)
				if err != nil || got.StatusCode == 201 {
					return
				}
			}
		})
		a.want(a.do("DELETE", "s", ""), "204")
		wg.Wait()
		if got := b.want(b.do("GET", "s", ""), "200"); got.body != "new" || got.Header.Get("Weir-Trimmed") != "" {
			t.Fatalf("round %d: the new stream is %v", i, got)
		}
		b.want(b.do("DELETE", "s", ""), "204")
	}
}

// TestWithoutTheLogNothingIsPromised kills what keeps the log, and starts it again.
func TestWithoutTheLogNothingIsPromised(t *testing.T) {
	r := startRedis(t)
	a, b := r.node(time.Second), r.node(time.Second)
	a.create("s")
	a.want(a.do("POST", "s", "1", by("p", 0, 0)...), "200")
	b.read("s", "1")
	a.create("used", "Stream-TTL: 1")
	r.Kill()
	killed := time.Now()
	for _, node := range []*server{a, b} {
		for _, request := range []struct {
			method, target, body string
			header               []string
		}{
			{"POST", "s", "2", by("p", 0, 1)},
			{"POST", "s", "1", by("p", 0, 0)}, // it may have been deleted
			{"PUT", "s", "", []string{text}},
			{"DELETE", "s", "", nil},
			{"GET", "unknown", "", nil},
			{"POST", "unknown", "x", []string{text}},
		} {
			got := node.want(node.do(request.method, request.target, request.body, request.header...), "503 log_unavailable")
			if got.Header.Get("Retry-After") == "" {
				t.Errorf("%s %s: %v, want Retry-After", request.method, request.target, got)
			}
		}
		node.read("s", "1")
		node.read("used", "")
	}
	for time.Since(killed) < 4*time.Second { // nobody can store that it is used
		b.read("used", "")
	}
	r.Restart()
	within(t, "an append is stored", func() bool {
		node := []*server{a, b}[rand.N(2)]
		status := node.do("POST", "s", "2", by("p", 0, 1)...).StatusCode
		return status == 200 || status == 204
	})
	a.read("s", "12")
	b.read("s", "12")
	for end := time.Now().Add(7 * time.Second); time.Now().Before(end); {
		b.read("used", "")
	}
}

// TestTooManyChangesAreRefused has somebody who changes the same each time.
func TestTooManyChangesAreRefused(t *testing.T) {
	inBubble(t, func(b *bubble) {
		before := time.Now()
		err := b.durable.Contend()
		p, ok := errors.AsType[problem.Document](err)
		if took := time.Since(before); !ok || p.Status != 503 || p.Code != "busy" || took < 5*time.Second || took > 6*time.Second {
			t.Errorf("after %v: %v, want 503 busy after 5 s", took, err)
		}
	})
}
