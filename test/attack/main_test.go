package attack_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
)

// patience bounds every wait. Nothing takes as long, also on a busy machine.
const patience = 30 * time.Second

// soon bounds waits for what is only a matter of bytes on loopback.
const soon = 10 * time.Second

// weirPath is the program under test.
var weirPath string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program, runs the tests, and removes what they leave behind.
func run(m *testing.M) int {
	// The tests mostly wait for timers, so more of them run at once than there
	// are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	scratch, err := os.MkdirTemp("", "weir-attack")
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	weirPath = filepath.Join(scratch, "weir.exe") // the ending matters on Windows only
	build := exec.Command("go", "build", "-o", weirPath, "github.com/weirstream/weir/cmd/weir")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "attack: build weir: %v\n%s", err, out)
		return 1
	}
	return leak.Run(m)
}

// await waits until check returns nil, and otherwise fails the test with its last
// error.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}
