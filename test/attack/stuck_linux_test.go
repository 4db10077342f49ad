package attack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestReadersThatNeverReadCostNothing has a topic with twenty readers that never read
// and one that reads.
func TestReadersThatNeverReadCostNothing(t *testing.T) {
	t.Parallel()
	const messages, size, stuck = 400, 256 << 10, 20
	// The collector runs often, so that what is measured is what is held.
	s := serveBy(t, []string{"env", "GOGC=20", weirPath}, "--page=false", "--stream.user-timeout", "2s", "--history.max-bytes", "4MiB")
	data := strings.Repeat("x", size)
	reader := s.dial(t, "tcp")
	reader.send(get("/v1/topics/a", "Accept: text/plain"))
	reader.until("\r\n\r\n")
	handOn := func() {
		start := time.Now()
		s.publish("a", data)
		reader.until("\n\r\n")
		if d := time.Since(start); d > 3*time.Second {
			t.Errorf("a message took %v", d)
		}
	}
	for range messages {
		handOn()
	}
	check := s.growth(32 << 20) // what is published meanwhile is three times as much
	for i := range stuck {
		w := s.dial(t, []string{"tcp", "unix"}[i%2])
		_ = w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(4096)
		w.send(get("/v1/topics/a"))
		w.until("retry:")
	}
	for range messages {
		handOn()
	}
	check()
	s.awaitMetric(`weir_connections_closed_total{reason="too_slow"}`, func(v float64) bool { return v == stuck })
	s.awaitMetric("weir_connections", func(v float64) bool { return v == 1 })
}

// flood writes until nothing was taken for a second, or most bytes were, and returns how
// many it was.
func (w *wire) flood(text string, most int) (n int) {
	for n < most {
		_ = w.SetWriteDeadline(time.Now().Add(time.Second))
		m, err := io.WriteString(w, text)
		n += m
		if err != nil {
			return n
		}
	}
	return n
}

// TestClientsThatSendForeverAreNotRead: what they send on a stream stays in the
// buffers of the kernel, which are bounded.
func TestClientsThatSendForeverAreNotRead(t *testing.T) {
	t.Parallel()
	const most = 64 << 20
	s := serve(t, "--page=false")
	junk := strings.Repeat(post("a", "evil"), 1000)
	check := s.growth(16 << 20)
	inParallel(2*len(phases), func(i int) {
		w := phases[i/2].open(t, s, []string{"tcp", "unix"}[i%2])
		w.send(get("/v1/topics/a"))
		w.expect(t, "open", "retry:")
		if n := w.flood(junk, most); n >= most {
			t.Errorf("%s: the server has taken %d bytes", phases[i/2].name, n)
		}
		topic := fmt.Sprint("b", i) // in the stream's own direction nothing is in the way
		s.publish("a", topic)
		w.expect(t, "flooded", "data: "+topic)
	})
	check()
	for _, data := range s.kept("a") {
		if data == "evil" {
			t.Fatal("what came on a stream was published")
		}
	}
}

// TestPublishersThatNeverReadAreNotServed: answers that nobody reads are not collected.
func TestPublishersThatNeverReadAreNotServed(t *testing.T) {
	t.Parallel()
	const most = 256 << 20
	s := serve(t, "--page=false", "--history.max-messages", "10")
	requests := strings.Repeat(post("a", "x"), 1000)
	check := s.growth(48 << 20)
	inParallel(2*len(phases), func(i int) {
		w := phases[i/2].open(t, s, []string{"tcp", "unix"}[i%2])
		_ = w.Conn.(interface{ SetReadBuffer(int) error }).SetReadBuffer(4096)
		if n := w.flood(requests, most); n >= most {
			t.Errorf("%s: the server has taken %d bytes", phases[i/2].name, n)
		}
	})
	s.alive()
	check()
}

// TestResetStreamsEnd: a client's host has started anew.
func TestResetStreamsEnd(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	for range 50 {
		w := s.dial(t, "tcp")
		w.send(get("/v1/topics/a"))
		w.until("retry:")
		_ = w.Conn.(*net.TCPConn).SetLinger(0)
		w.Close()
	}
	s.awaitMetric("weir_connections", func(v float64) bool { return v == 0 })
	if status, _ := s.ask(http.MethodPost, "/v1/topics/a", "", "x"); status != 201 {
		t.Errorf("publish: %d", status)
	}
}
