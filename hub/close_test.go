package hub_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

// TestCloseEndsStreamsCleanly reads streams to their end.
func TestCloseEndsStreamsCleanly(t *testing.T) {
	for form, want := range map[hub.Form]string{
		hub.Events:   `^id: <0>\n\nid: <1>\ndata: x\n\nretry: \d+\n\n$`,
		hub.Envelope: `^id: <0>\n\nid: <1>\ndata: \{.*\}\n\nretry: \d+\n\n$`,
		hub.Lines:    `^\{"ready":\{"id":"<0>"\}\}\n\{"id":"<1>".*\}\n\{"drain":\{"retry_ms":\d+\}\}\n$`,
		hub.Text:     `^x\n$`,
	} {
		engines(t, func(t *testing.T, kind string) {
			s := serve(t, kind, hub.Options{}, func(h *hub.Hub) http.Handler {
				return h.HandlerFor(hub.Subscription{Topics: []string{"a"}, Form: form})
			})
			r := s.get("")
			eventually(t, "the reader is live", func() bool { return s.hub.Stats().Readers == 1 && s.hub.Stats().Behind == 0 })
			s.publish("x", "a")
			eventually(t, "the message is delivered", func() bool { return s.hub.Stats().Delivered == 1 })
			if err := s.hub.Close(); err != nil {
				t.Fatal(err)
			}
			pattern := regexp.MustCompile(`<(\d)>`).ReplaceAllString(want, s.hub.Log().Epoch()+"-$1")
			if body, err := io.ReadAll(r.resp.Body); err != nil || !regexp.MustCompile(pattern).Match(body) {
				t.Errorf("form %d: read %q, %v; want %s and a clean end", form, body, err, pattern)
			}
		})
	}
}

func TestClosedHubRefusesEverything(t *testing.T) {
	s := serve(t, "taken over", hub.Options{}, nil)
	s.publish("x", "a")
	for range 2 {
		if err := s.hub.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	if _, err := s.hub.Publish(context.Background(), hub.Message{Topics: []string{"a"}}); err != hub.ErrClosed {
		t.Errorf("publish: %v, want %v", err, hub.ErrClosed)
	}
	for _, query := range []string{"?topic=a", "?topic=a&since=start", "?topic=a&last_event_id=x"} {
		r := s.get(query)
		if body, _ := io.ReadAll(r.resp.Body); r.resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: %s %q, want 503", query, r.resp.Status, body)
		}
	}
}

// TestCloseEndsStreamsThatComeLate has readers come while the hub closes: each gets
// a refusal or a stream that ends.
func TestCloseEndsStreamsThatComeLate(t *testing.T) {
	for range 10 {
		s := serve(t, "taken over", hub.Options{}, nil)
		const readers = 20
		done := make(chan error, readers)
		for range readers {
			go func() {
				resp, err := s.http.Client().Get(s.http.URL + "/?topic=a")
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				done <- err
			}()
		}
		eventually(t, "some are there", func() bool { return s.hub.Stats().Readers > 2 })
		s.hub.Close()
		for range readers {
			if err := <-done; err != nil {
				t.Errorf("reader: %v, want a clean end", err)
			}
		}
	}
}

// TestCloseLeavesOtherHubsAlone has two hubs on the loops of one engine.
func TestCloseLeavesOtherHubsAlone(t *testing.T) {
	var other *hub.Hub
	s := serve(t, "taken over", hub.Options{}, func(h *hub.Hub) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/mine", h.Handler())
		mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { other.Handler().ServeHTTP(w, r) })
		return mux
	})
	o := hub.Options{}
	o.Stream = stream.Options{Engine: s.engine, Retry: -1}
	other = newHub(t, o)
	mine, theirs := s.get("mine?topic=a"), s.get("other?topic=a")
	mine.next()
	theirs.next()
	eventually(t, "both are there", func() bool { return s.hub.Stats().Readers == 1 && other.Stats().Readers == 1 })
	s.hub.Close()
	if rest, err := io.ReadAll(mine.resp.Body); err != nil || len(rest) == 0 {
		t.Errorf("read %q, %v; want the end", rest, err)
	}
	publish(t, other, hub.Message{Topics: []string{"a"}, Data: []byte("still here")})
	theirs.want(other.Log().Epoch() + "-1: still here")
	other.Close()
}

func TestStatsCountMessagesBytesAndReaders(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		if got := s.hub.Stats(); got != (hub.Stats{}) {
			t.Errorf("a new hub has %+v", got)
		}
		for i := range 5 {
			s.publish(fmt.Sprint(i), "a")
		}
		old, one, none := s.get("?topic=a&since=start"), s.get("?topic=*"), s.get("?topic=b")
		live := func() bool { return s.hub.Stats().Readers == 3 && s.hub.Stats().Behind == 0 }
		eventually(t, "all are live", live)
		s.publish("5", "a")
		s.publish("6", "a", "c")
		for _, r := range []*reader{old, one} {
			for e := r.next(); string(e.Data) != "6"; e = r.next() {
			}
		}
		frame := int64(len("id: \ndata: 0\n\n") + len(s.id(1)))
		if kind == "taken over" {
			frame += int64(len("1e\r\n\r\n"))
		}
		want := hub.Stats{Published: 7, Delivered: 7 + 2, Bytes: 9 * frame, Readers: 3}
		// A write is counted when it has been made: the readers may be here first.
		eventually(t, "all is counted", func() bool { return s.hub.Stats().Delivered >= want.Delivered })
		if got := s.hub.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		none.drop()
		old.drop()
		want.Readers = 1
		eventually(t, "two are gone", func() bool { return s.hub.Stats() == want })
	})
}

// TestGapsAndDuplicatesAreCounted makes a gap of each reason that one request can
// make, by each way to read, and publishes some messages twice.
func TestGapsAndDuplicatesAreCounted(t *testing.T) {
	s := serve(t, "pipe", hub.Options{History: hub.History{Default: hub.Retention{MaxEntries: 2}}}, nil)
	for i := range 5 {
		s.publish(fmt.Sprint(i), "a")
	}
	for _, id := range []string{"same", "same"} {
		publish(t, s.hub, hub.Message{Topics: []string{"b"}, ID: id})
	}
	for range 3 {
		publish(t, s.hub, hub.Message{Topics: []string{"c"}, IdempotencyKey: "once"})
	}
	want := map[string]int64{"expired": 0, "foreign": 0, "future": 0, "unknown": 0, "ambiguous": 0, "slow": 0}
	if got := s.hub.Gaps(); !maps.Equal(got, want) {
		t.Errorf("before: %v, want %v", got, want)
	}
	for id, reason := range map[string]string{s.id(1): "expired", "aaaaaaaa-1": "foreign", s.id(1000): "future", "strange": "unknown"} {
		s.get("?topic=a&last_event_id=" + id).drop()
		want[reason]++
	}
	if _, _, err := s.hub.Poll(t.Context(), hub.Subscription{Topics: []string{"b"}, From: hub.FromID("same")}, 0); err != nil {
		t.Fatal(err)
	}
	want["ambiguous"]++
	s.get("?topic=a&last_event_id=" + s.id(5)).drop() // nothing is missing
	if got := s.hub.Gaps(); !maps.Equal(got, want) {
		t.Errorf("after: %v, want %v", got, want)
	}
	if got := s.hub.Stats(); got.Published != 8 || got.Duplicates != 2 {
		t.Errorf("%d published, %d duplicates, want 8 and 2", got.Published, got.Duplicates)
	}
}
