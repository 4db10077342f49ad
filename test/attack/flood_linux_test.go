package attack_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestConnectionStormsLeaveNothingBehind has clients come and go in all states.
func TestConnectionStormsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	const visits = 5000
	s := serve(t, "--page=false")
	s.storm(t, 200) // what the server starts when it is first needed
	await(t, "rest after the first visits", func() error { return s.atRest(nil) })
	goroutines, descriptors := s.metric("go_goroutines"), s.metric("process_open_fds")
	check := s.growth(64 << 20)
	start := time.Now()
	s.storm(t, visits)
	t.Logf("%d visits took %v", visits, time.Since(start))
	check()
	await(t, "rest", func() error {
		return s.atRest(map[string]float64{"go_goroutines": goroutines, "process_open_fds": descriptors})
	})
}

// atRest checks that no client is left, and that figures are no higher than these.
func (s *server) atRest(most map[string]float64) error {
	limits := map[string]float64{"weir_connections": 0, "weir_readers": 0, "go_goroutines": 40}
	for name, v := range most {
		limits[name] = v
	}
	for name, limit := range limits {
		if v, err := s.tryMetric(name); err != nil || v > limit {
			return errors.Join(err, fmt.Errorf("%s is %v, at most %v is wanted", name, v, limit))
		}
	}
	return nil
}

// storm has n clients come, some at once, and go in the middle of what they do.
func (s *server) storm(t *testing.T, n int) {
	t.Helper()
	inParallel(n, func(i int) {
		network, addr := "tcp", s.addr
		if i%2 == 1 {
			network, addr = "unix", s.sock
		}
		nc, err := net.Dial(network, addr)
		if err != nil {
			t.Error(err)
			return
		}
		defer nc.Close()
		w := &wire{Conn: nc, t: t}
		switch i / 2 % 8 {
		case 0: // nothing
		case 1:
			w.send("GET /v1/topi")
		case 2:
			w.send(get("/v1/topics/a"))
		case 3:
			w.send(get("/v1/topics/a"))
			w.expect(t, "stream", "retry:")
		case 4:
			w.send(strings.Repeat(post("a", "x"), 5) + "POST /v1/to")
			w.expect(t, "publish", "201")
		case 5:
			w.send("POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx")
		case 6:
			w.send(get("/v1/topics/b?wait=5m"))
		case 7:
			w.send(get("/v1/topics/a") + post("a", "x"))
			w.expect(t, "stream", "retry:")
		}
		if tcp, ok := nc.(*net.TCPConn); ok && i/16%2 == 0 {
			_ = tcp.SetLinger(0) // a reset
		}
	})
}

// TestTopicsAreBounded publishes to more topics than are to be known at once.
func TestTopicsAreBounded(t *testing.T) {
	t.Parallel()
	const topics, known = 200_000, 10_000
	s := serve(t, "--page=false", "--history.max-topics", fmt.Sprint(known))
	check := s.growth(128 << 20)
	for round := range 10 {
		var lines strings.Builder
		for i := range topics / 10 {
			fmt.Fprintf(&lines, "{\"topic\":\"%d/%d/%s\",\"data\":\"x\",\"key\":\"k%d\",\"state\":true}\n", round, i, strings.Repeat("n", 100), i)
		}
		if status, body := s.ask("POST", "/v1/events", "application/x-ndjson", lines.String()); status != 200 {
			t.Fatalf("publish: %d %s", status, body)
		}
	}
	if v := s.metric("weir_messages_published_total"); v != topics {
		t.Errorf("%v messages were published, want %d", v, topics)
	}
	if v := s.metric("weir_log_topics"); v > known {
		t.Errorf("%v topics are known, limit %d", v, known)
	}
	check()
}

// TestReadersOfManyTopicsLeaveNothingBehind follows topics that nobody publishes to.
func TestReadersOfManyTopicsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := serve(t, "--page=false")
	check := s.growth(96 << 20)
	for round := range 10 {
		inParallel(100, func(i int) {
			form := "topic=x"
			for n := range 99 {
				form += fmt.Sprintf("&topic=%d/%d/%d/*", round, i, n)
			}
			w := s.dial(t, "tcp")
			w.send(fmt.Sprintf("POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(form), form))
			w.expect(t, "stream", "retry:")
			w.Close()
		})
	}
	check()
	s.awaitMetric("weir_readers", func(v float64) bool { return v == 0 })
	if v := s.metric("weir_log_topics"); v > 0 {
		t.Errorf("%v topics are known although nothing was published", v)
	}
}
