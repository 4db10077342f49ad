package attack_test

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDescriptorExhaustionPasses opens connections until the server has no descriptors
// left. Those that are open are served meanwhile, and what is published is on the disk;
// when the others have gone everything is as before.
func TestDescriptorExhaustionPasses(t *testing.T) {
	t.Parallel()
	const limit = 256
	dir := t.TempDir()
	few := []string{"sh", "-c", fmt.Sprintf(`ulimit -n %d; exec "$0" "$@"`, limit), weirPath}
	s := serveBy(t, few, "--page=false", "--log.level", "debug", "--data", dir)
	if v := s.metric("process_max_fds"); v != limit {
		t.Fatalf("the server may have %v descriptors", v)
	}
	s.http.CloseIdleConnections()
	reader, publisher := s.dial(t, "tcp"), s.warm(t, "tcp", 4)
	reader.send(get("/v1/topics/a"))
	reader.until("retry:")
	begun := s.Err.String()

	crowd, served := s.exhaust(t, limit)
	if served < limit/4 || served >= limit {
		t.Errorf("%d streams were opened with %d descriptors", served, limit)
	}
	end := time.Now().Add(2 * time.Second)
	sent := 0
	for ; sent < 200 || time.Now().Before(end); sent++ {
		publisher.send(post("a", fmt.Sprint("m", sent)))
		if r := publisher.reply(); r.status != 201 {
			t.Fatalf("message %d: %d %s", sent, r.status, r.body)
		}
		reader.until(fmt.Sprintf("data: m%d\n", sent))
	}
	publisher.send(post("crowd", "all"))
	if r := publisher.reply(); r.status != 201 {
		t.Fatalf("publish: %d %s", r.status, r.body)
	}
	for _, w := range crowd[:served] {
		w.until("data: all")
	}
	if said := strings.TrimPrefix(s.Err.String(), begun); strings.Count(said, "\n") > 60 {
		t.Errorf("the server wrote %d lines", strings.Count(said, "\n"))
	}

	for _, w := range crowd {
		w.Close()
	}
	await(t, "recovery", func() error {
		status, _, err := s.try("GET", "/healthz", "*/*", "")
		if err == nil && status != 200 {
			err = fmt.Errorf("/healthz: %d", status)
		}
		return err
	})
	s.awaitMetric("weir_connections", func(v float64) bool { return v == 1 })
	s.awaitMetric("process_open_fds", func(v float64) bool { return v < 40 })
	s.restartOn(t, dir, sent)
}

// exhaust opens streams until the server answers no more, and more connections than that.
func (s *server) exhaust(t *testing.T, most int) (crowd []*wire, served int) {
	t.Helper()
	for waiting := 0; waiting < 50; {
		w, err := s.tryDial(t, "tcp")
		if err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, w)
		w.send(get("/v1/topics/crowd"))
		if waiting == 0 && w.read(2*time.Second) == nil {
			if !strings.HasPrefix(string(w.got), "HTTP/1.1 200") || served > most {
				return crowd, served // refused in words, which is as good
			}
			served++
			continue
		}
		waiting++
	}
	return crowd, served
}

// restartOn ends the server and has another one read its directory.
func (s *server) restartOn(t *testing.T, dir string, sent int) {
	t.Helper()
	s.stopped = true
	s.http.CloseIdleConnections()
	if err := s.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ExitCode(patience); err != nil {
		t.Fatal(err)
	}
	next := serve(t, "--data", dir)
	if err := checkKept(next.kept("a"), sent); err != nil {
		t.Error(err)
	}
}

func checkKept(kept []string, sent int) error {
	if len(kept) != min(sent, 1000) { // what one poll gives
		return fmt.Errorf("%d messages are kept, %d were sent", len(kept), sent)
	}
	for i, data := range kept {
		if data != fmt.Sprint("m", i) {
			return errors.New("the messages kept are others than those sent")
		}
	}
	return nil
}
