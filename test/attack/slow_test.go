package attack_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// trickle sends one byte each 100 ms until the server closes the connection, and returns
// how long that took.
func (w *wire) trickle(t *testing.T, text string) time.Duration {
	t.Helper()
	start := time.Now()
	for i := 0; time.Since(start) < soon; i++ {
		w.send(text[i%len(text) : i%len(text)+1])
		if err := w.read(100 * time.Millisecond); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return time.Since(start)
		}
	}
	t.Errorf("the connection is still open after %v", soon)
	return soon
}

// TestSlowHeadsAreCut: a head has http.header-timeout to arrive, on each request of a
// connection.
func TestSlowHeadsAreCut(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false", "--http.header-timeout", "1s")
	inParallel(2*len(phases), func(i int) {
		p := phases[i/2]
		w := p.open(t, s, []string{"tcp", "unix"}[i%2])
		w.send("POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nX-A: ")
		// What is adopted goes back to net/http first, after a second.
		if d := w.trickle(t, "x"); d < 900*time.Millisecond || d > 6*time.Second {
			t.Errorf("%s: a slow head was cut after %v, limit 1 s", p.name, d)
		}
	})
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %q", kept)
	}
}

// TestSlowBodiesAreCut: a body has http.body-timeout to arrive, also one that nobody reads.
func TestSlowBodiesAreCut(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false", "--http.body-timeout", "1s")
	heads := []string{
		"POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
		"POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n",
		"PUT /v1/streams/b HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n",
		"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n",
		"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
	}
	inParallel(len(heads)*len(phases), func(i int) {
		p, head := phases[i%len(phases)], heads[i/len(phases)]
		w := p.open(t, s, "tcp")
		w.send(head)
		if d := w.trickle(t, "x"); d > 6*time.Second {
			t.Errorf("%s: a slow body of %q was cut after %v, limit 1 s", p.name, head, d)
		}
	})
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %q", kept)
	}
}

// TestSlowClientsHoldUpNobody has many heads and bodies that never end.
func TestSlowClientsHoldUpNobody(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for i := range 400 {
		w := phases[i%len(phases)].open(t, s, "tcp")
		w.send([]string{"POST /v1/to", "POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
			"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n{\"topic\":\"a\""}[i%3])
	}
	reader := s.dial(t, "tcp")
	reader.send(get("/v1/topics/a"))
	reader.until("retry:")
	start := time.Now()
	for range 100 {
		s.publish("a", "x")
		reader.until("data: x")
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("100 messages took %v", d)
	}
}

// TestLinesArePublishedAsTheyComeOnAnyConnection: a body of JSON lines with a length may
// be a live feed, which no stage may hold back until it is whole.
func TestLinesArePublishedAsTheyComeOnAnyConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for _, p := range phases {
		topic := freshTopic()
		w := p.open(t, s, "tcp")
		w.send("POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n{\"topic\":\"" + topic + "\",\"data\":\"x\"}\n")
		await(t, p.name+": the line", func() error {
			if len(s.kept(topic)) == 0 {
				return errors.New("it is not published")
			}
			return nil
		})
	}
}

// TestHalfClosedStreamsEnd: a client that will not send again is gone.
func TestHalfClosedStreamsEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for i := range 100 {
		w := phases[i%len(phases)].open(t, s, []string{"tcp", "unix"}[i/4%2])
		w.send(get("/v1/topics/a"))
		w.until("retry:")
		if i%2 == 0 {
			w.send(post("a", "evil")) // must not keep the end from being seen
		}
		w.shut()
	}
	s.awaitMetric("weir_connections", func(v float64) bool { return v == 0 })
	if kept := s.kept("a"); len(kept) != 0 {
		t.Errorf("the topic has %q", kept)
	}
}

func TestEndlessHeadsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for _, p := range phases {
		for _, text := range []string{"X-A: " + strings.Repeat("a", 1<<20), strings.Repeat("X-A: b\r\n", 1<<17), "X-A: " + strings.Repeat("\r\n a", 1<<18)} {
			w := p.open(t, s, "tcp")
			w.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
			go w.send(text) // ends when the connection is closed
			raw, err := w.rest()
			if all, err2 := replies(raw, false); err != nil || err2 != nil || len(all) > 1 || len(all) == 1 && all[0].status != http.StatusRequestHeaderFieldsTooLarge && all[0].status != 400 {
				t.Errorf("%s: %.20q…: answered with %q: %v", p.name, text, raw, err)
			}
		}
	}
}
