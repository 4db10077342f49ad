package cli

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
)

// subOptions are the flags of sub.
type subOptions struct {
	target      *target
	since, id   string
	last        int
	policy      string
	count       int
	silence     time.Duration
	json, quiet bool
}

// policies are what a reader can ask for after a gap.
var policies = []string{"all", "diff", "reset"}

func subCommand(s Streams) *cobra.Command {
	var o subOptions
	cmd := &cobra.Command{
		Use:   "sub TOPIC...",
		Short: "Print the messages of topics as they arrive",
		Long: `Print the messages of topics as they arrive. A topic may be a pattern: * is one
level, ** at the end any depth.

With one topic only the data is printed, otherwise the topic stands in front.
With --json each message is one JSON object, and so is each gap.

When the connection ends or falls silent, sub reconnects and goes on after the
last message it printed. If messages are lost it says so.`,
		Example: `  weir sub logs
  weir sub --since 10m 'orders/**' payments
  weir sub --json --count 1 clock`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return sub(cmd, s, o, args) },
	}
	o.target = addServerFlags(cmd, s)
	f := cmd.Flags()
	f.StringVar(&o.since, "since", "", "begin at start, now, a duration ago (10m) or a time (RFC 3339)")
	f.IntVar(&o.last, "last", 0, "begin with the newest `N` messages that are kept")
	f.StringVar(&o.id, "id", "", "begin after the message with this `ID`")
	f.StringVar(&o.policy, "policy", "", "what to read after a gap: all, diff or reset (default: as the server is set)")
	f.IntVarP(&o.count, "count", "n", 0, "stop after `N` messages")
	f.DurationVar(&o.silence, "silence", time.Minute, "reconnect when nothing arrives for this long, not even a heartbeat; 0 waits for ever")
	f.BoolVar(&o.json, "json", false, "print each message as a JSON object")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "do not report reconnections; gaps are still reported")
	_ = cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions(policies, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func sub(cmd *cobra.Command, s Streams, o subOptions, topics []string) error {
	if err := o.check(cmd, topics); err != nil {
		return err
	}
	c, err := newClient(*o.target)
	if err != nil {
		return err
	}
	defer c.close()
	f := &follower{
		client:  c,
		query:   url.Values{"topic": topics},
		start:   o.start(cmd),
		silence: o.silence,
		wait:    newBackoff(),
		limit:   o.count,
		out:     newPrinter(s, o.json, topics),
		notes:   &notes{w: s.Err, prefix: "weir: sub", quiet: o.quiet},
	}
	if o.policy != "" {
		f.query.Set("policy", o.policy)
	}
	return f.run(cmd.Context())
}

func (o subOptions) check(cmd *cobra.Command, topics []string) error {
	var starts []string
	for _, name := range []string{"since", "last", "id"} {
		if cmd.Flags().Changed(name) {
			starts = append(starts, "--"+name)
		}
	}
	switch {
	case slices.Contains(topics, ""):
		return usage("a topic is empty")
	case len(starts) > 1:
		return usage("%s cannot be combined: each says where to begin", strings.Join(starts, " and "))
	case o.last < 0:
		return usage("--last %d is below the limit 0", o.last)
	case o.count < 0 || o.count == 0 && cmd.Flags().Changed("count"):
		return usage("--count %d is below the limit 1", o.count)
	case o.silence < 0:
		return usage("--silence %v is below the limit 0", o.silence)
	case o.policy != "" && !slices.Contains(policies, o.policy):
		return usage("--policy %q is not one of %s%s", o.policy, strings.Join(policies, ", "), config.DidYouMean(o.policy, policies))
	}
	return nil
}

// start returns the parameter that says where to begin.
func (o subOptions) start(cmd *cobra.Command) url.Values {
	switch {
	case o.id != "":
		return url.Values{"last_event_id": {o.id}}
	case cmd.Flags().Changed("last"):
		return url.Values{"last": {strconv.Itoa(o.last)}}
	case o.since != "":
		return url.Values{"since": {o.since}}
	}
	return url.Values{}
}
