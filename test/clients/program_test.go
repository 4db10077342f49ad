package clients_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A transcript is what a program has printed so far.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (x *transcript) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.Write(p)
}

func (x *transcript) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// lines returns the lines that have ended, without their ends.
func (x *transcript) lines() []string {
	all := strings.Split(x.String(), "\n")
	return all[:len(all)-1]
}

// A program is a process that a test has started.
type program struct {
	t        *testing.T
	name     string
	cmd      *exec.Cmd
	in       io.WriteCloser // nil if launched with an input
	out, err transcript
	done     chan struct{} // closed when it has ended
}

// A launch says what to start. Its zero fields mean: the test's directory, nothing
// besides the test's environment, a pipe as standard input.
type launch struct {
	dir    string
	env    []string // besides the test's environment
	in     *os.File
	stdout *os.File // instead of program.out
	args   []string
}

// start runs a program until it ends by itself, or the test does.
func start(t *testing.T, args ...string) *program { return launch{args: args}.start(t) }

func (l launch) start(t *testing.T) *program {
	t.Helper()
	p := &program{t: t, name: strings.Join(l.args, " "), cmd: exec.Command(l.args[0], l.args[1:]...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env = l.dir, append(environ(), l.env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	if l.stdout != nil {
		p.cmd.Stdout = l.stdout
	}
	var err error
	if l.in != nil {
		p.cmd.Stdin = l.in
	} else if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // code tells how it went
		close(p.done)
	}()
	t.Cleanup(p.cleanup)
	return p
}

// environ is the test's environment without weir's own settings.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEIR_") {
			env = append(env, e)
		}
	}
	return env
}

func (p *program) cleanup() {
	p.kill()
	if p.t.Failed() {
		p.t.Logf("%s, process %d, printed\n%s\nand to standard error\n%s", p.name, p.cmd.Process.Pid, last(p.out.String()), last(p.err.String()))
	}
}

// last shortens a text to its end.
func last(s string) string {
	const most = 4000
	if len(s) > most {
		return "[…]" + s[len(s)-most:]
	}
	return s
}

func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("signal %v to %s: %v", s, p.name, err)
	}
}

// code waits for the end of the program and returns its exit code.
func (p *program) code() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %v", p.name, patience)
	}
	return p.cmd.ProcessState.ExitCode()
}

// write sends text to the program.
func (p *program) write(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, text); err != nil {
		p.t.Fatalf("write to %s: %v", p.name, err)
	}
}

// awaitLines waits until the program has printed n lines.
func (p *program) awaitLines(n int) []string {
	p.t.Helper()
	p.await(func() error {
		if got := len(p.out.lines()); got < n {
			return fmt.Errorf("printed %d lines, want %d", got, n)
		}
		return nil
	})
	return p.out.lines()
}

// awaitText waits until x holds text.
func (p *program) awaitText(x *transcript, text string) {
	p.t.Helper()
	p.await(func() error {
		if !strings.Contains(x.String(), text) {
			return fmt.Errorf("printed %q, want %q", last(x.String()), text)
		}
		return nil
	})
}

// await is for what the program is yet to print: it also gives up when the
// program has ended.
func (p *program) await(check func() error) {
	p.t.Helper()
	await(p.t, p.name, func() error {
		select {
		case <-p.done:
			if err := check(); err != nil {
				p.t.Fatalf("%s ended with code %d and has %v", p.name, p.cmd.ProcessState.ExitCode(), err)
			}
			return nil
		default:
			return check()
		}
	})
}
