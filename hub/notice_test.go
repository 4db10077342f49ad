package hub_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/stream"
)

// sockets runs a test for each kind of engines, and over TLS.
func sockets(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range append([]string{"tls"}, kinds...) {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

// streams returns those that follow topics of h, by their ID.
func streams(h *hub.Hub) map[uint64]*stream.Conn {
	var mu sync.Mutex // the loops run at once
	found := make(map[uint64]*stream.Conn)
	h.EachReader(func(c *stream.Conn, _ []string) {
		mu.Lock()
		defer mu.Unlock()
		found[c.ID()] = c
	})
	return found
}

// one returns the only stream of h, once it is there.
func one(t *testing.T, h *hub.Hub) (c *stream.Conn) {
	t.Helper()
	eventually(t, "the stream is there and live", func() bool { return h.Stats().Readers == 1 && h.Stats().Behind == 0 })
	for _, c = range streams(h) {
	}
	return c
}

// TestNoticesHaveTheFormOfTheirStream reads exact bytes, and a message after them.
func TestNoticesHaveTheFormOfTheirStream(t *testing.T) {
	at := time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)
	events := "id: <0>\n\nevent: weir.expiring\ndata: {\"expires\":\"2020-02-29T12:00:00Z\",\"seconds\":0}\n\n" +
		"event: weir.revoked\ndata: {}\n\nevent: a.b\ndata: \"<x>\"\n\n"
	for form, want := range map[hub.Form]string{
		hub.Events:   events + "id: <1>\ndata: message\n\n",
		hub.Envelope: events + "id: <1>\ndata: {\"id\":",
		hub.Lines:    "{\"ready\":{\"id\":\"<0>\"}}\n{\"expiring\":{\"expires\":\"2020-02-29T12:00:00Z\",\"seconds\":0}}\n{\"revoked\":{}}\n{\"a.b\":\"<x>\"}\n{\"id\":\"<1>\"",
		hub.Text:     "message\n",
	} {
		sockets(t, func(t *testing.T, kind string) {
			s := serve(t, kind, hub.Options{}, func(h *hub.Hub) http.Handler {
				return h.HandlerFor(hub.Subscription{Topics: []string{"a"}, Form: form})
			})
			r := s.get("")
			c := one(t, s.hub)
			for _, n := range []stream.Notice{stream.ExpiringNotice(at), stream.RevokedNotice(), {Type: "a.b", Data: "<x>"}} {
				if err := c.Notify(n); err != nil {
					t.Error(err)
				}
			}
			eventually(t, "the notices have left", func() bool { return c.Buffered() == 0 })
			s.publish("message", "a")
			r.raw(strings.NewReplacer("<0>", s.id(0), "<1>", s.id(1)).Replace(want))
		})
	}
}

// TestNoticeKeepsTheLastEventID is what an EventSource comes back with.
func TestNoticeKeepsTheLastEventID(t *testing.T) {
	sockets(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		r := s.get("?topic=a")
		c := one(t, s.hub)
		s.publish("message", "a")
		r.want(s.id(0)+": ", s.id(1)+": message")
		if err := c.Notify(stream.RevokedNotice()); err != nil {
			t.Fatal(err)
		}
		c.EndWith(stream.Revoked)
		if e := r.next(); e.Type != stream.RevokedEvent || string(e.Data) != "{}" || e.ID != "" || e.ResetID {
			t.Errorf("got %+v, want the notice, which leaves the ID alone", e)
		}
		if e, err := r.events.Next(); err != io.EOF {
			t.Errorf("after the notice: %+v, %v; want the end and nothing else", e, err)
		}
	})
}

// TestEachReaderKnowsTheTopics has streams of this hub, of another on the same loops, and
// of none.
func TestEachReaderKnowsTheTopics(t *testing.T) {
	sockets(t, func(t *testing.T, kind string) {
		var other *hub.Hub
		var s *server
		s = serve(t, kind, hub.Options{}, func(h *hub.Hub) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/", h.Handler())
			mux.HandleFunc("/other", func(w http.ResponseWriter, r *http.Request) { other.Handler().ServeHTTP(w, r) })
			mux.HandleFunc("/none", func(w http.ResponseWriter, r *http.Request) {
				stream.Options{Engine: s.engine}.SSE(func(*stream.Conn, *http.Request) {}).ServeHTTP(w, r)
			})
			return mux
		})
		other = newHub(t, hub.Options{Stream: stream.Options{Engine: s.engine, Retry: -1}})
		for _, query := range []string{"?topic=a", "?topic=b/*&topic=a&topic=b/*", "?topic=a", "other?topic=a", "none"} {
			s.get(query)
		}
		eventually(t, "all are there", func() bool {
			return s.hub.Stats().Readers == 3 && other.Stats().Readers == 1 && s.engine.Len() == 5
		})
		var mu sync.Mutex // the loops run at once
		var got []string
		ids := make(map[uint64]bool)
		s.hub.EachReader(func(c *stream.Conn, topics []string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, strings.Join(topics, " "))
			ids[c.ID()] = true
		})
		slices.Sort(got)
		if want := []string{"a", "a", "a b/*"}; !slices.Equal(got, want) || len(ids) != 3 {
			t.Errorf("the readers follow %q, with %d IDs; want %q, with 3", got, len(ids), want)
		}
		other.Close()
	})
}

// TestRevokedReaderGetsNothingMore publishes as soon as EachReader has returned, to live
// readers and to one that is far behind.
func TestRevokedReaderGetsNothingMore(t *testing.T) {
	sockets(t, func(t *testing.T, kind string) {
		s := serve(t, kind, hub.Options{}, nil)
		payload := strings.Repeat("x", 10_000)
		for range 2000 {
			s.publish(payload, "old")
		}
		late := s.get("?topic=old&since=start")
		live := make([]*reader, 5)
		for i := range live {
			live[i] = s.get("?topic=a&topic=b/*")
		}
		eventually(t, "all are there", func() bool { return s.hub.Stats().Readers == 6 && s.hub.Stats().Behind == 1 })
		s.publish("before", "a")
		s.hub.EachReader(func(c *stream.Conn, topics []string) {
			_ = c.Notify(stream.RevokedNotice()) // the late reader's buffer is not full: it is the log's
			c.EndWith(stream.Revoked)
		})
		s.publish("after", "a", "old")
		for _, r := range live {
			r.want(s.id(2000)+": ", s.id(2001)+": before", "weir.revoked : {}")
			if e, err := r.events.Next(); err != io.EOF {
				t.Errorf("after the end: %+v, %v", e, err)
			}
		}
		n := 0
		for {
			e, err := late.events.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if n++; string(e.Data) == "after" {
				t.Error("the late reader got what was published after it was revoked")
			}
		}
		if n >= 2000 {
			t.Errorf("the late reader got all %d messages that were kept", n-1)
		}
		eventually(t, "all are gone", func() bool { return s.engine.Closed(stream.Revoked) == 6 })
	})
}

// TestReplayedIsToldOfWhatIsReadAgain has a stream of the hub and one of the program's own.
func TestReplayedIsToldOfWhatIsReadAgain(t *testing.T) {
	sockets(t, func(t *testing.T, kind string) {
		var replayed [2]atomic.Int64
		sub := func(i int) hub.Subscription {
			return hub.Subscription{Topics: []string{"a"}, From: hub.FromOldest(), Replayed: func(n int64) { replayed[i].Add(n) }}
		}
		var s *server
		s = serve(t, kind, hub.Options{}, func(h *hub.Hub) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/0", h.HandlerFor(sub(0)))
			mux.HandleFunc("/1", func(w http.ResponseWriter, r *http.Request) {
				stream.Options{Engine: s.engine}.SSE(func(c *stream.Conn, _ *http.Request) {
					if err := h.Subscribe(c, sub(1)); err != nil {
						t.Error(err)
					}
				}).ServeHTTP(w, r)
			})
			return mux
		})
		for range 10 {
			s.publish("12345", "a")
		}
		for _, path := range []string{"0", "1"} {
			s.get(path)
		}
		eventually(t, "both are live", func() bool { return s.hub.Stats().Readers == 2 && s.hub.Stats().Behind == 0 })
		s.publish("live", "a")
		eventually(t, "the message is delivered", func() bool { return s.hub.Stats().Delivered == 22 })
		for i := range replayed {
			if got := replayed[i].Load(); got != 10*(5+64) {
				t.Errorf("stream %d was told of %d bytes, want %d", i, got, 10*(5+64))
			}
		}
	})
}
