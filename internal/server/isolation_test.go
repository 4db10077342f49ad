package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/access"
)

// A spy is a client that reads everything it can get, and must get only what is its
// user's. All data says whose it is.
type spy struct {
	t    *testing.T
	r    *running
	user int
	key  string // header that says who it is
	seen strings.Builder
}

var owner = regexp.MustCompile(`user=(\d+);`)

// note looks at what has arrived, and reports whether the last message is in it.
func (s *spy) note(text string) (done bool) {
	for _, m := range owner.FindAllStringSubmatch(text, -1) {
		if m[1] != fmt.Sprint(s.user) {
			s.t.Errorf("user %d got %q", s.user, m[0])
		}
	}
	s.seen.WriteString(text)
	return strings.Contains(text, "end")
}

// get sends a GET request. The caller must close the body.
func (s *spy) get(ctx context.Context, path, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", s.r.url+path, nil)
	if err != nil {
		return nil, err
	}
	name, value, _ := strings.Cut(s.key, ": ")
	req.Header.Set(name, value)
	req.Header.Set("Accept", accept)
	return s.r.client.Do(req)
}

// stream reads a stream to the last message, and comes back if it ends before.
func (s *spy) stream(ctx context.Context, path, accept string) error {
	for ctx.Err() == nil {
		resp, err := s.get(ctx, path, accept)
		if err != nil {
			return err
		}
		done, err := s.readLines(resp)
		resp.Body.Close()
		if done || err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (s *spy) readLines(resp *http.Response) (done bool, err error) {
	if resp.StatusCode != 200 {
		return false, errors.New(resp.Status)
	}
	in := bufio.NewReader(resp.Body)
	for {
		line, err := in.ReadString('\n')
		if s.note(line) {
			return true, nil
		}
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// poll polls until the last message. Each answer says in a header where to go on.
func (s *spy) poll(ctx context.Context, first, next, header string) error {
	for path := first; ; {
		resp, err := s.get(ctx, path, "text/event-stream, */*;q=0.1")
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 && resp.StatusCode != 204 {
			return fmt.Errorf("%s %s: %v", resp.Status, body, err)
		}
		if s.note(string(body)) {
			return nil
		}
		path = next + resp.Header.Get(header)
	}
}

// run reads in one of the ways that there are.
func (s *spy) run(ctx context.Context, way int, firstID string) error {
	topics, stream := fmt.Sprintf("/v1/topics/u/%d", s.user), fmt.Sprintf("/v1/streams/u/%d/a", s.user)
	switch way {
	case 0:
		return s.stream(ctx, topics+"/a?since=start", "text/event-stream")
	case 1:
		return s.stream(ctx, topics+"/**?since=start", "application/x-ndjson")
	case 2:
		return s.stream(ctx, fmt.Sprintf("/v1/events?topic=u/%d/a&topic=u/%[1]d/*&envelope=true&since=start", s.user), "text/event-stream")
	case 3:
		return s.stream(ctx, topics+"/**?last_event_id="+firstID, "text/plain")
	case 4:
		return s.poll(ctx, topics+"/**?wait=1s&since=start", topics+"/**?wait=1s&last_event_id=", "Weir-Last-Event-Id")
	case 5:
		return s.stream(ctx, stream+"?offset=-1&live=sse", "text/event-stream")
	case 6:
		return s.poll(ctx, stream+"?offset=-1&live=long-poll", stream+"?live=long-poll&offset=", "Stream-Next-Offset")
	}
	return s.stream(ctx, topics+"/**?policy=all", "text/event-stream")
}

const (
	users     = 25
	ways      = 8
	perUser   = 40 // messages
	spiesWait = 60 * time.Second
)

// userGrant allows a user everything below its own topic.
func userGrant(user, topics int) access.Grant {
	own := []string{fmt.Sprintf("u/%d/**", topics)}
	return access.Grant{User: fmt.Sprint("user ", user), Publish: own, Subscribe: own}
}

// publishAll publishes the messages of all users, in lines and one by one, from
// several connections at once.
func publishAll(t *testing.T, r *running, key func(user int) string) {
	var wg sync.WaitGroup
	for user := range users {
		wg.Go(func() {
			var batch strings.Builder
			for n := range perUser {
				fmt.Fprintf(&batch, `{"topic":"u/%d/%c","data":"user=%[1]d;%d"}`+"\n", user, 'a'+n%3, n)
			}
			if resp, body := r.do(t, "POST", "/v1/events", batch.String(), lines, key(user)); resp.StatusCode != 200 {
				t.Errorf("publish: %s %s", resp.Status, body)
			}
			for n := range 3 {
				r.do(t, "POST", fmt.Sprintf("/v1/topics/u/%d/a", user), fmt.Sprintf("user=%d;single %d", user, n), key(user))
			}
			r.do(t, "POST", fmt.Sprintf("/v1/topics/u/%d/a", user), fmt.Sprintf("user=%d;end", user), key(user))
		})
	}
	wg.Wait()
}

// TestNobodyGetsWhatIsNotTheirs has 200 readers of 25 users, whose grants share
// nothing, read in all ways while messages of all are published.
func TestNobodyGetsWhatIsNotTheirs(t *testing.T) {
	s := guarded(t)
	s.Page, s.Log.Access, s.Limits.StreamsPerUser = false, false, 0
	s.Durable.Wait = 500 * time.Millisecond
	r := start(t, s)
	keys := make([]string, users)
	for i := range keys {
		keys[i] = bearer(signed(t, userGrant(i, i)))
		r.do(t, "PUT", fmt.Sprintf("/v1/streams/u/%d/a", i), "", plain, keys[i])
	}
	_, id := r.do(t, "POST", "/v1/topics/u/0/first", "user=0;", keys[0])
	_, id, _ = strings.Cut(id, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)

	spies := startSpies(t, r, keys, id)
	for i := range keys {
		other := fmt.Sprint((i + 1) % users)
		for _, path := range []string{"/v1/topics/u/" + other + "/a", "/v1/topics/u/**", "/v1/topics/**?since=start", "/v1/streams/u/" + other + "/a?offset=-1"} {
			if resp, body := r.ask(t, "GET", path, "", keys[i]); resp.StatusCode != 403 || strings.Contains(body, "user=") {
				t.Errorf("user %d asks for %s: %s %s", i, path, resp.Status, body)
			}
		}
	}
	eventually(t, "all follow", func() bool { return r.Streams() >= users*5 })
	publishAll(t, r, func(user int) string { return keys[user] })
	spies.wait()
	tryAfterReload(t, r, keys)
}

// A crew is spies at work.
type crew struct {
	sync.WaitGroup
	t     *testing.T
	spies []*spy
}

func startSpies(t *testing.T, r *running, keys []string, firstID string) *crew {
	c := &crew{t: t}
	ctx, cancel := context.WithTimeout(context.Background(), spiesWait)
	t.Cleanup(cancel)
	for i, key := range keys {
		for way := range ways {
			s := &spy{t: t, r: r, user: i, key: key}
			c.spies = append(c.spies, s)
			c.Go(func() {
				if err := s.run(ctx, way, firstID); err != nil {
					t.Errorf("user %d, way %d: %v", i, way, err)
				}
			})
		}
	}
	return c
}

// wait waits for the last message of each, and for their number.
func (c *crew) wait() {
	c.Wait()
	for i, s := range c.spies {
		want := map[int]int{0: 18, 1: 44, 2: 44, 3: 44, 4: 44, 5: 18, 6: 18, 7: 44}[i%ways] // of 40 every third is in topic a, and 4 more
		if got := strings.Count(s.seen.String(), "user="); got < want || got > want+1 {     // user 0 has one more
			c.t.Errorf("user %d got %d messages in way %d, want %d:\n%.500s", s.user, got, i%ways, want, s.seen.String())
		}
	}
}

// tryAfterReload gives every user the topics of the next one, and other keys.
func tryAfterReload(t *testing.T, r *running, old []string) {
	stays := r.connect(t)
	if resp := stays.send(t, "GET", "/v1/topics/u/0/a", "", old[0]); resp.StatusCode != 200 {
		t.Fatalf("a stream before the change: %s", resp.Status)
	}
	next := guarded(t)
	next.Access.Secret = "another secret, with which nothing was signed so far"
	if err := r.Reload(next); err != nil {
		t.Fatal(err)
	}
	for i := range users {
		topics := (i + 1) % users
		key := bearer(signedWith(t, next.Access.Secret, userGrant(i, topics)))
		if resp, body := r.ask(t, "GET", fmt.Sprintf("/v1/topics/u/%d/**?wait=0s&since=start", topics), "", old[topics]); resp.StatusCode != 401 {
			t.Errorf("an old token after the change: %s %s", resp.Status, body)
		}
		if resp, body := r.ask(t, "GET", fmt.Sprintf("/v1/topics/u/%d/**?wait=0s&since=start", i), "", key); resp.StatusCode != 403 {
			t.Errorf("what was granted before the change: %s %s", resp.Status, body)
		}
		s := &spy{t: t, r: r, user: topics, key: key}
		if err := s.run(t.Context(), i%3, ""); err != nil {
			t.Errorf("user %d after the change: %v", i, err)
		}
	}
	r.do(t, "POST", "/v1/topics/u/0/a", "user=0;later", bearer(signedWith(t, next.Access.Secret, userGrant(0, 0))))
	for line := stays.line(t); !strings.Contains(line, "later"); line = stays.line(t) {
	}
}
