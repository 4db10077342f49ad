package redisserver_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/redisserver"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// until waits for an answer.
func until(t *testing.T, want string, s *redisserver.Server, words ...string) {
	t.Helper()
	s.Await(t, 30*time.Second, func() error {
		if got := s.Do(words...); got != want {
			return fmt.Errorf("%q gives %q, want %q", words, got, want)
		}
		return nil
	})
}

func TestServerComesBackWithWhatItHas(t *testing.T) {
	for _, bare := range []bool{false, true} {
		s := redisserver.Start(t, redisserver.Options{Bare: bare, Args: []string{"--maxmemory-policy", "noeviction"}})
		if got := s.Do("SET", "a", "1"); got != "OK" {
			t.Fatalf("SET = %q", got)
		}
		s.Kill()
		if got := s.Do("PING"); got != "" {
			t.Errorf("it was killed and says %q", got)
		}
		s.Restart()
		if got, want := s.Do("EXISTS", "a"), map[bool]string{false: "1", true: "0"}[bare]; got != want {
			t.Errorf("bare %v: EXISTS = %q, want %q", bare, got, want)
		}
		if got := s.Info("memory"); !strings.Contains(got, "maxmemory_policy:noeviction") {
			t.Errorf("INFO memory = %q", got)
		}
	}
}

func TestPausedServerIsSilent(t *testing.T) {
	s := redisserver.Start(t, redisserver.Options{Bare: true})
	s.Pause()
	answer := make(chan string)
	go func() { answer <- s.Do("PING") }()
	select {
	case got := <-answer:
		t.Errorf("it is paused and says %q", got)
	case <-time.After(100 * time.Millisecond):
		defer func() {
			if got := <-answer; got != "PONG" {
				t.Errorf("it goes on and says %q", got)
			}
		}()
	}
	s.Resume()
}

func TestReplicaTakesTheServersPlace(t *testing.T) {
	w := redisserver.StartWatched(t, redisserver.Options{})
	if got := w.Do("SET", "a", "1"); got != "OK" {
		t.Fatalf("SET = %q", got)
	}
	until(t, "1", w.Replica, "EXISTS", "a")
	w.Kill()
	until(t, "OK", w.Replica, "SET", "b", "2")
}
