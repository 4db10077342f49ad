package machine

// MemoryLimit returns how much memory this process can have, in bytes: that of the
// machine, or the least limit of the control groups that the process is in. It is 0
// if unknown, and on systems other than Linux.
func MemoryLimit() uint64 { return memoryLimit() }

// OpenFileLimit returns how many descriptors this process can have open, or 0 if
// unknown. It is one system call.
func OpenFileLimit() uint64 { return openFileLimit() }
