package command_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/feed"
	"github.com/weirstream/weir/internal/feed/command"
	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
	"github.com/weirstream/weir/internal/proctest"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

func start(t *testing.T, bed *feedtest.Bed, line string, change func(o *feed.Options)) *feedtest.Running {
	t.Helper()
	spec := feed.Spec{Name: "test", Command: line, Topic: "lines", DeadLetter: "dead"}
	o := feed.Options{Spec: spec, Source: command.New(spec)}
	if change != nil {
		change(&o)
	}
	return bed.Start(o)
}

func TestLinesAreMessages(t *testing.T) {
	bed := feedtest.New(t)
	r := start(t, bed, `i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done; printf 'cut\r\n\nend'; exec sleep 1000`, nil)
	want := append(feedtest.Numbers(0, 2000), "cut", "")
	bed.AwaitData("lines", want)
	r.Stop()
	bed.AwaitData("lines", append(want, "end")) // it ended without a line end
}

func TestCommandIsStartedAgain(t *testing.T) {
	bed := feedtest.New(t)
	count := filepath.Join(t.TempDir(), "count")
	r := start(t, bed, fmt.Sprintf(`echo x >> %s; wc -l < %[1]s; exit 3`, count), nil)
	bed.AwaitData("lines", []string{"1", "2", "3"})
	r.Stop()
	if s := r.Stats(); s.Failures < 2 {
		t.Errorf("Stats() = %+v", s)
	}
}

func TestStateSaysHowTheCommandEnded(t *testing.T) {
	bed := feedtest.New(t)
	r := start(t, bed, `exit 3`, nil)
	feedtest.Await(t, "the state", func() error {
		s := r.Stats()
		return feedtest.Not(s.State == feed.Failing && s.Error == "the command ended: exit status 3", "%+v", s)
	})
}

// TestTheCommandWaitsForTheLog has it print more than a pipe holds.
func TestTheCommandWaitsForTheLog(t *testing.T) {
	bed := feedtest.New(t)
	bed.Log.Full.Store(true)
	done := filepath.Join(t.TempDir(), "done")
	start(t, bed, fmt.Sprintf(`i=0; while [ $i -lt 40000 ]; do echo $i; i=$((i+1)); done; touch %s; exec sleep 1000`, done), nil)
	feedtest.Await(t, "refusals", func() error { return feedtest.Not(bed.Log.Refused.Load() > 3, "%d", bed.Log.Refused.Load()) })
	if _, err := os.Stat(done); err == nil {
		t.Error("the command has printed everything, though nobody took it")
	}
	bed.Log.Full.Store(false)
	feedtest.Await(t, "the end", func() error { _, err := os.Stat(done); return err })
	feedtest.Await(t, "the last line", func() error {
		d := bed.Data("lines")
		return feedtest.Not(len(d) > 0 && d[len(d)-1] == "39999", "%d messages", len(d))
	})
}

func TestLongLinesAreDeadLetters(t *testing.T) {
	bed := feedtest.New(t)
	start(t, bed, `echo 123456789; echo 12345678; echo a; exec sleep 1000`, func(o *feed.Options) {
		o.Spec.MaxBytes = 8
		o.Source = command.New(o.Spec)
	})
	bed.AwaitData("lines", []string{"12345678", "a"})
	if d := bed.Data("dead"); len(d) != 1 || !strings.Contains(d[0], "line is 9 bytes, limit 8") || !strings.Contains(d[0], `"data":"12345678"`) {
		t.Errorf("dead letters are %q", d)
	}
}

// TestStopEndsTheWholeGroup stops a command that ignores SIGTERM and has children.
func TestStopEndsTheWholeGroup(t *testing.T) {
	bed := feedtest.New(t)
	beat := filepath.Join(t.TempDir(), "beat")
	r := start(t, bed, fmt.Sprintf(`trap '' TERM; (while :; do echo >> %s; sleep 0.02; done) & echo started; wait`, beat), nil)
	bed.AwaitData("lines", []string{"started"})
	feedtest.Await(t, "beat", func() error { _, err := os.Stat(beat); return err })
	r.Stop()
	before, err := os.ReadFile(beat)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // ten beats
	if after, _ := os.ReadFile(beat); !bytes.Equal(before, after) {
		t.Error("a child is still running")
	}
}

func TestStandardErrorIsLogged(t *testing.T) {
	bed := feedtest.New(t)
	var log proctest.Transcript
	start(t, bed, `printf 'oh ' >&2; echo dear >&2; head -c 10000 /dev/zero | tr '\0' x >&2; echo >&2; exec sleep 1000`, func(o *feed.Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	feedtest.Await(t, "the lines", func() error {
		s := log.String()
		return feedtest.Not(strings.Contains(s, `text="oh dear"`) && strings.Contains(s, strings.Repeat("x", 4096)), "%.500s", s)
	})
	if strings.Contains(log.String(), strings.Repeat("x", 4097)) {
		t.Error("a line is longer than the limit")
	}
}
