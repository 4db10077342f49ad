package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/config"
	"github.com/weirstream/weir/internal/disklog"
)

// topicOrders are the values of --sort, and how they sort.
var topicOrders = map[string]func(a, b disklog.Topic) int{
	"name":    func(a, b disklog.Topic) int { return strings.Compare(a.Name, b.Name) },
	"entries": func(a, b disklog.Topic) int { return cmp.Compare(b.Entries, a.Entries) },
	"bytes":   func(a, b disklog.Topic) int { return cmp.Compare(b.Bytes, a.Bytes) },
}

var topicOrderNames = []string{"name", "entries", "bytes"}

// topicsOptions are the flags of topics.
type topicsOptions struct {
	order string
	limit int
	json  bool
}

func logTopics(s Streams) *cobra.Command {
	var o topicsOptions
	cmd := &cobra.Command{
		Use:   "topics DIR [PATTERN...]",
		Short: "List the topics of a log",
		Long: `List the topics of a log, or those that match a pattern: what they keep, the positions
of the oldest and the newest message, the age of the oldest, and up to where messages
are lost.`,
		Args: arguments(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, s, args[0], args[1:]) },
	}
	f := cmd.Flags()
	f.StringVar(&o.order, "sort", "name", "order: name, or the most entries or bytes first")
	f.IntVar(&o.limit, "limit", 0, "list only the first `N`; 0 lists all")
	f.BoolVar(&o.json, "json", false, "print one JSON object for each topic")
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(topicOrderNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (o *topicsOptions) run(cmd *cobra.Command, s Streams, dir string, patterns []string) error {
	order := topicOrders[o.order]
	switch {
	case order == nil:
		return usage("--sort %q is not one of %s%s", o.order, strings.Join(topicOrderNames, ", "), config.DidYouMean(o.order, topicOrderNames))
	case o.limit < 0:
		return usage("--limit %d is below the limit 0", o.limit)
	}
	sel, err := selected(patterns)
	if err != nil {
		return err
	}
	return readLog(dir, func(r *disklog.Reader) error {
		bar := newLogBar(s)
		list, err := r.Topics(cmd.Context(), sel, bar.progress)
		if bar.erase(); err != nil {
			return err
		}
		slices.SortStableFunc(list, order)
		if o.limit > 0 && len(list) > o.limit {
			list = list[:o.limit]
		}
		if o.json {
			return writeTopicLines(s.Out, list)
		}
		return writeTopicTable(s.Out, list, time.Now())
	})
}

func writeTopicTable(w io.Writer, list []disklog.Topic, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TOPIC\tENTRIES\tBYTES\tOLDEST\tNEWEST\tAGE\tLOST UP TO")
	for _, tp := range list {
		oldest, newest, age := "-", "-", "-"
		if tp.Entries > 0 {
			oldest, newest = fmt.Sprint(tp.Oldest), fmt.Sprint(tp.Newest)
			age = config.FormatDuration(max(0, now.Sub(tp.OldestTime)).Round(time.Second))
		}
		lost := "-"
		if tp.Lost > 0 {
			lost = fmt.Sprint(tp.Lost)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", printable(tp.Name), tp.Entries, tp.Bytes, oldest, newest, age, lost)
	}
	return t.Flush()
}

func writeTopicLines(w io.Writer, list []disklog.Topic) error {
	type line struct {
		Topic      string    `json:"topic"`
		Entries    int       `json:"entries"`
		Bytes      int64     `json:"bytes"`
		Oldest     uint64    `json:"oldest,omitempty"`
		OldestTime time.Time `json:"oldest_time,omitzero"`
		Newest     uint64    `json:"newest,omitempty"`
		NewestTime time.Time `json:"newest_time,omitzero"`
		Lost       uint64    `json:"lost,omitempty"`
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, tp := range list {
		if err := e.Encode(line{tp.Name, tp.Entries, tp.Bytes, tp.Oldest, tp.OldestTime, tp.Newest, tp.NewestTime, tp.Lost}); err != nil {
			return err
		}
	}
	return nil
}
