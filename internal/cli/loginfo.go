package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/disklog"
)

// logSummary is what info prints. Positions that are 0 stand for nothing.
type logSummary struct {
	Epoch           string    `json:"epoch"`
	Format          string    `json:"format"`
	Clean           bool      `json:"clean"`
	Head            uint64    `json:"head"`
	Reserved        uint64    `json:"reserved,omitempty"`
	Entries         int       `json:"entries"`
	Deleting        int       `json:"deleting"`
	Oldest          uint64    `json:"oldest,omitempty"`
	OldestTime      time.Time `json:"oldest_time,omitzero"`
	Newest          uint64    `json:"newest,omitempty"`
	NewestTime      time.Time `json:"newest_time,omitzero"`
	DataBytes       int64     `json:"data_bytes"`
	FileBytes       int64     `json:"file_bytes"`
	FreeBytes       int64     `json:"free_bytes"`
	Topics          int       `json:"topics"`
	IdempotencyKeys int       `json:"idempotency_keys"`
	Values          int       `json:"values"`
	IntervalLost    uint64    `json:"interval_lost,omitempty"`
	MemoryLost      uint64    `json:"memory_lost,omitempty"`
	ForgottenLost   uint64    `json:"forgotten_lost,omitempty"`
}

func logInfo(s Streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "info DIR",
		Short: "Tell what a log holds, and how it ended",
		Long: `Tell what a log holds, and how it ended.

A log that did not end cleanly is nothing to worry about: the server tells readers
what may have been lost. "may be lost" gives the positions up to which that is so for
topics of durability interval and memory, and for topics it does not know any more.`,
		Args: arguments(cobra.ExactArgs(1)),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return readLog(args[0], func(r *disklog.Reader) error {
			bar := newLogBar(s)
			i, err := r.Info(cmd.Context(), bar.progress)
			if bar.erase(); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(s.Out).Encode(summarize(i))
			}
			return summarize(i).write(s.Out)
		})
	}
	return cmd
}

func summarize(i disklog.Info) logSummary {
	return logSummary{
		Epoch: i.Epoch, Format: i.Format, Clean: i.Reserved == 0, Head: i.Head, Reserved: i.Reserved,
		Entries: i.Entries, Deleting: i.Deleting,
		Oldest: i.Oldest, OldestTime: i.OldestTime, Newest: i.Newest, NewestTime: i.NewestTime,
		DataBytes: i.Bytes, FileBytes: i.FileBytes, FreeBytes: i.FreeBytes,
		Topics: i.Topics, IdempotencyKeys: i.Keys, Values: i.Values,
		IntervalLost: i.IntervalLost, MemoryLost: i.MemoryLost, ForgottenLost: i.ForgottenTopicsLost,
	}
}

func (l logSummary) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	row("epoch", "%s", l.Epoch)
	row("format", "%s", l.Format)
	row("ended cleanly", "%s", l.ending())
	row("head", "%d", l.Head)
	row("entries", "%d", l.Entries)
	if l.Deleting > 0 {
		row("to be deleted", "%d", l.Deleting)
	}
	if l.Entries > 0 {
		row("oldest", "%d, %s", l.Oldest, timeText(l.OldestTime))
		row("newest", "%d, %s", l.Newest, timeText(l.NewestTime))
	}
	row("data", "%s", bytesText(l.DataBytes))
	row("file", "%s, of which %s are free", bytesText(l.FileBytes), bytesText(l.FreeBytes))
	row("topics", "%d", l.Topics)
	row("idempotency keys", "%d", l.IdempotencyKeys)
	row("values", "%d", l.Values)
	if lost := l.losses(); lost != "" {
		row("may be lost", "%s", lost)
	}
	return t.Flush()
}

func (l logSummary) ending() string {
	if l.Clean {
		return "yes"
	}
	return fmt.Sprintf("no: positions up to %d may have been issued", l.Reserved)
}

func (l logSummary) losses() string {
	var list []string
	for _, c := range []struct {
		upTo uint64
		what string
	}{{l.IntervalLost, "interval"}, {l.MemoryLost, "memory"}, {l.ForgottenLost, "unknown topics"}} {
		if c.upTo > 0 {
			list = append(list, fmt.Sprintf("%s up to %d", c.what, c.upTo))
		}
	}
	return strings.Join(list, ", ")
}
