package machine

import (
	"testing"
	"testing/fstest"
)

const (
	version1 = "36 25 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n" +
		"37 25 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
	version2 = "30 25 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
)

func TestGroupLimitIsTheLeastOnTheWayUp(t *testing.T) {
	for _, c := range []struct {
		name           string
		groups, mounts string
		files          map[string]string
		want           uint64
	}{
		{"nothing known", "", "", nil, 0},
		{"no limit in version 2", "0::/\n", version2, map[string]string{"sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"a container in version 2", "0::/\n", version2, map[string]string{"sys/fs/cgroup/memory.max": "536870912\n"}, 536870912},
		{"a service", "0::/system.slice/weir.service\n", version2, map[string]string{
			"sys/fs/cgroup/system.slice/weir.service/memory.max": "1000\n",
			"sys/fs/cgroup/system.slice/memory.max":              "max\n",
		}, 1000},
		{"a slice with less than its service", "0::/system.slice/weir.service\n", version2, map[string]string{
			"sys/fs/cgroup/system.slice/weir.service/memory.max": "1000\n",
			"sys/fs/cgroup/system.slice/memory.max":              "900\n",
		}, 900},
		{"a service without a limit in a slice with one", "0::/a/b/c\n", version2, map[string]string{
			"sys/fs/cgroup/a/b/c/memory.max": "max\n",
			"sys/fs/cgroup/a/memory.max":     "900\n",
		}, 900},
		{"a neighbour's limit", "0::/a\n", version2, map[string]string{"sys/fs/cgroup/b/memory.max": "900\n"}, 0},
		{"a group above what is visible", "0::/../../a\n", version2, map[string]string{"sys/fs/cgroup/memory.max": "900\n"}, 900},
		{"version 1", "5:cpu,cpuacct:/z\n4:memory:/x/y\n", version1, map[string]string{
			"sys/fs/cgroup/memory/x/y/memory.limit_in_bytes": "800\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes":   "9223372036854771712\n",
			"sys/fs/cgroup/memory/z/memory.limit_in_bytes":   "7\n",
			"sys/fs/cgroup/cpu/x/y/memory.limit_in_bytes":    "7\n",
			"sys/fs/cgroup/memory/x/y/memory.max":            "6\n",
		}, 800},
		{"no limit in version 1", "4:memory:/\n", version1, map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"a container that sees its own group only", "4:memory:/docker/1f\n",
			"36 25 0:32 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			map[string]string{"sys/fs/cgroup/memory/memory.limit_in_bytes": "700\n"}, 700},
		{"a group below the one that is mounted", "4:memory:/docker/1f/weir\n",
			"36 25 0:32 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			map[string]string{"sys/fs/cgroup/memory/weir/memory.limit_in_bytes": "700\n"}, 700},
		{"both versions, memory in the first", "4:memory:/x\n0::/x\n", version1 + "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			map[string]string{"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "700\n"}, 700},
		{"no number", "0::/\n", version2, map[string]string{"sys/fs/cgroup/memory.max": "\n"}, 0},
		{"damaged lines", "0:\n:::\n0::/\n", "36\n - \n36 25 0:32 / - cgroup2\n" + version2, map[string]string{"sys/fs/cgroup/memory.max": "5\n"}, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := fstest.MapFS{
				"proc/self/cgroup":    {Data: []byte(c.groups)},
				"proc/self/mountinfo": {Data: []byte(c.mounts)},
			}
			for name, text := range c.files {
				root[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := groupLimit(root); got != c.want {
				t.Errorf("the limit is %d, want %d", got, c.want)
			}
		})
	}
}

func TestLeastPassesOverUnknown(t *testing.T) {
	for _, c := range [][3]uint64{{0, 0, 0}, {0, 5, 5}, {5, 0, 5}, {4, 5, 4}, {5, 4, 4}} {
		if got := least(c[0], c[1]); got != c[2] {
			t.Errorf("least(%d, %d) is %d, want %d", c[0], c[1], got, c[2])
		}
	}
}
