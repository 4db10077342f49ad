//go:build linux

// Command bench compares servers of event streams on one machine: weir, nchan (nginx), two
// Go libraries, and a bare loop of writes as the floor. Each server is confined to
// one processor and the load, which is "weir bench", to another. Rounds are
// interleaved, so that what else happens on the machine hits all alike; ratios are
// of medians within one run.
//
//	cd bench && go run .            # all, an hour and a half; writes RESULTS.md and cost.svg
//	cd bench && go run . -quick     # small sizes, to see that everything works
//	cd bench && go run . -only fanout1,idle -servers weir,floor
//
// nchan needs Debian's packages nginx-light and libnginx-mod-nchan; without them
// it is left out, and the results say so.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// options are the flags.
type options struct {
	quick          bool
	only, servers  []string
	rounds         int
	serverCPU      int
	loadCPU        int
	results, chart string
	verbose        bool
}

func main() {
	o, err := parseFlags(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseFlags(args []string) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.BoolVar(&o.quick, "quick", false, "small sizes and one round")
	only := f.String("only", "", "`names` of measurements, separated by commas: "+strings.Join(measurementNames(), ", "))
	servers := f.String("servers", "", "`names` of servers, separated by commas: "+strings.Join(serverNames(), ", "))
	f.IntVar(&o.rounds, "rounds", 3, "how often each is measured")
	f.IntVar(&o.serverCPU, "server-cpu", 0, "processor of the servers")
	f.IntVar(&o.loadCPU, "load-cpu", 1, "processor of the load")
	f.StringVar(&o.results, "results", "RESULTS.md", "`file` to write")
	f.StringVar(&o.chart, "chart", "cost.svg", "`file` to write the plot to")
	f.BoolVar(&o.verbose, "v", false, "print each command and its result")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if o.quick {
		o.rounds = 1
	}
	if o.only, err = choose(*only, measurementNames()); err != nil {
		return o, err
	}
	o.servers, err = choose(*servers, serverNames())
	return o, err
}

// choose splits a list of names; an empty one is all.
func choose(list string, all []string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(all, name) {
			return nil, fmt.Errorf("%q is not one of %s", name, strings.Join(all, ", "))
		}
	}
	return names, nil
}

// run measures everything and writes the results. What was measured before an
// interruption is written as well.
func run(ctx context.Context, o options) error {
	b, err := newBed(ctx, o)
	if err != nil {
		return err
	}
	defer b.close()
	where := describe(ctx, o, b) // now: the commit of what is measured
	all, err := b.measureAll(ctx)
	if len(all) == 0 {
		return err
	}
	chart := costChart(all)
	if chart != nil {
		if err := os.WriteFile(o.chart, chart, 0o644); err != nil {
			return err
		}
	}
	text := report(where, all, chart != nil, o)
	if err := os.WriteFile(o.results, []byte(text), 0o644); err != nil {
		return err
	}
	return err
}
