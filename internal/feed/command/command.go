// Package command feeds the lines that a command prints.
//
// [New] makes the source. The command is a line for the shell, and is kept running:
// when it ends, whatever its exit code, it is started again after a while. A pipe holds
// the command back while the log refuses. What it prints on standard error goes to the
// log, with level debug.
//
// Lines have no name, so a line is published at most once: what the command has printed
// and weir has not stored when it is killed is lost.
package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/weirstream/weir/internal/feed"
)

const (
	patience = 2 * time.Second // for a command to end when it is asked to
	readSize = 64 << 10
	maxNote  = 4 << 10 // bytes of a line of standard error
)

// A Source runs a command.
type Source struct {
	line     string
	maxBytes int
}

// New makes a source of s.Command.
func New(s feed.Spec) *Source { return &Source{s.Command, s.MaxBytes} }

// Run runs the command once. When ctx ends the command is asked to end (on Unix by
// SIGTERM to all processes of its group), and killed two seconds later.
func (s *Source) Run(ctx context.Context, in *feed.Intake) error {
	out, printed, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], s.line)...)
	prepare(cmd)
	cmd.Stdout = printed
	cmd.Stderr = &notes{in: in}
	cmd.WaitDelay = patience
	err = cmd.Start()
	printed.Close()
	if err != nil {
		return fmt.Errorf("start the command: %w", err)
	}
	in.Running()
	ended := make(chan error, 1)
	go func() { // ends with the command
		ended <- cmd.Wait()
		// Its children may still hold the pipe.
		time.AfterFunc(patience, func() { _ = out.SetReadDeadline(time.Now()) })
	}()
	err = s.read(ctx, in, out)
	if err != nil {
		kill(cmd) // it would wait for somebody to read
	}
	left := <-ended
	kill(cmd) // what it has left behind
	switch {
	case err != nil:
		return err
	case left != nil:
		return fmt.Errorf("the command ended: %w", left)
	}
	return errors.New("the command ended: exit status 0")
}

// read delivers lines until there are no more. When ctx has ended it delivers what the
// command has printed so far.
func (s *Source) read(ctx context.Context, in *feed.Intake, out *os.File) error {
	lines := feed.Lines{Max: s.maxBytes}
	buf := make([]byte, readSize)
	for {
		n, err := out.Read(buf)
		if bad := deliver(ctx, in, lines.Cut(buf[:n])); bad != nil {
			return bad
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
			return deliver(ctx, in, lines.Rest())
		}
		if err != nil {
			return err
		}
	}
}

func deliver(ctx context.Context, in *feed.Intake, lines []feed.Message) error {
	for len(lines) > 0 {
		n := min(len(lines), feed.MaxBatch)
		if err := in.Deliver(ctx, lines[:n], nil); err != nil {
			return err
		}
		lines = lines[n:]
	}
	return nil
}

// notes logs lines.
type notes struct {
	in   *feed.Intake
	line []byte
}

func (w *notes) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		n, line, err := bufio.ScanLines(rest, false)
		if err != nil || n == 0 { // the line goes on
			w.line = append(w.line, rest[:min(len(rest), maxNote-len(w.line))]...)
			break
		}
		line = line[:min(len(line), maxNote-len(w.line))]
		w.in.Debug("the command says", "text", string(append(w.line, line...)))
		w.line, rest = nil, rest[n:]
	}
	return len(p), nil
}
