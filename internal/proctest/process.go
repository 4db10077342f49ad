// Package proctest starts programs for tests.
//
// [Run] builds weir for the tests of a package, a [Launch] starts a program, and a
// [Process] says what it has printed and how it ended. A [Service] can be started again.
// [FreePort] finds ports that no other test gets. Everything but a service may be used by
// several goroutines at once.
package proctest

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Launch says what to start. Only Args is needed.
type Launch struct {
	Args []string // the program, by its path or its name, and its arguments
	Dir  string   // "": the test's
	Env  []string // besides the test's environment without weir's settings

	In     *os.File    // nil: a pipe, which is Process.In
	Stdout *os.File    // gets standard output in place of Out
	Out    *Transcript // gets standard output; nil: a new one
	Err    *Transcript // gets standard error; nil: a new one

	Children bool // Kill ends them as well; on Linux only
}

// A Process is a program that runs, or has run.
type Process struct {
	Name string         // the command line
	In   io.WriteCloser // nil if the launch has an input
	Out  *Transcript    // standard output
	Err  *Transcript    // standard error

	cmd      *exec.Cmd
	children bool
	done     chan struct{} // closed when it has ended
}

// Start starts the program, which is killed when the test ends. If the test has failed
// then, it logs what the program has printed.
func (l Launch) Start(t testing.TB) *Process {
	t.Helper()
	p, err := l.Spawn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.cleanup(t) })
	return p
}

func (p *Process) cleanup(t testing.TB) {
	if p.Kill(); t.Failed() {
		t.Logf("%s, process %d, printed\n%s\nand to standard error\n%s", p.Name, p.Pid(), Tail(p.Out.String()), Tail(p.Err.String()))
	}
}

// Spawn starts the program. Whoever calls it kills it.
func (l Launch) Spawn() (*Process, error) {
	p := &Process{
		Name: strings.Join(l.Args, " "), Out: cmp.Or(l.Out, new(Transcript)), Err: cmp.Or(l.Err, new(Transcript)),
		cmd: exec.Command(l.Args[0], l.Args[1:]...), children: l.Children, done: make(chan struct{}),
	}
	p.cmd.Dir, p.cmd.Env = l.Dir, append(environ(), l.Env...)
	p.cmd.WaitDelay = time.Second // a grandchild may hold the pipes
	if err := p.connect(l); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // its state tells how it went
		close(p.done)
	}()
	return p, nil
}

// connect says where the program reads and writes.
func (p *Process) connect(l Launch) (err error) {
	p.cmd.Stdout, p.cmd.Stderr = p.Out, p.Err
	if l.Stdout != nil {
		p.cmd.Stdout = l.Stdout
	}
	if l.In != nil {
		p.cmd.Stdin = l.In
		return nil
	}
	p.In, err = p.cmd.StdinPipe()
	return err
}

// environ is the test's environment without weir's settings.
func environ() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEIR_") {
			env = append(env, e)
		}
	}
	return env
}

// Pid is its number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended and all that it has printed is there.
func (p *Process) Done() <-chan struct{} { return p.done }

// Said is what it has printed, on standard output and then on standard error.
func (p *Process) Said() string { return p.Out.String() + p.Err.String() }

// Kill ends the program without warning, and waits until it is gone. It may have ended.
func (p *Process) Kill() {
	var children []byte
	if p.children {
		children, _ = os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.Pid())) // there is none when it has ended
	}
	_ = p.cmd.Process.Kill()
	for _, child := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(child) // Linux writes numbers
		if process, err := os.FindProcess(pid); err == nil {
			_ = process.Kill()
		}
	}
	<-p.done
}

// Signal sends it a signal. It is an error if it has ended.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %v to %s: %w", s, p.Name, err)
	}
	return nil
}

// ExitCode waits for the end of the program, and returns its exit code, or -1 if a signal
// has ended it. It is an error if that takes longer than patience.
func (p *Process) ExitCode(patience time.Duration) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-time.After(patience):
		return 0, fmt.Errorf("%s has not ended within %v", p.Name, patience)
	}
}

// Stop interrupts the program as Ctrl-C does, and waits until it has ended. It is an error
// if that takes longer than patience, or the exit code is not 0.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Signal(os.Interrupt); err != nil {
		return err
	}
	code, err := p.ExitCode(patience)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: %v", p.Name, p.cmd.ProcessState)
	}
	return err
}

// Alive is an error when the program has ended.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %v\n%s", p.Name, p.cmd.ProcessState, Tail(p.Said()))
	default:
		return nil
	}
}

// Await is like [Process.Until], and fails the test if that is an error.
func (p *Process) Await(t testing.TB, patience time.Duration, check func() error) {
	t.Helper()
	if err := p.Until(patience, check); err != nil {
		t.Fatal(err)
	}
}

// AwaitListening waits until the program listens on a port of 127.0.0.1, where nobody else
// may listen.
func (p *Process) AwaitListening(t testing.TB, patience time.Duration, port int) {
	t.Helper()
	p.Await(t, patience, func() error { return Listening(port) })
}

// Until waits until check returns nil. It is for what the program is yet to do: it also
// gives up when the program has ended and check still returns an error.
func (p *Process) Until(patience time.Duration, check func() error) (err error) {
	late := until(patience, func() error {
		ended := p.Alive() // before check, which sees all of its output then
		err = check()
		if err != nil && ended != nil {
			err = fmt.Errorf("%w; %w", err, ended)
			return nil
		}
		return err
	})
	if late != nil {
		return fmt.Errorf("%s: %w\n%s", p.Name, late, Tail(p.Said()))
	}
	return err
}

// Await waits until check returns nil, and otherwise fails the test with its last error.
func Await(t testing.TB, patience time.Duration, what string, check func() error) {
	t.Helper()
	if err := until(patience, check); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func until(patience time.Duration, check func() error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); ; {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("not within %v: %w", patience, err)
		}
	}
}
