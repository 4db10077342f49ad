package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience bounds every wait. Nothing takes as long, also on a busy machine.
const patience = time.Minute

// weirPath is the program under test.
var weirPath string

// budget is about how long the tests may take in the long form; 0: the short form.
var budget time.Duration

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program, runs the tests, and removes what they leave behind.
func run(m *testing.M) int {
	var err error
	if text := os.Getenv("WEIR_CHAOS"); text != "" {
		if budget, err = time.ParseDuration(text); err != nil || budget <= 0 {
			fmt.Fprintf(os.Stderr, "chaos: WEIR_CHAOS is %q: want a duration such as 10m\n", text)
			return 2
		}
	}
	scratch, err := os.MkdirTemp("", "weir-chaos")
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	weirPath = filepath.Join(scratch, "weir.exe") // the ending matters on Windows only
	build := exec.Command("go", "build", "-o", weirPath, "github.com/weirstream/weir/cmd/weir")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "chaos: build weir: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// size is a number for the short form and one for the long.
func size(short, long int) int {
	if budget > 0 {
		return long
	}
	return short
}

// lasting is a time for the short form, and a share of the budget for the long.
func lasting(short time.Duration, share float64) time.Duration {
	if budget > 0 {
		return time.Duration(share * float64(budget))
	}
	return short
}

// pause lets things happen for d. Nothing is awaited by it.
func pause(d time.Duration) { <-time.After(d) }

// await waits until check returns nil, and otherwise fails the test with its last
// error.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
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

// writeFile writes a file that ends with the test, and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
