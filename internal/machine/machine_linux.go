package machine

import (
	"bufio"
	"os"
	"strconv"
	"strings"
)

// Source: proc(5), the files stat, meminfo and self/statm.

func (g *Gauge) read() (r Reading) {
	r.CPU = g.cpu(firstLine("/proc/stat"))
	mem := meminfo()
	r.MemTotal = mem["MemTotal"]
	r.MemUsed = r.MemTotal - mem["MemAvailable"]
	if f := strings.Fields(firstLine("/proc/self/statm")); len(f) > 1 {
		pages, _ := strconv.ParseUint(f[1], 10, 64)
		r.RSS = pages * uint64(os.Getpagesize())
	}
	return r
}

// cpu reads the first line of /proc/stat: user nice system idle iowait irq ….
func (g *Gauge) cpu(line string) float64 {
	var total, idle uint64
	for i, field := range strings.Fields(line) {
		if i == 0 || i > 8 { // the name; guest time is in user time already
			continue
		}
		n, _ := strconv.ParseUint(field, 10, 64)
		total += n
		if i == 4 || i == 5 {
			idle += n
		}
	}
	busy := total - idle
	share := 0.0
	if total > g.total {
		share = 100 * float64(busy-g.busy) / float64(total-g.total)
	}
	g.busy, g.total = busy, total
	return min(max(share, 0), 100)
}

func meminfo() map[string]uint64 {
	mem := make(map[string]uint64)
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return mem
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		name, rest, _ := strings.Cut(scan.Text(), ":")
		if fields := strings.Fields(rest); len(fields) > 0 {
			n, _ := strconv.ParseUint(fields[0], 10, 64)
			mem[name] = n << 10
		}
	}
	return mem
}

func firstLine(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	scan.Scan()
	return scan.Text()
}
