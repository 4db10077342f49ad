package machine

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
)

// Source: the kernel's documents on control groups, versions 1 and 2; cgroups(7);
// proc(5), the file self/mountinfo.

// unlimited is where limits begin that are none. Without one, version 1 shows the
// greatest number of pages.
const unlimited = 1 << 60

func memoryLimit() uint64 {
	return least(meminfo()["MemTotal"], groupLimit(os.DirFS("/")))
}

func openFileLimit() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// groupLimit returns the least memory limit of the control groups of this process,
// or 0. The hierarchies of both versions may be there, one of them without memory.
func groupLimit(root fs.FS) (limit uint64) {
	mounts := readLines(root, "proc/self/mountinfo")
	for _, line := range readLines(root, "proc/self/cgroup") {
		f := strings.SplitN(line, ":", 3) // 4:memory:/a/b, or 0::/a/b in version 2
		if len(f) != 3 {
			continue
		}
		kind, file := "cgroup", "memory.limit_in_bytes"
		if f[1] == "" {
			kind, file = "cgroup2", "memory.max"
		} else if !hasOption(f[1], "memory") {
			continue
		}
		for _, m := range mounts {
			limit = least(limit, limitBelow(root, m, kind, file, f[2]))
		}
	}
	return limit
}

// limitBelow returns the least limit of a group and of the groups that hold it, as
// far as the mount shows them: the line
//
//	36 25 0:32 /root /mount/point rw shared:1 - cgroup source rw,memory
//
// In a container the mount often begins at the container's own group, and the name
// of the group may be one that only the host knows.
func limitBelow(root fs.FS, mount, kind, file, group string) (limit uint64) {
	left, right, _ := strings.Cut(mount, " - ")
	l, r := strings.Fields(left), strings.Fields(right)
	if len(l) < 5 || len(r) < 3 || r[0] != kind || kind == "cgroup" && !hasOption(r[2], "memory") {
		return 0
	}
	dir := path.Clean("/" + strings.TrimPrefix(group, strings.TrimSuffix(l[3], "/")))
	for ; ; dir = path.Dir(dir) {
		limit = least(limit, readLimit(root, path.Join(l[4], dir, file)))
		if dir == "/" {
			return limit
		}
	}
}

// readLimit reads a number of bytes. The word max, and what is no file, are none.
func readLimit(root fs.FS, name string) uint64 {
	lines := readLines(root, strings.TrimPrefix(name, "/"))
	if len(lines) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(lines[0]), 10, 64)
	if err != nil || n >= unlimited {
		return 0
	}
	return n
}

func readLines(root fs.FS, name string) []string {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\n")
}

func hasOption(list, option string) bool {
	for o := range strings.SplitSeq(list, ",") {
		if o == option {
			return true
		}
	}
	return false
}

// least returns the lower of two limits of which 0 is none.
func least(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}
