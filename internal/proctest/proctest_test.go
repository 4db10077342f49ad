package proctest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

const patience = 30 * time.Second

// parts are what this program does instead of tests when TEST_PART names one.
var parts = map[string]func(){
	"environ": func() { fmt.Println(strings.Join(os.Environ(), "\n")) },
	"fail": func() {
		fmt.Println("one")
		fmt.Fprintln(os.Stderr, "two")
		os.Exit(3)
	},
	"echo": func() { _, _ = io.Copy(os.Stdout, os.Stdin) },
	"wait": func() { select {} },
	"ports": func() {
		for range 400 {
			fmt.Println(proctest.FreePort())
		}
	},
	"listen": func() {
		ln, err := net.Listen("tcp", os.Args[1])
		fmt.Println(ln, err)
		select {}
	},
}

func TestMain(m *testing.M) {
	if part := parts[os.Getenv("TEST_PART")]; part != nil {
		go func() { time.Sleep(time.Minute); os.Exit(1) }() // no test takes as long
		part()
		return
	}
	os.Exit(leak.Run(m))
}

// play starts this program to play a part.
func play(t *testing.T, part string, args ...string) *proctest.Process {
	t.Helper()
	return proctest.Launch{Args: append([]string{os.Args[0]}, args...), Env: []string{"TEST_PART=" + part}}.Start(t)
}

func exitCode(t *testing.T, p *proctest.Process) int {
	t.Helper()
	code, err := p.ExitCode(patience)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

func TestOutputsAreApart(t *testing.T) {
	p := play(t, "fail")
	if code := exitCode(t, p); code != 3 || p.Out.String() != "one\n" || p.Err.String() != "two\n" || p.Said() != "one\ntwo\n" {
		t.Errorf("exit code %d, standard output %q, standard error %q", code, p.Out, p.Err)
	}
	if err := p.Alive(); err == nil || !strings.Contains(err.Error(), "two") {
		t.Errorf("it has ended: %v", err)
	}
}

func TestSettingsOfWeirAreNotInherited(t *testing.T) {
	t.Setenv("WEIR_LISTEN", "1")
	t.Setenv("OTHER", "2")
	p := play(t, "environ")
	exitCode(t, p)
	if lines := p.Out.Lines(); slices.Contains(lines, "WEIR_LISTEN=1") || !slices.Contains(lines, "OTHER=2") {
		t.Errorf("the environment is %q", lines)
	}
}

func TestInputIsAPipe(t *testing.T) {
	p := play(t, "echo")
	fmt.Fprint(p.In, "hello\nthere")
	p.Await(t, patience, func() error {
		if p.Out.String() != "hello\nthere" {
			return errors.New(p.Out.String())
		}
		return nil
	})
	if lines := p.Out.Lines(); !slices.Equal(lines, []string{"hello"}) {
		t.Errorf("the lines that have ended are %q", lines)
	}
	p.In.Close()
	if code := exitCode(t, p); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestKilledProgramIsGone(t *testing.T) {
	p := play(t, "wait")
	if err := p.Alive(); err != nil {
		t.Fatal(err)
	}
	if code, err := p.ExitCode(10 * time.Millisecond); err == nil {
		t.Errorf("it has ended with code %d", code)
	}
	p.Kill()
	if p.Alive() == nil || p.Stop(patience) == nil || p.Signal(os.Interrupt) == nil {
		t.Error("it was killed, and is alive")
	}
	p.Kill()
}

func TestPortIsFreeUntilSomebodyListens(t *testing.T) {
	addr := proctest.FreeAddr()
	_, text, _ := strings.Cut(addr, ":")
	port, _ := strconv.Atoi(text)
	if next := proctest.FreePort(); next == port {
		t.Errorf("port %d is given again", next)
	}
	play(t, "listen", addr).AwaitListening(t, patience, port)
}

func TestPortsAreGivenOnce(t *testing.T) {
	given := make(map[int]bool)
	ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", proctest.FreePort()+100))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	given[ln.Addr().(*net.TCPAddr).Port] = true // it is taken
	for range 200 {
		port := proctest.FreePort()
		if given[port] {
			t.Fatalf("%d is given again", port)
		}
		given[port] = true
	}
	other := play(t, "ports")
	exitCode(t, other)
	for _, line := range other.Out.Lines() {
		if port, err := strconv.Atoi(line); err != nil || given[port] {
			t.Errorf("another process is given %q, %v", line, err)
		}
	}
	if n := len(other.Out.Lines()); n != 400 {
		t.Errorf("another process is given %d ports", n)
	}
}

func TestTranscriptKeepsTheEnd(t *testing.T) {
	x := proctest.Transcript{Limit: 5}
	for _, text := range []string{"ab", "cd", "ef", "0123456789"} {
		fmt.Fprint(&x, text)
		if s := x.String(); len(s) > 5 || !strings.HasSuffix(s, text[max(0, len(text)-5):]) {
			t.Errorf("after %q it is %q", text, s)
		}
	}
	x.Clear()
	if x.String() != "" {
		t.Errorf("cleared, it is %q", &x)
	}
}

func TestWaitingEndsWithTheProgram(t *testing.T) {
	p := play(t, "fail")
	never := func() error { return errors.New("never") }
	if err := p.Until(patience, never); err == nil || !strings.Contains(err.Error(), "never") || !strings.Contains(err.Error(), "has ended: exit status 3") {
		t.Errorf("waiting for a program that has ended gives %v", err)
	}
	if err := p.Until(patience, func() error { return nil }); err != nil {
		t.Errorf("what it did before it ended gives %v", err)
	}
	p = play(t, "wait")
	if err := p.Until(20*time.Millisecond, never); err == nil || !strings.Contains(err.Error(), "not within 20ms: never") {
		t.Errorf("waiting in vain gives %v", err)
	}
}
