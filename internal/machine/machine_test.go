package machine_test

import (
	"runtime"
	"testing"

	"github.com/weirstream/weir/internal/machine"
)

func TestReadingIsPlausible(t *testing.T) {
	var g machine.Gauge
	g.Read()
	for i := 0; i < 300_000_000; i++ { // so that the second reading has something to see
		_ = i
	}
	r := g.Read()
	if r.RSS < 1<<20 {
		t.Errorf("RSS is %d bytes, want at least 1 MiB", r.RSS)
	}
	if runtime.GOOS != "linux" {
		return
	}
	if r.CPU <= 0 || r.CPU > 100 {
		t.Errorf("CPU is %v %%, want more than 0, at most 100", r.CPU)
	}
	if r.MemUsed == 0 || r.MemUsed >= r.MemTotal || r.RSS > r.MemUsed {
		t.Errorf("memory: %+v, want RSS <= used < total", r)
	}
}
