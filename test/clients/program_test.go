package clients_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// A program is a process that a test has started.
type program struct {
	*proctest.Process
	t *testing.T
}

// start runs a program until it ends by itself, or the test does.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	return launch(t, proctest.Launch{Args: args})
}

func launch(t *testing.T, l proctest.Launch) *program {
	t.Helper()
	return &program{l.Start(t), t}
}

func (p *program) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// code waits for the end of the program and returns its exit code.
func (p *program) code() int {
	p.t.Helper()
	code, err := p.ExitCode(patience)
	if err != nil {
		p.t.Fatal(err)
	}
	return code
}

// write sends text to the program.
func (p *program) write(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.In, text); err != nil {
		p.t.Fatalf("write to %s: %v", p.Name, err)
	}
}

// awaitLines waits until the program has printed n lines.
func (p *program) awaitLines(n int) []string {
	p.t.Helper()
	p.await(func() error {
		if got := len(p.Out.Lines()); got < n {
			return fmt.Errorf("printed %d lines, want %d", got, n)
		}
		return nil
	})
	return p.Out.Lines()
}

// awaitText waits until x, which is one of the program's outputs, holds text.
func (p *program) awaitText(x *proctest.Transcript, text string) {
	p.t.Helper()
	p.await(func() error {
		if !strings.Contains(x.String(), text) {
			return fmt.Errorf("printed %q, want %q", proctest.Tail(x.String()), text)
		}
		return nil
	})
}

// await is for what the program is yet to print: it also gives up when the
// program has ended.
func (p *program) await(check func() error) {
	p.t.Helper()
	p.Await(p.t, patience, check)
}
