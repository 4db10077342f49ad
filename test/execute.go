package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A tally counts checks and tests.
type tally struct {
	passed, failed, skipped int
	skips                   []string // which tests were skipped and why
}

func (t *tally) add(u tally) {
	t.passed += u.passed
	t.failed += u.failed
	t.skipped += u.skipped
	t.skips = append(t.skips, u.skips...)
}

func (t tally) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", t.passed, t.failed, t.skipped)
}

// result says how a step went: one word for a check, figures for tests.
func (t tally) result() string {
	switch [3]int{t.passed, t.failed, t.skipped} {
	case [3]int{1, 0, 0}:
		return "ok"
	case [3]int{0, 1, 0}:
		return "FAILED"
	}
	return t.String()
}

// execute runs the steps one after another, prints the summary and returns the
// exit code. When ctx ends, the step under way counts as failed and the rest is
// not started.
func execute(ctx context.Context, out io.Writer, steps []step) int {
	var total tally
	var summary strings.Builder
	for _, s := range steps {
		fmt.Fprintf(out, "\n== %s\n", s.name)
		start := time.Now()
		t := s.run(ctx, out)
		took := time.Since(start).Seconds()
		fmt.Fprintf(out, "-- %s: %s in %.1fs\n", s.name, t.result(), took)
		fmt.Fprintf(&summary, "%-22s %7.1fs  %s\n", s.name, took, t.result())
		total.add(t)
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Fprintf(out, "\n== summary\n%s", &summary)
	return finish(out, total, ctx.Err())
}

// finish prints what stands in the way of success and, last, the totals.
func finish(out io.Writer, total tally, interrupted error) int {
	for _, skip := range total.skips {
		fmt.Fprintf(out, "SKIPPED %s\n", skip)
	}
	if total.skipped > 0 {
		fmt.Fprintln(out, "A skipped test counts as missing, so this run fails.")
	}
	if interrupted != nil {
		fmt.Fprintln(out, "Interrupted: the remaining steps did not run, so this run fails.")
	}
	fmt.Fprintln(out, total)
	if total.failed+total.skipped > 0 || interrupted != nil {
		return 1
	}
	return 0
}

// command prepares a command in dir with env added to the environment. When ctx
// ends it is interrupted, and killed if it has not ended ten seconds later.
func command(ctx context.Context, dir string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// gofmt reports the Go files under root that are not formatted.
func gofmt(ctx context.Context, out io.Writer, root string) error {
	goroot, err := command(ctx, root, nil, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	args := []string{filepath.Join(strings.TrimSpace(string(goroot)), "bin", "gofmt"), "-l"}
	err = walk(root, func(path string) error {
		if filepath.Ext(path) == ".go" {
			args = append(args, path)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var unformatted bytes.Buffer
	cmd := command(ctx, root, nil, args...)
	cmd.Stdout, cmd.Stderr = &unformatted, out
	if err := cmd.Run(); err != nil {
		return err
	}
	if unformatted.Len() > 0 {
		out.Write(unformatted.Bytes())
		return errors.New("these files are not formatted; run: make fmt")
	}
	return nil
}

// goTest makes a step that runs the tests of the module in dir under the race
// detector and counts them. Results are never taken from Go's cache: tests here
// talk to programs that the cache knows nothing about.
func goTest(name, dir string, verbose bool) step {
	return step{name: name, needsTools: true, run: func(ctx context.Context, out io.Writer) tally {
		out = &lockedWriter{w: out} // the report and the command's stderr share it
		r := newReport(out, verbose)
		cmd := command(ctx, dir, []string{"CGO_ENABLED=1"}, "go", "test", "-race", "-json", "-count=1", "-timeout=10m", "./...")
		cmd.Stdout, cmd.Stderr = r, out
		err := cmd.Run()
		r.close()
		if err != nil && r.failed == 0 {
			fmt.Fprintf(out, "%s: %v\n", name, err)
			r.failed++
		}
		return r.tally
	}}
}

// A lockedWriter may be written to by several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		panic(fmt.Sprintf("the working directory is gone: %v", err))
	}
	return abs
}
