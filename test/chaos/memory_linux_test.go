package chaos_test

import "github.com/weirstream/weir/internal/proctest"

// memory may be called by any goroutine. The file of the log is mapped; pages of it that
// were read count as well, until the system needs them.
func (s *server) memory() proctest.Memory {
	s.t.Helper()
	m, err := s.Memory()
	if err != nil {
		s.t.Errorf("memory of the server: %v", err)
	}
	return m
}
