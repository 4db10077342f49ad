package machine

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Source: proc(5), the files self/stat, stat and self/fd.

// ticks per second, in which the kernel gives times to programs.
const ticks = 100

func readProcess() (p Process) {
	line := firstLine("/proc/self/stat")
	_, rest, _ := strings.Cut(line[strings.LastIndexByte(line, ')')+1:], " ") // the name before may hold anything
	fields := strings.Fields(rest)                                            // from the third on
	field := func(n int) uint64 {
		if len(fields) < n-2 {
			return 0
		}
		v, _ := strconv.ParseUint(fields[n-3], 10, 64)
		return v
	}
	p.Virtual = field(23)
	p.RSS = field(24) * uint64(os.Getpagesize())
	if boot := bootTime(); boot > 0 {
		p.Started = time.Unix(boot, 0).Add(time.Duration(field(22)) * (time.Second / ticks))
	}
	p.CPU = cpuTime()
	p.Files = openFiles()
	p.MaxFiles = openFileLimit()
	return p
}

// bootTime is when the machine was started, in seconds since 1970.
func bootTime() int64 {
	b, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(b), "\nbtime ")
	text, _, _ := strings.Cut(rest, "\n")
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// openFiles counts descriptors. Since Linux 6.2 the size of the directory says how
// many there are; reading it takes long with a hundred thousand.
func openFiles() int {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	f, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	return max(len(names)-1, 0) // without f
}
