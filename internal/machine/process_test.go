package machine_test

import (
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/machine"
)

func TestProcessIsThisOne(t *testing.T) {
	if runtime.GOOS != "linux" {
		if got := machine.ReadProcess(); got != (machine.Process{}) {
			t.Errorf("%+v, want nothing", got)
		}
		return
	}
	before := machine.ReadProcess()
	if age := time.Since(before.Started); age < -2*time.Second || age > time.Hour {
		t.Errorf("it was started %v ago", age)
	}
	if before.RSS < 1<<20 || before.RSS >= before.Virtual || before.Files < 3 || uint64(before.Files) > before.MaxFiles {
		t.Errorf("impossible: %+v", before)
	}
	for range 10 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	for i := 0; i < 300_000_000; i++ { // so that time is used
		_ = i
	}
	after := machine.ReadProcess()
	if after.Files != before.Files+10 || after.Started != before.Started {
		t.Errorf("after 10 files were opened: %+v, before: %+v", after, before)
	}
	if used := after.CPU - before.CPU; used < time.Millisecond || used > time.Minute {
		t.Errorf("a loop took %v", used)
	}
}
