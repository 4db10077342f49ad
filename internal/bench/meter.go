package bench

import (
	"fmt"
	"time"
)

// A meter reads what processes cost. It belongs to the goroutine of a run.
type meter struct {
	pids  []int // of the server; none: its cost is unknown
	bytes int64 // that readers have received
	peak  int64 // of the server's memory, as sampled
}

// A cost is what has been spent up to one moment.
type cost struct {
	own    time.Duration // processor time of this process
	server time.Duration // processor time of the server
	rss    int64         // resident memory of the server, in bytes
}

func newMeter(pids []int) (*meter, error) {
	for _, pid := range pids {
		if _, err := processCPU(pid); err != nil {
			return nil, mistake("pid %d: %v", pid, err)
		}
	}
	return &meter{pids: pids}, nil
}

// read returns the cost up to now. Processes that have ended cost nothing more.
func (m *meter) read() cost {
	c := cost{own: ownCPU()}
	for _, pid := range m.pids {
		cpu, _ := processCPU(pid)
		c.server += cpu
	}
	c.rss = m.sample()
	return c
}

// sample returns the memory of the server, and remembers the most.
func (m *meter) sample() (rss int64) {
	for _, pid := range m.pids {
		n, _ := processRSS(pid)
		rss += n
	}
	m.peak = max(m.peak, rss)
	return rss
}

// raiseLimit allows the process so many connections, and some descriptors more.
func raiseLimit(connections int) error {
	const others = 32
	limit, err := raiseDescriptors()
	if err == nil && connections+others > limit {
		return mistake("%d connections need %d descriptors, limit %d", connections, connections+others, limit)
	}
	if err != nil {
		return fmt.Errorf("read the limit of descriptors: %w", err)
	}
	return nil
}
