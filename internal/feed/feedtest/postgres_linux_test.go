package feedtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/feed/feedtest"
	"github.com/weirstream/weir/internal/leak"
)

func TestMain(m *testing.M) { os.Exit(leak.Run(m)) }

// TestKilledPostgresLeavesNothingBehind looks for what would stay until the machine is
// started anew.
func TestKilledPostgresLeavesNothingBehind(t *testing.T) {
	s, err := feedtest.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	held := memoryOf(t, s.Dir)
	s.Kill()
	if left := present(t, held); !slices.Equal(left, held) {
		t.Errorf("a killed server holds %q, and leaves %q", held, left)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if left := append(present(t, held), present(t, []string{s.Dir})...); left != nil {
		t.Errorf("after Close there is %q", left)
	}
}

// memoryOf lists what a server shares with its processes: files, and the line of a segment
// of System V in the table of the system.
func memoryOf(t *testing.T, dir string) []string {
	t.Helper()
	lines := strings.Split(read(t, filepath.Join(dir, "data", "postmaster.pid")), "\n") // see the comment in PostgreSQL's pidfile.h
	files := regexp.MustCompile(`/dev/shm/\S+`).FindAllString(read(t, "/proc/"+lines[0]+"/maps"), -1)
	var key, id int
	if _, err := fmt.Sscan(lines[6], &key, &id); err != nil || len(files) == 0 {
		t.Fatalf("process %s has the files %q and the segment %q, %v", lines[0], files, lines[6], err)
	}
	slices.Sort(files)
	return append(slices.Compact(files), fmt.Sprintf("segment %d %d", key, id))
}

// present are those of what memoryOf returns, or of files, that are there.
func present(t *testing.T, held []string) (left []string) {
	t.Helper()
	table := strings.Split(read(t, "/proc/sysvipc/shm"), "\n")
	for _, what := range held {
		_, err := os.Stat(what)
		segment, isSegment := strings.CutPrefix(what, "segment ")
		if err == nil || isSegment && slices.ContainsFunc(table, func(row string) bool {
			return strings.HasPrefix(strings.Join(strings.Fields(row), " ")+" ", segment+" ")
		}) {
			left = append(left, what)
		}
	}
	return left
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
