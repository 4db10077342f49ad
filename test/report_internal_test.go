package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// feed gives the lines to a new report, in pieces of size bytes.
func feed(lines string, size int) (*report, string) {
	var out bytes.Buffer
	r := newReport(&out, false)
	for p := []byte(lines); len(p) > 0; {
		n := min(size, len(p))
		r.Write(p[:n])
		p = p[n:]
	}
	r.close()
	return r, out.String()
}

func TestReportCounts(t *testing.T) {
	const start = `{"Action":"start","Package":"p"}` + "\n"
	run := func(test string) string { return `{"Action":"run","Package":"p","Test":"` + test + `"}` + "\n" }
	end := func(action, test string) string {
		return `{"Action":"` + action + `","Package":"p","Test":"` + test + `"}` + "\n"
	}
	const pass = `{"Action":"pass","Package":"p","Elapsed":1.5}` + "\n"
	const fail = `{"Action":"fail","Package":"p","Elapsed":1.5}` + "\n"
	const noTests = `{"Action":"skip","Package":"p"}` + "\n"
	for _, tt := range []struct {
		name, lines, want string
	}{
		{"a test and its subtest count one each", start + run("A") + run("A/x") + end("pass", "A/x") + end("pass", "A") + pass,
			"2 passed, 0 failed, 0 skipped"},
		{"a package without tests counts nothing", start + noTests, "0 passed, 0 failed, 0 skipped"},
		{"a failed test is not counted again for its package", start + run("A") + end("fail", "A") + fail,
			"0 passed, 1 failed, 0 skipped"},
		{"a package that fails without a failed test counts as one", start + run("A") + end("pass", "A") + fail,
			"1 passed, 1 failed, 0 skipped"},
		{"a package that does not build counts as one", start + fail, "0 passed, 1 failed, 0 skipped"},
		{"tests without a result have failed", start + run("A") + run("B") + run("C") + end("pass", "A") + fail,
			"1 passed, 2 failed, 0 skipped"},
		{"a package without a result has failed", start + run("A") + end("pass", "A"), "1 passed, 1 failed, 0 skipped"},
		{"a skipped test counts as skipped", start + run("A") + end("skip", "A") + pass, "0 passed, 0 failed, 1 skipped"},
		{"output of the go command is not counted", "go: downloading example.com/m v1.0.0\n" + start + noTests,
			"0 passed, 0 failed, 0 skipped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1, 7, len(tt.lines)} {
				if r, out := feed(tt.lines, size); r.tally.String() != tt.want {
					t.Errorf("in pieces of %d bytes: got %s, want %s; printed:\n%s", size, r.tally, tt.want, out)
				}
			}
		})
	}
}

func TestReportReadsALastLineWithoutLineEnd(t *testing.T) {
	r, _ := feed(`{"Action":"start","Package":"p"}`+"\n"+`{"Action":"fail","Package":"p"}`, 10)
	if got, want := r.tally.String(), "0 passed, 1 failed, 0 skipped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestReportAgreesWithGo runs the real go command on a module in which everything
// happens that can happen to a test.
func TestReportAgreesWithGo(t *testing.T) {
	dir := writeFiles(t, map[string]string{
		"go.mod": "module example.com/sample\n\ngo 1.26\n",
		"good/good_test.go": `package good
			import "testing"
			func TestGood(t *testing.T) { t.Run("sub", func(*testing.T) {}); t.Log("not worth reading") }`,
		"bad/bad_test.go": `package bad
			import "testing"
			func TestBad(t *testing.T) { t.Log("worth reading"); t.Fail() }
			func TestSkips(t *testing.T) { t.Skip("no such", "program") }
			func TestMute(t *testing.T) { t.SkipNow() }`,
		"crash/crash_test.go": `package crash
			import "testing"
			func TestCrash(t *testing.T) { panic("on purpose") }`,
		"exit/exit_test.go": `package exit
			import ("os"; "testing")
			func TestFine(t *testing.T) {}
			func TestMain(m *testing.M) { m.Run(); println("left over: 1 goroutine"); os.Exit(3) }`,
		"broken/broken_test.go": `package broken
			import "testing"
			func TestBroken(t *testing.T) { undefined() }`,
		"empty/empty.go": `package empty`,
	})
	var out bytes.Buffer
	got := goTest("test", dir, false).run(context.Background(), &out)
	// Passed: TestGood, its subtest, TestFine. Failed: TestBad, TestCrash, and the packages exit and broken.
	if want := "3 passed, 4 failed, 2 skipped"; got.String() != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, want := range []string{
		"ok   example.com/sample/good  2 passed",
		"FAIL example.com/sample/bad TestBad\n",
		"worth reading",
		"SKIPPED example.com/sample/bad TestSkips: bad_test.go:4: no such program\n",
		"SKIPPED example.com/sample/bad TestMute: no reason given\n",
		"panic: on purpose",
		"left over: 1 goroutine",
		"undefined: undefined",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if strings.Contains(out.String(), "not worth reading") {
		t.Error("the report shows the output of a test that passed")
	}
	if t.Failed() {
		t.Logf("printed:\n%s", &out)
	}
}

func TestGoTestThatCannotStartFails(t *testing.T) {
	dir := writeFiles(t, map[string]string{"go.mod": "nonsense\n"})
	var out bytes.Buffer
	if got := goTest("test", dir, false).run(context.Background(), &out); got.failed != 1 {
		t.Errorf("got %s, want 1 failed; printed:\n%s", got, &out)
	}
}

// writeFiles makes a directory with these files, named by slash-separated path.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
