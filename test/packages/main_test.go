package packages_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// root is the directory of the repository.
const root = "../.."

// weirPath is the program that goes into the packages; debPath and rpmPath are those.
var weirPath, debPath, rpmPath string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// run builds the program and the packages, runs the tests, and removes everything.
func run(m *testing.M) int {
	scratch, err := os.MkdirTemp("", "weir-packages")
	if err == nil {
		defer os.RemoveAll(scratch)
		err = build(scratch)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		return 1
	}
	return m.Run()
}

// build builds 1.2.3 for amd64, whatever this machine is: nothing looks into the program.
func build(scratch string) error {
	weirPath = filepath.Join(scratch, "weir")
	debPath, rpmPath = filepath.Join(scratch, "weir_1.2.3_amd64.deb"), filepath.Join(scratch, "weir-1.2.3-1.x86_64.rpm")
	if err := proctest.Build(weirPath, "./cmd/weir"); err != nil {
		return err
	}
	packages := exec.Command("sh", "deploy/package/build.sh")
	packages.Dir = root
	packages.Env = append(os.Environ(), "PROGRAM="+weirPath, "OUT="+scratch, "VERSION=1.2.3", "ARCH=amd64")
	if out, err := packages.CombinedOutput(); err != nil {
		return fmt.Errorf("build the packages: %v\n%s", err, out)
	}
	return nil
}

// tool runs a program and returns what it prints, on both outputs.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryTool(args...)
	if err != nil {
		t.Fatalf("%q: %v\n%s\n(\"go run ./test\" in the repository's root installs what is missing)", args, err, out)
	}
	return out
}

func tryTool(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
