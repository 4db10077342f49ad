package proxies_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
)

const (
	// patience bounds every wait. Nothing takes as long, also on a busy machine.
	patience = 20 * time.Second

	// soon is how late an event may be that nothing holds back. What a proxy collects
	// comes with the next heartbeat, after 20 seconds, or never.
	soon = time.Second
)

// weirPath is the program under test.
var weirPath string

func TestMain(m *testing.M) {
	flag.Parse()
	proctest.Parallel(6) // they mostly wait for timers
	os.Exit(proctest.Run(func(weir, _ string) int {
		weirPath = weir
		return m.Run()
	}))
}

// await waits until check returns nil.
func await(t *testing.T, what string, check func() error) {
	t.Helper()
	proctest.Await(t, patience, what, check)
}

// file reads a file of the repository.
func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
