// Command test is weir's one test command. Run it from the repository root:
//
//	go run ./test                     everything
//	go run ./test -only vet,gofmt     only these steps
//	go run ./test -v                  with the output of every test
//
// It first installs what the tests need and says so (see install.go), then runs
// the steps listed in steps.go in order, also after one has failed, and ends with
// a summary. Its last line is "N passed, N failed, N skipped", where each check
// and each test counts one. The exit code is 0 only if nothing failed and nothing
// was skipped: a test that did not run has shown nothing.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// run is the program: its result is the exit code, 2 for a command line that
// makes no sense.
func run(ctx context.Context, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("test", flag.ContinueOnError)
	flags.SetOutput(out)
	only := flags.String("only", "", "run only these `steps`, separated by commas")
	verbose := flags.Bool("v", false, "print the output of every test and tool")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	steps, err := plan(".", *only, *verbose)
	if err != nil {
		fmt.Fprintln(out, "test:", err)
		return 2
	}
	if err := prepare(ctx, out, steps, *verbose); err != nil {
		fmt.Fprintln(out, "test:", err)
		return 1
	}
	return execute(ctx, out, steps)
}

// plan lists the steps for the repository at root that -only asks for.
func plan(root, only string, verbose bool) ([]step, error) {
	modules, err := findModules(root)
	if err != nil {
		return nil, err
	}
	steps := allSteps(root, modules, verbose)
	if only == "" {
		return steps, nil
	}
	return choose(steps, strings.Split(only, ","))
}

// prepare installs what the steps need. Only tests need more than Go.
func prepare(ctx context.Context, out io.Writer, steps []step, verbose bool) error {
	for _, s := range steps {
		if s.needsTools {
			return install(ctx, out, verbose)
		}
	}
	return nil
}
