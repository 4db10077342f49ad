package feedtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// A Process is a program that a test has started.
type Process struct {
	cmd  *exec.Cmd
	said transcript
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

// Launch starts a program, which is killed when the test ends: see Spawn.
func Launch(t *testing.T, env []string, name string, args ...string) *Process {
	t.Helper()
	p, err := Spawn(env, Need(t, name), args...)
	if err != nil {
		t.Fatal(err)
	}
	p.cleanup(t)
	return p
}

// LaunchIn is like Launch, for a program that runs in a directory.
func LaunchIn(t *testing.T, dir string, env []string, name string, args ...string) *Process {
	t.Helper()
	cmd := exec.Command(Need(t, name), args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	p, err := begin(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.cleanup(t)
	return p
}

func (p *Process) cleanup(t *testing.T) {
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("%s printed\n%s", p.cmd.Path, p.Said())
		}
	})
}

// Spawn starts a program with env added to the environment. Whoever calls it kills it.
func Spawn(env []string, name string, args ...string) (*Process, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	return begin(cmd)
}

func begin(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	p.cmd.WaitDelay = time.Second // a child may hold the pipes
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		_ = p.cmd.Wait() // that it has ended is all that matters
		close(p.done)
	}()
	return p, nil
}

// Said is what it has printed.
func (p *Process) Said() string { return p.said.String() }

// Kill ends the program without warning, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// Stop interrupts the program as Ctrl-C does, and waits until it has ended. It is an error
// if that takes longer than Patience, or the exit code is not 0.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(Patience):
		return fmt.Errorf("%s has not ended within %v", p.cmd.Path, Patience)
	}
	if !p.cmd.ProcessState.Success() {
		return fmt.Errorf("%s: %v", p.cmd.Path, p.cmd.ProcessState)
	}
	return nil
}

// Alive is an error when the program has ended.
func (p *Process) Alive() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %v\n%s", p.cmd.Path, p.cmd.ProcessState, &p.said)
	default:
		return nil
	}
}

// AwaitListening waits until a program listens on a port of 127.0.0.1.
func (p *Process) AwaitListening(t *testing.T, port int) {
	t.Helper()
	Await(t, p.cmd.Path, func() error {
		if err := p.Alive(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			conn.Close()
		}
		return err
	})
}

// Need returns the path of a program, and fails the test if it is missing.
func Need(t *testing.T, name string) string {
	t.Helper()
	// Servers are where only root looks.
	for _, candidate := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is not installed; \"go run ./test\" in the repository's root installs it", name)
	return ""
}

// FreePort returns a port of 127.0.0.1 that nobody listens on. It is not one that the
// system gives to clients: while nobody listens there, a client that got it could
// connect to itself.
func FreePort() int {
	for {
		port := 20_000 + rand.N(12_000)
		if ln, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			ln.Close()
			return port
		}
	}
}
