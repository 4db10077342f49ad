package durable_test

import (
	"fmt"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirstream/weir/internal/protocol/durable"
)

const sweepEvery = durable.SweepEvery

// sleep lets virtual time go by.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestUseKeepsStreamsAlive uses a stream after three quarters of its TTL, and looks
// for it after the next three quarters.
func TestUseKeepsStreamsAlive(t *testing.T) {
	for _, c := range []struct {
		method, target, body string
		header               []string
		alive                bool
	}{
		{"GET", "a", "", nil, true},
		{"GET", "a?offset=now", "", nil, true},
		{"GET", "a?offset=-1&live=long-poll", "", nil, true},
		{"GET", "a", "", []string{"If-None-Match: *"}, true},
		{"POST", "a", "x", []string{text}, true},
		{"POST", "a", "", []string{"Stream-Closed: true"}, true},
		{"PUT", "a", "", []string{text, "Stream-TTL: 8"}, true},
		{"HEAD", "a", "", nil, false},
		{"PUT", "b", "", forked("a"), false},
	} {
		inBubble(t, func(b *bubble) {
			b.want(b.do("PUT", "a", "x", text, "Stream-TTL: 8"), 201)
			sleep(6 * time.Second)
			b.do(c.method, c.target, c.body, c.header...)
			sleep(6 * time.Second)
			status := b.do("HEAD", "a", "").StatusCode
			if alive := status == 200; alive != c.alive {
				t.Errorf("%s %s %q: then HEAD is answered with %d", c.method, c.target, c.header, status)
			}
		})
	}
}

// TestNothingIsLeftOfExpiredStreams does not touch them: the sweeper deletes them.
func TestNothingIsLeftOfExpiredStreams(t *testing.T) {
	inBubble(t, func(b *bubble) {
		at := time.Now().Add(3 * time.Second).UTC().Format(time.RFC3339)
		for i := range 2500 { // more than are deleted in one go
			b.want(b.do("PUT", fmt.Sprint("ttl/", i), "x", text, "Stream-TTL: 3"), 201)
		}
		b.want(b.do("PUT", "at", "x", text, "Stream-Expires-At: "+at), 201)
		b.want(b.do("PUT", "past", "x", text, "Stream-Expires-At: 1999-12-31T23:59:59Z"), 201)
		b.want(b.do("PUT", "none", "x", text, "Stream-TTL: 0"), 201)
		b.want(b.do("PUT", "stays", "x", text), 201)
		for _, name := range []string{"past", "none"} {
			b.want(b.do("GET", name, ""), 404)
		}
		sleep(2 * time.Second)
		b.want(b.do("HEAD", "at", ""), 200)
		sleep(7 * time.Second)
		b.want(b.do("HEAD", "stays", ""), 200)
		for key := range b.hub.Log().Values("ds") {
			if !strings.HasSuffix(key, "/stays") {
				t.Fatalf("%q is left", key)
			}
		}
		for _, topic := range []string{"ttl/7", "at", "past", "none"} {
			if n, err := b.hub.Log().Forget(topic); err != nil || n > 0 {
				t.Errorf("%d messages are left in %s", n, topic)
			}
		}
	})
}

func TestExpiredStreamsMakeRoomForOthers(t *testing.T) {
	inBubble(t, func(b *bubble) {
		sleep(sweepEvery / 2) // so that requests come before the sweeper
		b.want(b.do("PUT", "a", "old", text, "Stream-TTL: 1"), 201)
		b.want(b.do("PUT", "b", "", forked("a", "Stream-TTL: 60")...), 201)
		b.want(b.do("PUT", "c", "old", text, "Stream-TTL: 1"), 201)
		b.want(b.do("PUT", "d", "old", text, "Stream-TTL: 1"), 201)
		sleep(time.Second)
		b.want(b.do("POST", "d", "x", text), 404)
		b.want(b.do("PUT", "c", "[1]", jsn), 201)
		if a := b.want(b.do("GET", "c", ""), 200); a.body != "[1]" {
			t.Errorf("the new stream has %q", a.body)
		}
		b.want(b.do("PUT", "a", "new", text), 409) // its fork has need of it
		b.want(b.do("GET", "a", ""), 410)
		if a := b.want(b.do("GET", "b", ""), 200); a.body != "old" {
			t.Errorf("the fork has %q", a.body)
		}
		sleep(61 * time.Second)
		b.want(b.do("GET", "b", ""), 404)
		b.want(b.do("PUT", "a", "new", text), 201)
	})
}

func TestFollowedStreamsDoNotExpire(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 5"), 201)
		b.want(b.do("PUT", "at", "", text, "Stream-Expires-At: "+time.Now().Add(5*time.Second).Format(time.RFC3339)), 201)
		for _, live := range []string{"sse", "long-poll"} {
			wait := b.later("GET", "a?offset=now&live="+live)
			sleep(14 * time.Second)
			b.want(b.do("HEAD", "a", ""), 200)
			wait()
			b.want(b.do("HEAD", "a", ""), 200)
		}
		b.want(b.do("HEAD", "at", ""), 404)
		sleep(7 * time.Second)
		b.want(b.do("HEAD", "a", ""), 404)
	})
}

// TestDeadlinesSurviveARestart restarts the adapter while streams wait for their end:
// they may live longer by an eighth, never shorter.
func TestDeadlinesSurviveARestart(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 80"), 201)
		b.want(b.do("PUT", "at", "", text, "Stream-Expires-At: "+time.Now().Add(100*time.Second).UTC().Format(time.RFC3339)), 201)
		b.want(b.do("PUT", "ever", "", text), 201)
		sleep(60 * time.Second)
		b.want(b.do("GET", "a", ""), 200)
		b.restart()
		sleep(79 * time.Second)
		b.restart()
		b.want(b.do("HEAD", "a", ""), 200)
		b.want(b.do("HEAD", "at", ""), 404)
		sleep(12 * time.Second)
		b.want(b.do("HEAD", "a", ""), 404)
		b.want(b.do("HEAD", "ever", ""), 200)
	})
}

// TestReadsAreNotWrites reads a stream often.
func TestReadsAreNotWrites(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 80"), 201)
		var before string
		changes := 0
		for range 400 {
			b.want(b.do("GET", "a", ""), 200)
			sleep(100 * time.Millisecond)
			if now := string(b.hub.Log().Value("dsx/a")); now != before {
				before = now
				changes++
			}
		}
		if changes > 6 { // within half of the TTL, of which an eighth is one change
			t.Errorf("the deadline has been stored %d times", changes)
		}
	})
}

// TestFollowedStreamsHaveADeadlineAhead follows a stream for longer than its TTL, and looks
// at what would count after a crash.
func TestFollowedStreamsHaveADeadlineAhead(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 5"), 201)
		wait := b.later("GET", "a?offset=now&live=long-poll")
		for range 25 {
			sleep(time.Second)
			text, _, _ := strings.Cut(string(b.hub.Log().Value("dsx/a")), " ")
			if ms, err := strconv.ParseInt(text, 10, 64); err != nil || !time.UnixMilli(ms).After(time.Now()) {
				t.Fatalf("at %v the stored deadline is %s, %v", time.Now(), time.UnixMilli(ms), err)
			}
		}
		wait()
	})
}

// TestFollowersOfAnEarlierStreamDoNotCount deletes a stream that is followed, and creates
// another one before the follower has noticed.
func TestFollowersOfAnEarlierStreamDoNotCount(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 5"), 201)
		g := gate{httptest.NewRecorder(), make(chan struct{})}
		go b.durable.ServeHTTP(g, httptest.NewRequest("GET", "http://weir.test"+prefix+"a?live=sse&offset=now", nil))
		synctest.Wait()
		b.want(b.do("DELETE", "a", ""), 204)
		b.want(b.do("PUT", "a", "", text, "Stream-TTL: 5"), 201)
		wait := b.later("GET", "a?offset=now&live=long-poll")
		close(g.open)
		sleep(14 * time.Second)
		b.want(b.do("HEAD", "a", ""), 200)
		wait()
		sleep(6 * time.Second)
		b.want(b.do("HEAD", "a", ""), 404)
	})
}
