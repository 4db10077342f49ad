package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path that go.mod at the repository root must declare.
const module = "github.com/weirstream/weir"

// toolsModfile pins the tools, apart from go.mod so that they are nobody's
// dependency.
const toolsModfile = "tools/go.mod"

// targets are the systems weir must build for besides the one it is tested on.
// Each stands for a different set of files behind build tags.
var targets = []struct{ os, arch string }{
	{"darwin", "arm64"},
	{"windows", "amd64"},
	{"freebsd", "arm64"},
	{"linux", "386"}, // 32 bits: alignment of atomics, size of int
}

// A step is one thing to run. It reports what it counted: a check counts one, a
// test run counts its tests.
type step struct {
	name       string
	needsTools bool // wants what install brings
	run        func(ctx context.Context, out io.Writer) tally
}

// allSteps lists every step in the order in which they run: what is quickest to
// tell a mistake comes first.
func allSteps(root string, modules []string, verbose bool) []step {
	steps := []step{check("gofmt", func(ctx context.Context, out io.Writer) error {
		return gofmt(ctx, out, root)
	})}
	for _, m := range modules {
		steps = append(steps, tool(stepName("vet", m), filepath.Join(root, m), nil, "go", "vet", "./..."))
	}
	modfile := "-modfile=" + absolute(filepath.Join(root, toolsModfile))
	for _, m := range modules {
		steps = append(steps, tool(stepName("staticcheck", m), filepath.Join(root, m), nil,
			"go", "tool", modfile, "staticcheck", "./..."))
	}
	for _, t := range targets {
		// vet type-checks the tests too, build links the programs.
		env := []string{"GOOS=" + t.os, "GOARCH=" + t.arch, "CGO_ENABLED=0"}
		name := t.os + "/" + t.arch
		steps = append(steps,
			tool("build "+name, root, env, "go", "build", "./..."),
			tool("vet "+name, root, env, "go", "vet", "./..."))
	}
	for _, m := range modules {
		steps = append(steps, goTest(stepName("test", m), filepath.Join(root, m), verbose))
	}
	return steps
}

// check makes a step that counts one.
func check(name string, fn func(ctx context.Context, out io.Writer) error) step {
	return step{name: name, run: func(ctx context.Context, out io.Writer) tally {
		if err := fn(ctx, out); err != nil {
			fmt.Fprintf(out, "%s: %v\n", name, err)
			return tally{failed: 1}
		}
		return tally{passed: 1}
	}}
}

// tool makes a check of a command that fails when it has something to say.
func tool(name, dir string, env []string, args ...string) step {
	return check(name, func(ctx context.Context, out io.Writer) error {
		cmd := command(ctx, dir, env, args...)
		cmd.Stdout, cmd.Stderr = out, out
		return cmd.Run()
	})
}

// stepName names a step after its module: "vet" in the root, "vet examples" below.
func stepName(verb, module string) string {
	if module == "." {
		return verb
	}
	return verb + " " + filepath.ToSlash(module)
}

// choose keeps the steps whose name, or whose first word, is in names.
func choose(steps []step, names []string) ([]step, error) {
	var chosen []step
	for _, s := range steps {
		verb, _, _ := strings.Cut(s.name, " ")
		if slices.Contains(names, s.name) || slices.Contains(names, verb) {
			chosen = append(chosen, s)
		}
	}
	for _, n := range names {
		known := func(s step) bool { return s.name == n || strings.HasPrefix(s.name, n+" ") }
		if !slices.ContainsFunc(steps, known) {
			return nil, fmt.Errorf("no step is named %q; there are: %s", n, strings.Join(stepNames(steps), ", "))
		}
	}
	return chosen, nil
}

func stepNames(steps []step) []string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return names
}

// findModules lists the directories under root that hold a module of Go code, the
// root first. The module of the tools holds none.
func findModules(root string) ([]string, error) {
	if b, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || !strings.HasPrefix(string(b), "module "+module+"\n") {
		return nil, fmt.Errorf("no go.mod of %s here; run it from the repository root: go run ./test", module)
	}
	modules := []string{"."}
	err := walk(root, func(path string) error {
		dir := filepath.Dir(path)
		if filepath.Base(path) == "go.mod" && dir != "." && dir != filepath.Dir(toolsModfile) {
			modules = append(modules, dir)
		}
		return nil
	})
	return modules, err
}

// walk calls fn with the path, relative to root, of every file of the repository.
// It leaves out what git and npm keep, test data, and other hidden directories.
func walk(root string, fn func(path string) error) error {
	return fs.WalkDir(os.DirFS(root), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		return fn(filepath.FromSlash(path))
	})
}
