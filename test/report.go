package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// An event is one line of "go test -json". Source: go doc test2json.
type event struct {
	Action  string
	Package string
	Test    string // empty if the event is about the package
	Output  string
	Elapsed float64 // seconds
}

// A testID names one test or subtest of one package, or, with no name, the package.
type testID struct{ pkg, name string }

// A report reads the output of "go test -json" as an io.Writer, counts the tests,
// and prints what a reader wants to see: one line for each package, the output of
// what failed, and every skipped test. A test and each of its subtests count one.
type report struct {
	tally
	out     io.Writer
	verbose bool

	partial []byte              // the beginning of a line
	held    map[testID][]string // output of what has no result yet
	running map[string][]string // by package: tests without result, in order of start
	tests   map[string]tally    // by package
}

func newReport(out io.Writer, verbose bool) *report {
	return &report{
		out:     out,
		verbose: verbose,
		held:    make(map[testID][]string),
		running: make(map[string][]string),
		tests:   make(map[string]tally),
	}
}

// Write takes the next bytes of the output, in pieces of any size.
func (r *report) Write(p []byte) (int, error) {
	r.partial = append(r.partial, p...)
	for {
		line, rest, found := bytes.Cut(r.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		r.line(line)
		r.partial = rest
	}
}

// close takes the end of the output. A package without result has not ended well.
func (r *report) close() {
	if len(r.partial) > 0 {
		r.line(r.partial)
		r.partial = nil
	}
	for pkg := range r.tests {
		r.packageFailed(pkg, 0)
	}
}

func (r *report) line(line []byte) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		fmt.Fprintf(r.out, "%s\n", line) // not from a test, for example from the go command
		return
	}
	r.event(e)
}

func (r *report) event(e event) {
	id := testID{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output(id, e.Output)
	case "start":
		r.tests[e.Package] = tally{}
	case "run":
		r.running[e.Package] = append(r.running[e.Package], e.Test)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.packageEnded(e)
		} else {
			r.testEnded(id, e.Action)
		}
	}
}

// output holds a line back until the result tells whether anybody wants it.
func (r *report) output(id testID, text string) {
	if r.verbose {
		fmt.Fprint(r.out, text)
		return
	}
	if !strings.HasPrefix(text, "=== ") {
		r.held[id] = append(r.held[id], text)
	}
}

func (r *report) testEnded(id testID, action string) {
	r.stopped(id)
	held := r.take(id)
	switch action {
	case "pass":
		r.count(id.pkg, tally{passed: 1})
	case "fail":
		fmt.Fprintf(r.out, "FAIL %s %s\n%s", id.pkg, id.name, held)
		r.count(id.pkg, tally{failed: 1})
	case "skip":
		skip := fmt.Sprintf("%s %s: %s", id.pkg, id.name, skipReason(held))
		fmt.Fprintf(r.out, "SKIPPED %s\n", skip)
		r.count(id.pkg, tally{skipped: 1, skips: []string{skip}})
	}
}

func (r *report) packageEnded(e event) {
	if e.Action == "fail" {
		r.packageFailed(e.Package, e.Elapsed)
		return
	}
	t := r.tests[e.Package]
	r.forget(e.Package)
	if e.Action == "pass" { // "skip" says that the package has no tests
		fmt.Fprintf(r.out, "ok   %s  %d passed in %.1fs\n", e.Package, t.passed, e.Elapsed)
	}
}

// packageFailed ends a package that did not pass. Tests that were under way did
// not pass either; if no test is to blame, the package counts as one failure:
// it did not build, crashed, or its TestMain found something.
func (r *report) packageFailed(pkg string, elapsed float64) {
	for len(r.running[pkg]) > 0 {
		r.testEnded(testID{pkg, r.running[pkg][0]}, "fail")
	}
	if r.tests[pkg].failed == 0 {
		r.count(pkg, tally{failed: 1})
	}
	fmt.Fprintf(r.out, "FAIL %s  %s in %.1fs\n%s", pkg, r.tests[pkg], elapsed, r.take(testID{pkg: pkg}))
	r.forget(pkg)
}

func (r *report) count(pkg string, t tally) {
	r.add(t)
	sum := r.tests[pkg]
	sum.add(t)
	r.tests[pkg] = sum
}

func (r *report) stopped(id testID) {
	running := r.running[id.pkg]
	for i, name := range running {
		if name == id.name {
			r.running[id.pkg] = append(running[:i:i], running[i+1:]...)
			return
		}
	}
}

// take returns and forgets the output held for id.
func (r *report) take(id testID) string {
	held := strings.Join(r.held[id], "")
	delete(r.held, id)
	return held
}

func (r *report) forget(pkg string) {
	delete(r.tests, pkg)
	delete(r.running, pkg)
	delete(r.held, testID{pkg: pkg})
}

// skipReason finds in a skipped test's output what it said when it gave up.
func skipReason(output string) string {
	var reason []string
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(strings.TrimSpace(line), "--- SKIP") {
			reason = append(reason, strings.TrimSpace(line))
		}
	}
	if len(reason) == 0 {
		return "no reason given"
	}
	return strings.Join(reason, " ")
}
