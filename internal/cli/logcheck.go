package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/internal/disklog"
)

func logVerify(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "verify DIR",
		Short: "Check everything in a log",
		Long: `Check everything in a log: every page of the file, the checksum and the fields of
every message, and that the rest agrees with them. It changes nothing.

What is damaged is printed, one line for each place and at most 100; the exit code is
1 then.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, bar := args[0], newLogBar(s)
			r, err := disklog.Verify(cmd.Context(), dir, bar.progress)
			if bar.erase(); err != nil {
				return logError(dir, err)
			}
			return printReport(s, dir, r)
		},
	}
}

func printReport(s Streams, dir string, r *disklog.Report) error {
	if r.Sound() {
		_, err := fmt.Fprintf(s.Out, "%s: sound; entries %d, topics with losses %d, idempotency keys %d, values %d, pages %d\n",
			dir, r.Entries, r.Topics, r.Keys, r.Values, r.Pages)
		return err
	}
	for _, place := range r.Damage {
		if _, err := fmt.Fprintln(s.Out, printable(place)); err != nil {
			return err
		}
	}
	if r.More > 0 {
		fmt.Fprintf(s.Out, "and %d more\n", r.More)
	}
	return fmt.Errorf("%s: %d places are damaged", dir, len(r.Damage)+r.More)
}

func logCompact(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "compact DIR",
		Short: "Give the free space in a log back to the system",
		Long: `Give the free space in a log back to the system: write it anew next to the file, check
that, and put it in the file's place. The disk must have room for both. Until the
last moment the file stays as it is, also if the command is interrupted.

A server uses free space again by itself; this is for after a log was much larger.`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, bar := args[0], newLogBar(s)
			before, after, err := disklog.Compact(cmd.Context(), dir, bar.progress)
			if bar.erase(); err != nil {
				return logError(dir, err)
			}
			_, err = fmt.Fprintf(s.Out, "%s: %s before, %s after\n", dir, bytesText(before), bytesText(after))
			return err
		},
	}
}
