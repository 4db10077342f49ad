package bench

import (
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestClientsStayOnTheirProcessors(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, within, after, first unix.CPUSet
	_ = unix.SchedGetaffinity(0, &before)
	cpu := 0
	for !before.IsSet(cpu) {
		cpu++
	}
	first.Set(cpu)
	restore, err := confine([]int{cpu})
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.SchedGetaffinity(0, &within)
	procs := runtime.GOMAXPROCS(0)
	restore()
	_ = unix.SchedGetaffinity(0, &after)
	if within != first || procs != 1 || after != before {
		t.Errorf("confined to %v (GOMAXPROCS %d), afterwards %v; want %v (1), then %v", within, procs, after, first, before)
	}
}

// TestProcessesAreMeasured compares what /proc says about this process with what
// the system call says.
func TestProcessesAreMeasured(t *testing.T) {
	for start := ownCPU(); ownCPU()-start < 50*time.Millisecond; {
	}
	cpu, err := processCPU(os.Getpid())
	if own := ownCPU(); err != nil || cpu < own-100*time.Millisecond || cpu > own+20*time.Millisecond {
		t.Errorf("processor time is %v (%v), want about %v", cpu, err, own)
	}
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	rss, err := processRSS(os.Getpid())
	if most := int64(u.Maxrss) << 10; err != nil || rss < most/4 || rss > most+most/10 {
		t.Errorf("memory is %d bytes (%v), want at most about %d", rss, err, most)
	}
}
