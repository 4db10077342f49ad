package proctest

import (
	"fmt"
	"os"
	"strings"
)

// A Memory is what a process holds in memory, in bytes.
//
// Source: proc(5), the file pid/status.
type Memory struct {
	RSS  int64 // all of it
	Peak int64 // the most that RSS ever was
	Own  int64 // of RSS: what is not a page of a file
}

// Memory reads how much it is now. It is an error when the program has ended.
func (p *Process) Memory() (m Memory, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return m, err
	}
	for name, to := range map[string]*int64{"VmRSS": &m.RSS, "VmHWM": &m.Peak, "RssAnon": &m.Own} {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		if _, err := fmt.Sscan(rest, to); err != nil {
			return m, fmt.Errorf("%s of %s: %w", name, p.Name, err)
		}
		*to <<= 10
	}
	return m, nil
}

func (m Memory) String() string {
	return fmt.Sprintf("RSS %d MiB, of it its own %d MiB, peak %d MiB", m.RSS>>20, m.Own>>20, m.Peak>>20)
}
