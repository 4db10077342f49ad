package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestModulesAreFoundRootFirst(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"go.mod":                        "module " + module + "\n",
		"tools/go.mod":                  "module t\n",
		"bench/go.mod":                  "module b\n",
		"examples/clock/go.mod":         "module c\n",
		"test/node/node_modules/go.mod": "module n\n",
		"a/testdata/go.mod":             "module d\n",
		".hidden/go.mod":                "module h\n",
	})
	got, err := findModules(dir)
	want := []string{".", "bench", filepath.Join("examples", "clock")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("findModules = %q, %v; want %q", got, err, want)
	}
}

func TestOtherDirectoriesAreRefused(t *testing.T) {
	for _, files := range []map[string]string{
		{},
		{"go.mod": "module example.com/other\n"},
	} {
		var out bytes.Buffer
		t.Chdir(writeFiles(t, files))
		if code := run(context.Background(), nil, &out); code != 2 || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("run in a directory with %v = %d, printed %q; want 2 and one line", files, code, &out)
		}
	}
}

func TestStepNamesAreUnique(t *testing.T) {
	names := stepNames(allSteps(".", []string{".", "examples"}, false))
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("some of these names occur twice: %q", names)
	}
}

func TestOnlyChoosesByNameOrFirstWord(t *testing.T) {
	steps := allSteps(".", []string{".", "examples"}, false)
	for only, want := range map[string][]string{
		"gofmt":            {"gofmt"},
		"test":             {"test", "test examples"},
		"test examples":    {"test examples"},
		"build linux/386":  {"build linux/386"},
		"test,staticcheck": {"staticcheck", "staticcheck examples", "test", "test examples"},
	} {
		got, err := choose(steps, strings.Split(only, ","))
		if err != nil || !slices.Equal(stepNames(got), want) {
			t.Errorf("choose(%q) = %q, %v; want %q", only, stepNames(got), err, want)
		}
	}
	if _, err := choose(steps, []string{"gofmt", "tset"}); err == nil || !strings.Contains(err.Error(), `"tset"`) {
		t.Errorf("choose of an unknown step: error %v, want one that names it", err)
	}
}

func TestGofmtNamesTheFile(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"good.go":         "package p\n",
		"a/bad.go":        "package  p\n",
		"testdata/bad.go": "package  p\n",
	})
	var out bytes.Buffer
	if err := gofmt(context.Background(), &out, dir); err == nil || out.String() != filepath.Join("a", "bad.go")+"\n" {
		t.Errorf("gofmt = %v, printed %q; want an error and one file", err, &out)
	}
	os.Remove(filepath.Join(dir, "a", "bad.go"))
	if err := gofmt(context.Background(), io.Discard, dir); err != nil {
		t.Errorf("gofmt of formatted files: %v", err)
	}
}

func TestExitCodeAndLastLine(t *testing.T) {
	pass := step{name: "pass", run: func(context.Context, io.Writer) tally { return tally{passed: 7} }}
	skip := step{name: "skip", run: func(context.Context, io.Writer) tally { return tally{skipped: 1, skips: []string{"p A: why"}} }}
	fail := check("fail", func(context.Context, io.Writer) error { return errors.New("reason") })
	for _, tt := range []struct {
		steps []step
		code  int
		last  string
	}{
		{[]step{pass}, 0, "7 passed, 0 failed, 0 skipped"},
		{[]step{fail, pass}, 1, "7 passed, 1 failed, 0 skipped"},
		{[]step{pass, skip}, 1, "7 passed, 0 failed, 1 skipped"},
	} {
		var out bytes.Buffer
		code := execute(context.Background(), &out, tt.steps)
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); code != tt.code || lines[len(lines)-1] != tt.last {
			t.Errorf("execute(%q) = %d, want %d and last line %q; printed:\n%s", stepNames(tt.steps), code, tt.code, tt.last, &out)
		}
	}
}

func TestInterruptEndsTheRunAsFailure(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	interrupted := step{name: "first", run: func(context.Context, io.Writer) tally { cancel(); return tally{passed: 1} }}
	never := step{name: "second", run: func(context.Context, io.Writer) tally { t.Error("a step ran after the interrupt"); return tally{} }}
	if code := execute(ctx, io.Discard, []step{interrupted, never}); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
}
