package proxies_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A process is a program that a test has started.
type process struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	said transcript    // standard output and standard error
	done chan struct{} // closed when it has ended
}

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

// start runs a program until the test ends, or kill is called. It has the test's
// environment without weir's settings, and env.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: strings.Join(args, " "), cmd: exec.Command(args[0], args[1:]...), done: make(chan struct{})}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "WEIR_") {
			p.cmd.Env = append(p.cmd.Env, e)
		}
	}
	p.cmd.Env = append(p.cmd.Env, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.WaitDelay = time.Second // a child may hold the pipes
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // that it has ended is all that matters
		close(p.done)
	}()
	t.Cleanup(p.cleanup)
	return p
}

// kill ends the program and its children, without warning, and waits until it is gone.
func (p *process) kill() {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", p.cmd.Process.Pid)) // it may have ended
	_ = p.cmd.Process.Kill()
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			p.t.Fatal(err)
		}
		if process, err := os.FindProcess(pid); err == nil {
			_ = process.Kill()
		}
	}
	<-p.done
}

func (p *process) cleanup() {
	p.kill()
	if p.t.Failed() {
		p.t.Logf("%s, process %d, printed\n%s", p.name, p.cmd.Process.Pid, &p.said)
	}
}

// running fails the test if the program has ended.
func (p *process) running() {
	p.t.Helper()
	select {
	case <-p.done:
		p.t.Fatalf("%s has ended: %v\n%s", p.name, p.cmd.ProcessState, &p.said)
	default:
	}
}
