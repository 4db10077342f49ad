package attack_test

import "testing"

// growth returns a function that fails the test if the server has ever held more than
// limit bytes more than now.
func (s *server) growth(limit int64) (check func()) {
	s.t.Helper()
	before := s.peak()
	return func() {
		s.t.Helper()
		more := s.peak() - before
		if more > limit {
			s.t.Errorf("the server took %d MiB more than at the start, want at most %d", more>>20, limit>>20)
		}
		s.t.Logf("the server took %d MiB more than at the start", more>>20)
	}
}

// peak is the most that the server has ever held in memory, in bytes.
func (s *server) peak() int64 {
	s.t.Helper()
	m, err := s.Memory()
	if err != nil {
		s.t.Fatal(err)
	}
	return m.Peak
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
