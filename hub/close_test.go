package hub_test

import (
	"context"
	"fmt"
	"io"
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
		if got := s.hub.Stats(); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		none.drop()
		old.drop()
		want.Readers = 1
		eventually(t, "two are gone", func() bool { return s.hub.Stats() == want })
	})
}
