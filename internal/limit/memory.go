package limit

import (
	"math"
	"sync/atomic"
)

// Memory says whether the process takes more memory than it may, so that the server
// refuses clients before the system ends it.
//
// It is over the limit from the limit on, until it takes less than 95 % of it.
type Memory struct {
	limit, enough uint64
	read          func() uint64

	used    atomic.Uint64
	over    atomic.Bool
	times   atomic.Uint64
	refused atomic.Uint64
}

// NewMemory returns a guard for a limit in bytes; 0 is none. read returns the memory
// of the process in bytes.
func NewMemory(limit int64, read func() uint64) *Memory {
	m := &Memory{read: read, limit: uint64(max(limit, 0))}
	m.enough = m.limit - m.limit/20
	return m
}

// Sample reads the memory. The owner calls it once a second, from one goroutine.
func (m *Memory) Sample() {
	used := m.read()
	m.used.Store(used)
	switch {
	case m.limit == 0:
	case used >= m.limit && !m.over.Load():
		m.over.Store(true)
		m.times.Add(1)
	case used < m.enough:
		m.over.Store(false)
	}
}

// Over reports whether the last sample was over the limit.
//
// Hot path: one atomic load.
func (m *Memory) Over() bool { return m.over.Load() }

// Admit returns an [*Error] while Over, and counts it.
func (m *Memory) Admit() error {
	if !m.Over() {
		return nil
	}
	m.refused.Add(1)
	return overloaded("bytes of memory", clampInt(m.used.Load()), clampInt(m.limit), retrySlot)
}

// Used returns the last sample in bytes, 0 before the first.
func (m *Memory) Used() uint64 { return m.used.Load() }

// Limit returns the limit in bytes, 0 if there is none.
func (m *Memory) Limit() uint64 { return m.limit }

// Times returns how often the memory has gone over the limit.
func (m *Memory) Times() uint64 { return m.times.Load() }

// Refused returns how often Admit has refused.
func (m *Memory) Refused() uint64 { return m.refused.Load() }

func clampInt(n uint64) int { return int(min(n, math.MaxInt)) }
