package machine_test

import (
	"runtime"
	"testing"

	"github.com/weirstream/weir/internal/machine"
)

func TestLimitsArePlausible(t *testing.T) {
	memory, files := machine.MemoryLimit(), machine.OpenFileLimit()
	if runtime.GOOS != "linux" {
		if memory != 0 || files != 0 {
			t.Errorf("limits of %d bytes and %d files, want 0: unknown", memory, files)
		}
		return
	}
	var g machine.Gauge
	if r := g.Read(); memory < r.RSS || memory > r.MemTotal {
		t.Errorf("the limit is %d bytes, want at least what is used and at most what there is: %+v", memory, r)
	}
	if p := machine.ReadProcess(); files != p.MaxFiles || files < uint64(p.Files) {
		t.Errorf("the limit is %d files, want that of %+v", files, p)
	}
}
