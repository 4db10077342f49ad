package attack_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

// patience bounds every wait. Nothing takes as long, also on a busy machine.
const patience = 30 * time.Second

// soon bounds waits for what is only a matter of bytes on loopback.
const soon = 10 * time.Second

// weirPath is the program under test.
var weirPath string

func TestMain(m *testing.M) {
	flag.Parse()
	proctest.Parallel(8) // they mostly wait for timers
	os.Exit(proctest.Run(func(weir, _ string) int {
		weirPath = weir
		return leak.Run(m)
	}))
}

// await waits until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	proctest.Await(t, patience, what, check)
}
