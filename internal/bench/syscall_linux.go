package bench

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poll returns the number of events. It looks once without the scheduler's
// knowledge; only if there is nothing it sleeps.
func (w *epoll) poll(d time.Duration) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.fd), uintptr(unsafe.Pointer(&w.events[0])), eventBatch, 0, 0, 0)
	if errno != 0 || n > 0 || d <= 0 {
		w.busy = n > 0
		return events(n, errno)
	}
	if w.busy && w.nap > 0 {
		w.busy = false
		nap(min(w.nap, d))
		return 0, nil
	}
	return w.sleep(d)
}

// nap sleeps without being woken. While a thread waits for an epoll descriptor
// each message that arrives wakes it, which costs the sender much of what its
// send costs.
func nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_, _, _ = unix.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

func (w *epoll) sleep(d time.Duration) (int, error) {
	if !w.coarse {
		timeout := [2]int64{int64(d / time.Second), int64(d % time.Second)}
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(w.fd), uintptr(unsafe.Pointer(&w.events[0])), eventBatch, uintptr(unsafe.Pointer(&timeout)), 0, 0)
		if errno != unix.ENOSYS && errno != unix.EPERM {
			return events(n, errno)
		}
		w.coarse = true
	}
	ms := (d + time.Millisecond - 1) / time.Millisecond
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(w.fd), uintptr(unsafe.Pointer(&w.events[0])), eventBatch, uintptr(ms), 0, 0)
	return events(n, errno)
}

func events(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EINTR:
		return 0, nil
	}
	return 0, errno
}

func read(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return int(n), errno
}

// write returns how much of p was taken; a full socket is no error.
func write(fd int, p []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EAGAIN:
			return 0, nil
		case unix.EINTR:
			continue
		}
		return 0, errno
	}
}
