package proctest

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Run builds weir, calls tests with the path of the program and its directory, which is
// removed in the end with all that tests have put there, and returns what tests returns:
// the code to exit with.
//
//	func TestMain(m *testing.M) {
//		flag.Parse()
//		os.Exit(proctest.Run(func(weir, dir string) int { weirPath = weir; return m.Run() }))
//	}
func Run(tests func(weir, dir string) int) int {
	dir, err := os.MkdirTemp("", "weir-test")
	if err == nil {
		defer os.RemoveAll(dir)
		weir := filepath.Join(dir, "weir.exe") // the ending matters on Windows only
		if err = Build(weir, "./cmd/weir"); err == nil {
			return tests(weir, dir)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// Build builds a program into a file, whose path is absolute, without a C compiler, as all
// that is released. The arguments are flags of "go build" and a package, with paths from
// the repository's root.
func Build(file string, args ...string) error {
	root, err := Root()
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{"build", "-o", file}, args...)...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return nil
}

// Root returns the root of the repository.
func Root() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(mod))), nil
}

// Parallel has n tests run at once, which is more than there are processors: for tests
// that mostly wait. It is called between flag.Parse and m.Run.
func Parallel(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err) // it is called before flag.Parse, or not by a test
	}
}

// Need returns the path of a program, and fails the test if it is missing.
func Need(t testing.TB, name string) string {
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
