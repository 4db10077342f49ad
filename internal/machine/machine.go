// Package machine reads how busy this machine is, from /proc on Linux. On other
// systems it knows only the program's own memory. [MemoryLimit] and [OpenFileLimit]
// say how much this process can have.
//
// A [Gauge] remembers the last reading and belongs to one goroutine.
package machine

import "runtime"

// A Reading is the state of the machine at one moment. Memory is in bytes; 0
// means unknown.
type Reading struct {
	CPU      float64 // percent of all processors busy since the last reading, 0 to 100
	MemUsed  uint64  // of the machine: total less what is available
	MemTotal uint64
	RSS      uint64 // resident memory of this process
}

// A Gauge takes readings. The zero value is ready.
type Gauge struct {
	busy, total uint64 // processor time at the last reading, in ticks
}

// Read takes a reading. The CPU figure of the first one covers the time since boot.
func (g *Gauge) Read() Reading {
	r := g.read()
	if r.RSS == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r.RSS = m.Sys
	}
	return r
}
