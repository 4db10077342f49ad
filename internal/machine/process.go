package machine

import "time"

// A Process is what the system knows of this process. Memory is in bytes; 0 means
// unknown.
type Process struct {
	Started  time.Time     // zero: unknown
	CPU      time.Duration // processor time used, by the program and by the system for it
	RSS      uint64        // resident memory
	Virtual  uint64        // address space
	Files    int           // open descriptors
	MaxFiles uint64        // how many there may be
}

// ReadProcess asks the system. On systems other than Linux it knows nothing.
func ReadProcess() Process { return readProcess() }
