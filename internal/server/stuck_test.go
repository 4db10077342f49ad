package server_test

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestClientThatNeverReadsIsCut has a client that asks for far more than buffers hold
// and reads nothing, on every kind of listener. Another client does not notice.
func TestClientThatNeverReadsIsCut(t *testing.T) {
	const stream, answer = "/v1/topics/a?since=start", "/v1/topics/a?since=start&wait=0s"
	for _, path := range []string{stream, answer} {
		for _, k := range kinds {
			if k.keeps != "" && path == answer || k.tls && k.proxy != nil { // the latter is tested without TLS
				continue
			}
			t.Run(k.name+path, func(t *testing.T) {
				t.Parallel()
				cutClient(t, &site{kind: k, t: t}, path)
			})
		}
	}
}

func cutClient(t *testing.T, s *site, path string) {
	set := s.settings()
	set.History.MaxMessages, set.History.MaxBytes = 0, 0
	set.Stream.UserTimeout = time.Second
	s.start(set)
	other := s.follow("/v1/topics/b", "text/plain")
	for i := range 20 {
		publishLines(t, s.running, fmt.Sprint("h", i, "-"), strings.Repeat("x", 20_000), 50) // 20 MB in all
	}
	mine := map[int]int{1: 2, 2: 1}[s.proto] // connections of the other one and of who asks for figures
	s.askAndReadNothing(path)
	s.wantGauge("weir_sockets", mine+1)
	s.wantGauge("weir_sockets", mine)
	s.wantGauge("weir_connections", 1)
	s.publish(t, "b", "hello")
	other.want("hello")
}

// askAndReadNothing sends a request. With HTTP/2 flow control lets all of the answer
// pass, so that it is the connection that is full.
func (s *site) askAndReadNothing(path string) {
	s.t.Helper()
	if s.proto == 1 {
		if _, err := io.WriteString(s.open(s.t, "http/1.1"), "GET "+path+" HTTP/1.1\r\nHost: weir.test\r\n\r\n"); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	const most = 1<<31 - 1
	w := s.raw(s.t, initialWindowSize, most)
	w.grant(0, most-65535)
	w.get(1, path)
	if err := w.flush(); err != nil {
		s.t.Fatal(err)
	}
}
