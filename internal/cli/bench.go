package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/weirstream/weir/internal/bench"
)

// benchOptions are the flags of one scenario.
type benchOptions struct {
	bench.Options
	target      *target
	failIf      []string
	json, quiet bool
}

// A benchText describes a scenario, and adds the flags that only some have.
type benchText struct {
	scenario             bench.Scenario
	short, long, example string
	flags                func(f *pflag.FlagSet, o *bench.Options)
}

var benchTexts = []benchText{
	{bench.Idle, "Open connections that only wait, and tell what each costs",
		`Open connections, hold them, and tell what each costs. With --pid the memory of
the server is read before and after; a hundred connections are opened and dropped
first, so that what the server sets up once does not count.`,
		`  weir bench idle -n 18000 --pid $(pidof weir)
  weir bench idle -n 18000 --topics-per-conn 4 --topics 72000 --pid $(pidof weir)`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.DurationVar(&o.Hold, "hold", o.Hold, "how long to hold them")
			f.IntVar(&o.TopicsPerConn, "topics-per-conn", o.TopicsPerConn, "topics that each reader follows")
			addTopicsFlag(f, o)
		}},
	{bench.Fanout, "Publish to one topic with many readers",
		`Publish to one topic with many readers: as fast as --inflight publishes at a time
allow, or at a fixed rate. At a fixed rate a message that cannot be sent in time
counts from the moment it was due.`,
		`  weir bench fanout -n 5000 --messages 3000 --inflight 64
  weir bench fanout -n 5000 --rate 200 --duration 30s --fail-if 'p99>150ms' --fail-if 'lost>0'`,
		func(f *pflag.FlagSet, o *bench.Options) {
			addPublishFlags(f, o)
			addTopicsFlag(f, o)
			f.IntVar(&o.Window, "window", o.Window, "publish only while fewer than `N` messages are on their way to some reader; 0 is no limit")
			f.IntVar(&o.Others, "others", o.Others, "open `N` more readers, each of a topic to which nothing is published")
			f.IntVar(&o.Patterns, "patterns", o.Patterns, "open `N` more readers of patterns that match nothing")
		}},
	{bench.Topics, "Publish to many topics with one reader each", "Publish to many topics with one reader each.",
		`  weir bench topics -n 5000 --inflight 64
  weir bench topics -n 5000 --inflight 4 --batch 100`, addPublishFlags},
	{bench.Storm, "Have all readers reconnect at once and resume",
		`Open readers, drop them all, publish to nobody, and have all come back at once with
the ID of the last event they saw. The time until all have caught up is compared
with the time in which as many connect without a past.`,
		`  weir bench storm -n 15000 --messages 10 --fail-if 'resume_ratio>1.5'`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.Int64Var(&o.Messages, "messages", o.Messages, "messages behind each reader")
			f.IntVar(&o.Rounds, "rounds", o.Rounds, "how often to do it all")
			addTopicsFlag(f, o)
		}},
	{bench.Slow, "Have a share of the readers stall",
		`Publish to one topic twice: while all read, and while a share of the readers has
stopped reading. Each time a burst is published first that fills the buffers on the
way to them. At the end they read on, and what they lack is counted.`,
		`  weir bench slow -n 5000 --stalled 1 --rate 20 --pid $(pidof weir)`,
		func(f *pflag.FlagSet, o *bench.Options) {
			f.Float64Var(&o.Stalled, "stalled", o.Stalled, "`percent` of the readers that stall")
			f.IntVar(&o.Burst, "burst", o.Burst, "messages of the burst")
			addPublishFlags(f, o)
		}},
	{bench.Publish, "Publish with few readers or none",
		`Publish single messages, or batches of JSON lines. How messages are kept is up to
the server.`,
		`  weir bench publish --inflight 64
  weir bench publish --inflight 4 --batch 1000 -n 1`,
		func(f *pflag.FlagSet, o *bench.Options) { addPublishFlags(f, o); addTopicsFlag(f, o) }},
}

func benchCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a server of event streams, weir or not",
		Long: `Put load on a server of event streams, and report what was lost, doubled or out
of order, how long deliveries took, and what they cost.

The server is a weir server, or any other: --subscribe-url and --publish-url are
templates in which {topic} stands for the topic. Streams are read as event streams
or line by line, by the type the server gives them; plain HTTP/1.1 costs the client
least, https works too. Messages stay in the server's history.

With --fail-if the exit code is 1 if a condition is met, so that a test can hold a
limit. 'weir bench metrics' lists what there is.`,
		Example: `  weir bench fanout -n 5000 --rate 200 --fail-if 'lost>0' --fail-if 'p99>150ms'
  weir bench fanout -n 5000 --subscribe-url 'http://127.0.0.1:8000/sub?id={topic}' \
      --publish-url 'http://127.0.0.1:8000/pub?id={topic}'`,
	}
	groupOnly(cmd)
	for _, t := range benchTexts {
		cmd.AddCommand(scenarioCommand(s, t))
	}
	cmd.AddCommand(metricsCommand(s))
	return cmd
}

func scenarioCommand(s Streams, t benchText) *cobra.Command {
	o := &benchOptions{Options: bench.Defaults(t.scenario)}
	cmd := &cobra.Command{
		Use: string(t.scenario), Short: t.short, Long: t.long, Example: t.example,
		Args: arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return runBench(cmd, s, o) },
	}
	f := cmd.Flags()
	f.IntVarP(&o.Connections, "connections", "n", o.Connections, "readers to open")
	if t.scenario != bench.Idle {
		f.IntVar(&o.Size, "size", o.Size, "`bytes` of data in a message")
		f.IntVar(&o.InFlight, "inflight", o.InFlight, "publishes under way at once, each on a connection of its own; of several topics at most one each")
	}
	t.flags(f, &o.Options)
	o.target = addServerFlags(cmd, s)
	f.Lookup("server").Usage = "`URL` of a weir server (variable WEIR_SERVER)"
	addTargetFlags(f, &o.Options)
	f.IntVar(&o.Connecting, "connecting", o.Connecting, "connections being opened at once")
	f.DurationVar(&o.Nap, "nap", o.Nap, "after a busy moment sleep this long instead of being woken by each message: less work for both sides, more latency")
	f.DurationVar(&o.Patience, "patience", o.Patience, "stop waiting when nothing happens for this long; what is missing is lost")
	f.DurationVar(&o.TimeLimit, "time-limit", o.TimeLimit, "end the run after this long")
	f.IntSliceVar(&o.PIDs, "pid", nil, "`processes` of the server, to read their processor time and memory")
	f.IntSliceVar(&o.CPUs, "cpu", nil, "`processors` to confine the client to")
	f.StringArrayVar(&o.failIf, "fail-if", nil, "`condition` under which the exit code is 1, such as 'p99>150ms'; may be repeated")
	f.BoolVar(&o.json, "json", false, "print the result as a JSON object, times in seconds and sizes in bytes")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "show no progress")
	return cmd
}

func addPublishFlags(f *pflag.FlagSet, o *bench.Options) {
	f.Int64Var(&o.Messages, "messages", o.Messages, "messages to publish in all; 0 publishes for --duration")
	f.DurationVar(&o.Duration, "duration", o.Duration, "how long to publish")
	f.Float64Var(&o.Rate, "rate", o.Rate, "messages per second; 0 is as fast as --inflight allows")
	f.IntVar(&o.Batch, "batch", o.Batch, "messages in each publish, as JSON lines")
}

func addTopicsFlag(f *pflag.FlagSet, o *bench.Options) {
	f.IntVar(&o.Topics, "topics", o.Topics, "topics over which readers and messages are spread")
}

func addTargetFlags(f *pflag.FlagSet, o *bench.Options) {
	f.StringVar(&o.SubscribeURL, "subscribe-url", "", "`template` of the URL to read (default: /v1/topics/{topic} of --server)")
	f.StringVar(&o.PublishURL, "publish-url", "", "`template` of the URL to publish to (default: /v1/topics/{topic} of --server)")
	f.StringVar(&o.BatchURL, "batch-url", "", "URL for batches (default: /v1/events of --server)")
	f.StringVar(&o.PublishMethod, "publish-method", o.PublishMethod, "method of a publish")
	f.StringVar(&o.PublishBody, "publish-body", o.PublishBody, "`template` of its body")
	f.StringVar(&o.BatchLine, "batch-line", o.BatchLine, "`template` of a line of a batch")
	f.StringArrayVarP(&o.Headers, "header", "H", nil, "`header` of every request, as 'Name: value'; may be repeated")
	f.StringArrayVar(&o.SubscribeHeaders, "subscribe-header", nil, "`header` of readers")
	f.StringArrayVar(&o.PublishHeaders, "publish-header", nil, "`header` of publishers")
	f.StringVar(&o.Topic, "topic", "", "`name` of the topic, or what the names begin with (default: a new one)")
	f.BoolVar(&o.Insecure, "insecure", false, "accept any certificate")
}

// runBench runs a scenario. It prints also what an interrupted or failed run knows.
func runBench(cmd *cobra.Command, s Streams, o *benchOptions) error {
	thresholds, err := o.thresholds()
	if err != nil {
		return err
	}
	c, err := newClient(*o.target)
	if err != nil {
		return err
	}
	if o.Server = c.base; strings.HasPrefix(c.server, "unix:") {
		return usage("bench reaches servers by TCP, not by %s", c.server)
	}
	token, err := c.bearer.token()
	if err != nil {
		return err
	}
	if token != "" {
		o.Headers = append(o.Headers, "Authorization: Bearer "+token)
	}
	bar := &notes{w: s.Err, prefix: "weir: bench", quiet: o.quiet, live: isTerminal(s.Err)}
	o.Progress = func(p bench.Progress) { bar.set(progressBar(p)) }
	result, err := bench.Run(cmd.Context(), o.Options)
	bar.erase()
	if result == nil {
		return benchError(err)
	}
	if err := printBench(s.Out, result, o.json); err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	if err != nil {
		return benchError(err)
	}
	return judge(result, thresholds)
}

func (o *benchOptions) thresholds() (list []bench.Threshold, err error) {
	for _, text := range o.failIf {
		t, err := bench.ParseThreshold(text)
		if err == nil {
			err = t.Check(o.Options)
		}
		if err != nil {
			return nil, benchError(err)
		}
		list = append(list, t)
	}
	return list, nil
}

// benchError gives err the type that leads to the right exit code.
func benchError(err error) error {
	if m, ok := errors.AsType[*bench.Mistake](err); ok {
		return usage("%v", m)
	}
	text := strings.TrimPrefix(err.Error(), "bench: ")
	switch {
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, bench.ErrUnreachable):
		return &benchUnreachable{connectError{cause: err}, text}
	}
	return errors.New(text)
}

// benchUnreachable is a connectError whose text package bench has written.
type benchUnreachable struct {
	connectError
	text string
}

func (e *benchUnreachable) Error() string { return e.text }

func (e *benchUnreachable) Unwrap() error { return &e.connectError }

// judge returns an error that names each condition that is met.
func judge(r *bench.Result, thresholds []bench.Threshold) error {
	var broken []string
	for _, t := range thresholds {
		if text := t.Broken(r); text != "" {
			broken = append(broken, text)
		}
	}
	if len(broken) > 0 {
		return errors.New(strings.Join(broken, "\n"))
	}
	return nil
}

func printBench(w io.Writer, r *bench.Result, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	return r.WriteText(w)
}

// progressBar draws "fanout [####      ]  40 %  2000000 of 5000000, 350000 /s".
func progressBar(p bench.Progress) string {
	const width = 24
	text := p.Step
	if p.Total > 0 {
		share := min(float64(p.Done)/float64(p.Total), 1)
		full := int(share * width)
		text += fmt.Sprintf(" [%s%s] %3.0f %%", strings.Repeat("#", full), strings.Repeat(" ", width-full), share*100)
	}
	return text + fmt.Sprintf("  %d of %d, %.0f /s", p.Done, p.Total, p.Rate)
}

func metricsCommand(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "metrics",
		Short: "List what is measured, for --fail-if and in --json",
		Args:  arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			t := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
			for _, m := range bench.Metrics() {
				fmt.Fprintf(t, "%s\t%s\n", m.Name, m.Help)
			}
			return t.Flush()
		},
	}
}
