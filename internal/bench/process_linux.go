package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ticksPerSecond is USER_HZ, which is 100 on every architecture of Linux that Go
// knows.
const ticksPerSecond = 100

// Source: proc(5), the files pid/stat and pid/statm.

// processCPU returns user and system time of a process and of all its threads.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, noProcess(err)
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // the name may hold spaces
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0, errors.New("unknown format of its stat file")
	}
	user, _ := strconv.ParseInt(string(fields[11]), 10, 64)
	system, _ := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * time.Second / ticksPerSecond, nil
}

// processRSS returns the resident memory of a process in bytes.
func processRSS(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, noProcess(err)
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, errors.New("unknown format of its statm file")
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), nil
}

func noProcess(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("no such process")
	}
	return err
}

func ownCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// raiseDescriptors raises the soft limit of descriptors to the hard one and
// returns it.
func raiseDescriptors() (int, error) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, err
	}
	if l.Cur < l.Max {
		l.Cur = l.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			return 0, err
		}
	}
	return int(min(l.Cur, 1<<30)), nil
}

// confine keeps all threads of the process on the given processors. The returned
// function undoes it.
func confine(cpus []int) (restore func(), err error) {
	if len(cpus) == 0 {
		return func() {}, nil
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	for _, cpu := range cpus {
		if set.Set(cpu); cpu < 0 || !set.IsSet(cpu) {
			return nil, mistake("cpu %d does not exist", cpu)
		}
	}
	if err := setAffinity(&set); err != nil {
		_ = setAffinity(&before)
		return nil, mistake("cpu %v: %v", cpus, err)
	}
	procs := runtime.GOMAXPROCS(len(cpus))
	return func() {
		_ = setAffinity(&before)
		runtime.GOMAXPROCS(procs)
	}, nil
}

// setAffinity moves every thread; those started later follow the thread that
// starts them.
func setAffinity(set *unix.CPUSet) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, _ := strconv.Atoi(t.Name())
		if err := unix.SchedSetaffinity(id, set); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
