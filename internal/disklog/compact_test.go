package disklog_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// holey makes a log of which most has been deleted.
func holey(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	l := open(t, dir, disklog.Options{Durability: disklog.Interval, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 5}}})
	for i := range 2000 {
		e := message(fmt.Sprintf("topic/%d", i%7), strings.Repeat("data", 100))
		e.State, e.Key = i%3 == 0, fmt.Sprint(i%11)
		e.IdempotencyKey = fmt.Sprint("key ", i)
		add(t, l, e)
	}
	l.Forget("topic/3")
	if err := l.Commit(t.Context(), []eventlog.Put{{Key: "k", Value: []byte("v")}}); err != nil {
		t.Fatal(err)
	}
	l.Close()
	return dir
}

// leftovers fails the test if there is anything but the log in dir.
func leftovers(t testing.TB, dir string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 || files[0].Name() != disklog.FileName {
		t.Errorf("the directory holds %v, %v; want the log alone", files, err)
	}
}

func TestCompactKeepsEverythingInLessSpace(t *testing.T) {
	dir := holey(t)
	path := filepath.Join(dir, disklog.FileName)
	if err := os.Chmod(path, 0o606); err != nil { // unlike what any umask leaves
		t.Fatal(err)
	}
	// What one that was killed has left behind.
	if err := os.WriteFile(path+".compact", []byte("half a file"), 0o400); err != nil {
		t.Fatal(err)
	}
	was := describe(t, dir)
	before, after, err := disklog.Compact(t.Context(), dir, quiet)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || before != was.info.FileBytes || after != info.Size() || after > before/2 || info.Mode().Perm() != 0o606 {
		t.Errorf("from %d to %d bytes, mode %v, %v; the file had %d, has %d, and most was free", before, after, info.Mode(), err, was.info.FileBytes, info.Size())
	}
	leftovers(t, dir)
	sound(t, dir)
	is := describe(t, dir)
	is.info.FileBytes, is.info.FreeBytes = was.info.FileBytes, was.info.FreeBytes
	if !reflect.DeepEqual(is.info, was.info) || !reflect.DeepEqual(is.topics, was.topics) {
		t.Errorf("the log is\n%+v %+v, was\n%+v %+v", is.info, is.topics, was.info, was.topics)
	}
	for pattern := range was.entries {
		if got, want := texts(is.entries[pattern]), texts(was.entries[pattern]); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %q, was %q", pattern, got, want)
		}
	}
	l := open(t, dir, disklog.Options{})
	e := message("a", "")
	e.IdempotencyKey = "key 1999"
	if add(t, l, e); !e.Duplicate || string(l.Value("k")) != "v" || l.Epoch() != was.info.Epoch {
		t.Errorf("the key is a duplicate: %v; value %q; epoch %q, was %q", e.Duplicate, l.Value("k"), l.Epoch(), was.info.Epoch)
	}
}

// TestCompactThatEndsEarlyChangesNothing ends it at each of its steps.
func TestCompactThatEndsEarlyChangesNothing(t *testing.T) {
	dir := holey(t)
	before := contents(t, dir)
	steps := 0
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancel(t.Context())
		calls := 0
		_, _, err := disklog.Compact(ctx, dir, func(string, int64, int64) {
			if calls++; calls == at {
				cancel()
			}
		})
		cancel()
		if err == nil {
			break
		}
		steps++
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("ended at call %d of the progress: %v", at, err)
		}
		if leftovers(t, dir); !bytes.Equal(before, contents(t, dir)) {
			t.Fatalf("ended at call %d of the progress: the file has changed", at)
		}
	}
	if steps < 10 {
		t.Errorf("it was ended %d times, want more", steps)
	}
}

func TestCompactRefuses(t *testing.T) {
	dir := holey(t)
	l := open(t, dir, disklog.Options{})
	if _, _, err := disklog.Compact(t.Context(), dir, quiet); !errors.Is(err, disklog.ErrInUse) {
		t.Errorf("Compact while a log is open gives %v, want ErrInUse", err)
	}
	l.Close()
	b := bytes.ReplaceAll(contents(t, dir), []byte("datadata"), []byte("dataDATA"))
	overwrite(t, dir, b)
	if _, _, err := disklog.Compact(t.Context(), dir, quiet); !errors.Is(err, disklog.ErrDamaged) {
		t.Errorf("Compact of a damaged log gives %v, want ErrDamaged", err)
	}
	if leftovers(t, dir); !bytes.Equal(b, contents(t, dir)) {
		t.Error("the file has changed")
	}
}

// TestCompactChecksItsCopy damages the copy as soon as it is written.
func TestCompactChecksItsCopy(t *testing.T) {
	dir := holey(t)
	before := contents(t, dir)
	last := ""
	_, _, err := disklog.Compact(t.Context(), dir, func(step string, _, _ int64) {
		if step == "pages" && last == "copying" {
			path := filepath.Join(dir, disklog.FileName+".compact")
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, bytes.Replace(b, []byte("datadata"), []byte("dataDATA"), 1), 0)
			}
			if err != nil {
				t.Error(err)
			}
		}
		last = step
	})
	if !errors.Is(err, disklog.ErrDamaged) || !strings.Contains(err.Error(), "copy") {
		t.Errorf("Compact gives %v, want ErrDamaged of the copy", err)
	}
	if leftovers(t, dir); !bytes.Equal(before, contents(t, dir)) {
		t.Error("the file has changed")
	}
}
