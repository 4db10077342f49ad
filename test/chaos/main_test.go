package chaos_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
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

// run finds out which form it is, builds the program and runs the tests.
func run(m *testing.M) int {
	if text := os.Getenv("WEIR_CHAOS"); text != "" {
		var err error
		if budget, err = time.ParseDuration(text); err != nil || budget <= 0 {
			fmt.Fprintf(os.Stderr, "chaos: WEIR_CHAOS is %q: want a duration such as 10m\n", text)
			return 2
		}
	}
	return proctest.Run(func(weir, _ string) int {
		weirPath = weir
		return m.Run()
	})
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

// await waits until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	proctest.Await(t, patience, what, check)
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
