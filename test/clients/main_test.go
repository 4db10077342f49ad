package clients_test

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

// patience bounds every wait. Nothing takes as long, also on a busy machine.
const patience = 20 * time.Second

// scratch is a directory for what all tests share.
var scratch string

// weirPath is the program under test.
var weirPath string

func TestMain(m *testing.M) {
	flag.Parse()
	proctest.Parallel(8) // they mostly wait for timers
	os.Exit(proctest.Run(func(weir, dir string) int {
		weirPath, scratch = weir, dir
		defer browser.stop()
		return m.Run()
	}))
}

// await waits until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	proctest.Await(t, patience, what, check)
}
