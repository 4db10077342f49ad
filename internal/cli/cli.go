// Package cli is the command line of weir: one file per command, nothing that
// a library user needs.
//
// [Run] is the only name to start with. It runs one command in process, with
// the streams and variables it is given, and returns the exit code; tests call it
// like main does. Results go to Streams.Out, everything else to Streams.Err.
//
// Calls of Run share nothing and may be made at once.
package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

// Streams is what a command talks to.
type Streams struct {
	In      io.Reader
	Out     io.Writer // results
	Err     io.Writer // errors, logs and progress
	Environ []string  // "NAME=value", as from os.Environ
	// Hangups begins to listen for the signal that has serve read its settings again,
	// until stop is called. nil: there is none.
	Hangups func() (signals <-chan os.Signal, stop func())
}

// lookup returns the value of a variable, or "".
func (s Streams) lookup(name string) string {
	for _, entry := range s.Environ {
		if n, value, _ := strings.Cut(entry, "="); n == name {
			return value
		}
	}
	return ""
}

// Run runs the command that args name, without the name of the program, and
// returns its exit code. When ctx ends the command finishes what it can in short
// time: serve drains, pub sends what it has read.
//
// A goroutine that waits for input from Streams.In may stay behind if the command
// ends before that input does.
func Run(ctx context.Context, args []string, s Streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	report(s.Err, cmd, err)
	return exitCode(err)
}

// newRoot builds the command tree.
func newRoot(s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:           "weir",
		Short:         "Streams that outlive their handler: topics, resume, one binary",
		Version:       readBuild().Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	groupOnly(root)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetVersionTemplate("weir {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(serveCommand(s), pubCommand(s), subCommand(s), logCommand(s), benchCommand(s), configCommand(s), tokenCommand(s), reloadCommand(s), healthCommand(s), versionCommand(s))
	root.InitDefaultCompletionCmd("")
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			groupOnly(cmd)
		}
	}
	return root
}

// groupOnly makes cmd show its help when it is called alone, and suggest a
// subcommand when it is called with an unknown one.
func groupOnly(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var names []string
		for _, c := range cmd.Commands() {
			if !c.Hidden {
				names = append(append(names, c.Name()), c.Aliases...)
			}
		}
		return usage("unknown command %q%s", args[0], config.DidYouMean(args[0], names))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
}

// arguments turns complaints of a cobra check into usage errors that show how
// the command is called.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if check(cmd, args) != nil {
			return usage("wrong number of arguments (%d); usage: %s", len(args), cmd.UseLine())
		}
		return nil
	}
}

// report writes err as one line, or as one line per mistake if the settings have
// several.
func report(w io.Writer, cmd *cobra.Command, err error) {
	if err == nil || err == errInterrupted {
		return
	}
	prefix := strings.Replace(cmd.CommandPath(), " ", ": ", 1) // "weir: config show"
	for text := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: %s\n", prefix, text)
	}
}
