package attack_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// memory returns what the server holds in memory that is no page of a file, and the most
// that it ever held with such pages, in bytes.
//
// Source: proc(5), the file pid/status.
func (s *server) memory() (now, peak int64) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatalf("memory of the server: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		for name, p := range map[string]*int64{"RssAnon:": &now, "VmHWM:": &peak} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if _, err := fmt.Sscan(rest, p); err != nil {
					s.t.Fatalf("memory of the server: %q: %v", line, err)
				}
				*p <<= 10
			}
		}
	}
	return now, peak
}

// growth returns a function that fails the test if the server has ever held more than
// limit bytes more than now.
func (s *server) growth(limit int64) (check func()) {
	s.t.Helper()
	_, before := s.memory()
	return func() {
		s.t.Helper()
		_, peak := s.memory()
		if peak-before > limit {
			s.t.Errorf("the server took %d MiB more than at the start, want at most %d", (peak-before)>>20, limit>>20)
		}
		s.t.Logf("the server took %d MiB more than at the start", (peak-before)>>20)
	}
}

// TestPhasesAreWhatTheySay: were connections not adopted, the tests of what happens on
// those would test nothing. An adopted connection has no goroutine.
func TestPhasesAreWhatTheySay(t *testing.T) {
	t.Parallel()
	const conns = 200
	for _, p := range phases {
		t.Run(p.name, func(t *testing.T) {
			s := serve(t, "--page=false")
			s.alive()
			before := s.metric("go_goroutines")
			for range conns {
				p.open(t, s, "tcp")
			}
			want := float64(conns)
			if p.name == "adopted" {
				want = 0
			}
			s.awaitMetric("go_goroutines", func(v float64) bool { return v > before+want-20 && v < before+want+20 })
		})
	}
}
