package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/bench"
	"github.com/weirstream/weir/internal/disklog"
)

func logCommand(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Look at the messages that a server keeps on disk",
		Long: `Look at the messages that a server keeps on disk, in the directory that it was given
with --data. No server may have the directory open.`,
		Example: `  weir log info /var/lib/weir
  weir log topics /var/lib/weir --sort bytes --limit 10
  weir log cat /var/lib/weir 'orders/**' --since 1h
  weir log verify /var/lib/weir && weir log compact /var/lib/weir`,
	}
	groupOnly(cmd)
	for _, c := range []*cobra.Command{logInfo(s), logTopics(s), logCat(s), logVerify(s), logCompact(s)} {
		c.ValidArgsFunction = completeDir
		cmd.AddCommand(c)
	}
	return cmd
}

// completeDir completes the first argument, a directory.
func completeDir(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// readLog calls fn with the log in a directory.
func readLog(dir string, fn func(*disklog.Reader) error) error {
	r, err := disklog.OpenReader(dir)
	if err != nil {
		return logError(dir, err)
	}
	return logError(dir, errors.Join(fn(r), r.Close()))
}

// logError says what an error about the log in dir means for its user.
func logError(dir string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return errInterrupted
	case errors.Is(err, disklog.ErrInUse):
		return &inUse{dir}
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no log in %s", dir)
	case errors.Is(err, disklog.ErrDamaged):
		return fmt.Errorf("%s; weir log verify %s tells more", printable(strings.TrimPrefix(err.Error(), "disklog: ")), dir)
	}
	return err
}

// inUse means that a server has the directory open.
type inUse struct{ dir string }

func (e *inUse) Error() string {
	return e.dir + " is in use by another process (stop the server first)"
}

func (e *inUse) Unwrap() error { return disklog.ErrInUse }

// selected returns the selector of patterns, of all topics if there are none.
func selected(patterns []string) (*eventlog.Selector, error) {
	if len(patterns) == 0 {
		patterns = []string{"**"}
	}
	sel, err := eventlog.Select(patterns...)
	if err != nil {
		return nil, usage("%s", strings.TrimPrefix(err.Error(), "eventlog: "))
	}
	return sel, nil
}

// A logBar shows the progress of a command, if there is a terminal.
type logBar struct {
	notes
	step  string
	since time.Time // when the step began
}

func newLogBar(s Streams) *logBar {
	return &logBar{notes: notes{w: s.Err, live: isTerminal(s.Err)}}
}

func (b *logBar) progress(step string, done, total int64) {
	if step != b.step {
		b.step, b.since = step, time.Now()
	}
	if total == 0 {
		b.set(step)
		return
	}
	rate := float64(done) / max(time.Since(b.since).Seconds(), 1e-3)
	b.set(progressBar(bench.Progress{Step: step, Done: done, Total: total, Rate: rate}))
}

// bytesText writes a number of bytes for people: "1.5 MiB".
func bytesText(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1 << 10; f < 1<<10 {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

// timeText writes a time for people, to the second.
func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }
