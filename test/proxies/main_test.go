package proxies_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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
	os.Exit(run(m))
}

// run builds the program, runs the tests, and removes what they leave behind.
func run(m *testing.M) int {
	// The tests mostly wait for timers, so more of them run at once than there
	// are processors.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	scratch, err := os.MkdirTemp("", "weir-proxies")
	if err != nil {
		fmt.Fprintln(os.Stderr, "proxies:", err)
		return 1
	}
	defer os.RemoveAll(scratch)
	weirPath = filepath.Join(scratch, "weir.exe") // the ending matters on Windows only
	build := exec.Command("go", "build", "-o", weirPath, "github.com/weirstream/weir/cmd/weir")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "proxies: build weir: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// need returns the path of a program, and fails the test if it is missing.
func need(t *testing.T, name string) string {
	t.Helper()
	// Servers are where only root looks.
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed; \"go run ./test\" in the repository's root installs it", name)
	return ""
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

// file reads a file of the repository.
func file(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
