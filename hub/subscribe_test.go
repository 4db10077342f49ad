package hub_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/weirstream/weir/hub"
	"github.com/weirstream/weir/sse"
	"github.com/weirstream/weir/stream"
)

// own serves streams of the program's own; fn gets each.
func own(t *testing.T, kind string, o hub.Options, fn func(h *hub.Hub, c *stream.Conn, r *http.Request)) *server {
	var s *server
	s = serve(t, kind, o, func(h *hub.Hub) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			o := stream.Options{Engine: s.engine, Retry: -1}
			o.SSE(func(c *stream.Conn, r *http.Request) { fn(h, c, r) }).ServeHTTP(w, r)
		})
	})
	return s
}

// begin is what a stream of the program's own starts with.
const begin = ":\n"

func TestProgramsStreamGetsItsOwnAndTopicMessages(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		conns := make(chan *stream.Conn, 1)
		s := own(t, kind, hub.Options{}, func(h *hub.Hub, c *stream.Conn, r *http.Request) {
			c.Send(sse.Text("before"))
			if err := h.Subscribe(c, hub.Subscription{Topics: []string{"a"}, From: hub.FromOldest()}); err != nil {
				t.Error(err)
			}
			c.Send(sse.Text("after"))
			conns <- c
		})
		s.publish("1", "a")
		r := s.get("")
		c := <-conns
		seen := make(map[string]int)
		for i := range 4 { // what is sent while a stream catches up may come before or after a message
			e := r.next()
			seen[e.ID+":"+string(e.Data)] = i
		}
		if len(seen) != 4 || seen[":before"] != 0 || seen[s.id(0)+":"] != 1 || seen[":after"] < 2 || seen[s.id(1)+":1"] < 2 {
			t.Fatalf("got, in this order: %v", seen)
		}
		for i := range 20 {
			s.publish(fmt.Sprint("topic", i), "a")
			if e := r.next(); string(e.Data) != fmt.Sprint("topic", i) {
				t.Fatalf("got %q", e.Data)
			}
			c.Send(sse.Text(fmt.Sprint("private", i)))
			if e := r.next(); string(e.Data) != fmt.Sprint("private", i) {
				t.Fatalf("got %q", e.Data)
			}
		}
	})
}

// TestSecondSubscriptionIsRefusedWithoutATrace also tries it with another hub.
func TestSecondSubscriptionIsRefusedWithoutATrace(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		other := newHub(t, hub.Options{})
		errs := make(chan error, 3)
		s := own(t, kind, hub.Options{}, func(h *hub.Hub, c *stream.Conn, r *http.Request) {
			errs <- h.Subscribe(c, hub.Subscription{Topics: []string{"a"}})
			errs <- h.Subscribe(c, hub.Subscription{Topics: []string{"b"}, From: hub.FromID("unknown")})
			errs <- other.Subscribe(c, hub.Subscription{Topics: []string{"a"}})
		})
		r := s.get("")
		for _, want := range []error{nil, hub.ErrTaken, hub.ErrTaken} {
			if err := <-errs; err != want {
				t.Errorf("subscribe: %v, want %v", err, want)
			}
		}
		s.publish("not followed", "b")
		s.publish("followed", "a")
		r.raw(concat(begin, "id: "+s.id(0)+"\n\n", "id: "+s.id(2)+"\ndata: followed\n\n"))
	})
}

func TestSubscribeErrors(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		errs := make(chan error, 2)
		s := own(t, kind, hub.Options{}, func(h *hub.Hub, c *stream.Conn, r *http.Request) {
			errs <- h.Subscribe(c, hub.Subscription{})
			c.End()
			errs <- h.Subscribe(c, hub.Subscription{Topics: []string{"a"}})
		})
		r := s.get("")
		if err := <-errs; !errors.Is(err, hub.ErrPattern) {
			t.Errorf("no topics: %v, want %v", err, hub.ErrPattern)
		}
		if err := <-errs; !errors.Is(err, stream.ErrClosed) {
			t.Errorf("ended stream: %v, want %v", err, stream.ErrClosed)
		}
		r.raw(begin)
	})
}

// TestNoticeOnAProgramsStreamPrecedesItsMessages subscribes with an ID that cannot
// be honoured while messages are published.
func TestNoticeOnAProgramsStreamPrecedesItsMessages(t *testing.T) {
	engines(t, func(t *testing.T, kind string) {
		s := own(t, kind, hub.Options{}, func(h *hub.Hub, c *stream.Conn, r *http.Request) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20 {
					publish(t, h, hub.Message{Topics: []string{"a"}, Data: []byte("x")})
				}
			}()
			h.Subscribe(c, hub.Subscription{Topics: []string{"a"}, From: hub.FromID("unknown"), Policy: hub.Reset})
			<-done
			publish(t, h, hub.Message{Topics: []string{"a"}, Data: []byte("end")})
		})
		for range 20 {
			r := s.get("")
			if gap := r.next(); gap.Type != hub.GapEvent {
				t.Fatalf("the stream begins with %+v, want the notice", gap)
			}
			for e := r.next(); string(e.Data) != "end"; e = r.next() {
				if string(e.Data) != "x" {
					t.Fatalf("got %+v", e)
				}
			}
			r.drop()
		}
	})
}

func TestStreamMayFollowAHubOnAnotherEngine(t *testing.T) {
	o := hub.Options{}
	o.Stream.Engine = stream.NewEngine(1)
	other := newHub(t, o)
	s := own(t, "taken over", hub.Options{}, func(h *hub.Hub, c *stream.Conn, r *http.Request) {
		if err := other.Subscribe(c, hub.Subscription{Topics: []string{"a"}, From: hub.FromOldest()}); err != nil {
			t.Error(err)
		}
	})
	r := s.get("")
	publish(t, other, hub.Message{Topics: []string{"a"}, Data: []byte("x")})
	epoch := other.Log().Epoch()
	r.raw(concat(begin, "id: "+epoch+"-0\n\n", "id: "+epoch+"-1\ndata: x\n\n"))
}
