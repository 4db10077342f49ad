package chaos_test

import (
	"fmt"
	"os"
	"strings"
)

// A memory is what a process holds in memory, in bytes. The file of the log is mapped;
// pages of it that were read count as well, until the system needs them.
//
// Source: proc(5), the file pid/status.
type memory struct {
	rss  int64 // all of it
	peak int64 // the most that rss ever was
	own  int64 // of rss: what is not a page of a file
}

// memory may be called by any goroutine.
func (s *server) memory() (m memory) {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		s.t.Errorf("memory of the server: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		for name, p := range map[string]*int64{"VmRSS:": &m.rss, "VmHWM:": &m.peak, "RssAnon:": &m.own} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				if _, err := fmt.Sscan(rest, p); err != nil {
					s.t.Errorf("memory of the server: %q: %v", line, err)
				}
				*p <<= 10
			}
		}
	}
	return m
}

func (m memory) String() string {
	return fmt.Sprintf("RSS %d MiB, of it its own %d MiB, peak %d MiB", m.rss>>20, m.own>>20, m.peak>>20)
}
