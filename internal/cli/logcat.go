package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
	"github.com/weirstream/weir/internal/fanout"
)

// catOptions are the flags of cat.
type catOptions struct {
	since string
	last  int
	raw   bool
}

func logCat(s Streams) *cobra.Command {
	var o catOptions
	cmd := &cobra.Command{
		Use:   "cat DIR [PATTERN...]",
		Short: "Print the messages of a log",
		Long: `Print the messages of a log, or those of topics that match a pattern, oldest first:
one JSON object for each, as readers of the server get with
Accept: application/x-ndjson.

What is damaged is reported and left out; the exit code is 1 then.`,
		Example: `  weir log cat /var/lib/weir > messages.ndjson
  weir log cat /var/lib/weir 'orders/**' --last 20`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, s, args[0], args[1:]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.since, "since", "", "begin a duration ago (10m) or at a time (RFC 3339)")
	f.IntVar(&o.last, "last", 0, "print only the newest `N`")
	f.BoolVar(&o.raw, "raw", false, "print only the data of each message, and a line feed")
	return cmd
}

func (o *catOptions) run(cmd *cobra.Command, s Streams, dir string, patterns []string) error {
	from, err := o.from(cmd, time.Now())
	if err != nil {
		return err
	}
	sel, err := selected(patterns)
	if err != nil {
		return err
	}
	c := &catPrinter{Streams: s, out: bufio.NewWriterSize(s.Out, 64<<10), raw: o.raw, prefix: "weir: log cat"}
	err = readLog(dir, func(r *disklog.Reader) error {
		after, err := o.after(cmd, r, sel, from)
		if err != nil {
			return err
		}
		c.encoder = fanout.NewEncoder(r.Epoch())
		return errors.Join(r.Entries(cmd.Context(), sel, after, c.print), c.out.Flush())
	})
	if err == nil && c.damaged > 0 {
		err = fmt.Errorf("%d places are damaged; weir log verify %s tells more", c.damaged, dir)
	}
	return err
}

// from is the time that --since stands for; zero if it is not given.
func (o *catOptions) from(cmd *cobra.Command, now time.Time) (t time.Time, err error) {
	given := cmd.Flags().Changed
	switch {
	case given("since") && given("last"):
		return t, usage("--since and --last cannot be combined: each says where to begin")
	case o.last < 0:
		return t, usage("--last %d is below the limit 0", o.last)
	case !given("since"):
		return t, nil
	}
	if age, err := time.ParseDuration(o.since); err == nil && age >= 0 {
		return now.Add(-age), nil
	}
	if t, err = time.Parse(time.RFC3339, o.since); err != nil {
		return t, usage("--since is %q: want an age like 10m, or an RFC 3339 time", o.since)
	}
	return t, nil
}

// after is the position after which to begin.
func (o *catOptions) after(cmd *cobra.Command, r *disklog.Reader, sel *eventlog.Selector, from time.Time) (uint64, error) {
	switch {
	case cmd.Flags().Changed("last"):
		return r.Last(cmd.Context(), sel, o.last)
	case cmd.Flags().Changed("since"):
		return r.Since(from)
	}
	return 0, nil
}

// A catPrinter prints entries, and reports what is damaged.
type catPrinter struct {
	Streams
	out     *bufio.Writer
	encoder *fanout.Encoder
	raw     bool
	prefix  string
	damaged int
}

// maxReports is how many places cat reports one by one.
const maxReports = 10

func (c *catPrinter) print(e *eventlog.Entry, err error) error {
	if err != nil {
		if c.damaged++; c.damaged <= maxReports {
			fmt.Fprintf(c.Err, "%s: %s\n", c.prefix, printable(err.Error()))
		}
		return nil
	}
	switch {
	case !c.raw:
		_, err = c.out.Write(c.encoder.Frame(e, fanout.Lines, false))
	case isTerminal(c.Out):
		_, err = io.WriteString(c.out, printable(string(e.Data))+"\n")
	default:
		_, err = c.out.Write(append(e.Data, '\n'))
	}
	return err
}
