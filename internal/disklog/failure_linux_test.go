package disklog_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// withoutRoom runs fn while this process may not write to files, which the system
// reports like a disk without room. No other test runs at the same time.
func withoutRoom(t *testing.T, fn func()) {
	t.Helper()
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	limit := func(l unix.Rlimit) {
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	limit(unix.Rlimit{Cur: 1, Max: before.Max})
	defer limit(before)
	fn()
}

func TestFullDiskStoresNothing(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	add(t, l, keyed("a", "1"))
	followed := 0
	l.Follow(func(*eventlog.Entry) { followed++ })
	withoutRoom(t, func() {
		for range 3 {
			err := l.Commit(t.Context(), []eventlog.Put{{Key: "n", Value: []byte("1")}}, keyed("a", "2"), message("a", "3"))
			if !errors.Is(err, disklog.ErrNoSpace) || !errors.Is(err, eventlog.ErrFull) {
				t.Errorf("Commit = %v, want ErrNoSpace", err)
			}
		}
		if es, _ := read(t, l, "a"); len(es) != 1 || followed != 0 || l.Head() != 1 || l.Value("n") != nil {
			t.Errorf("%d messages, %d followed, head %d, value %q; want what was there before", len(es), followed, l.Head(), l.Value("n"))
		}
	})
	e := keyed("a", "2")
	roomAgain(t, func() error { return l.Append(t.Context(), e) })
	if e.Duplicate || e.Seq != 2 {
		t.Errorf("duplicate %v, position %d, want a new message at 2", e.Duplicate, e.Seq)
	}
	l = open(t, crashed(t, dir), disklog.Options{})
	if es, lost := read(t, l, "a"); len(es) != 2 || lost != 0 {
		t.Errorf("%d messages after a crash, lost up to %d; want 2, 0", len(es), lost)
	}
}

// TestFullDiskKeepsWhatWaits acknowledges a message that is to be stored soon, and
// finds no room for it for a while.
func TestFullDiskKeepsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	o := disklog.Options{Durability: disklog.Interval, Interval: time.Millisecond}
	l := open(t, dir, o)
	add(t, l, message("a", "1")) // reserves positions
	withoutRoom(t, func() {
		add(t, l, message("a", "2"))
		if err := l.Commit(t.Context(), []eventlog.Put{{Key: "n", Value: []byte("1")}}); !errors.Is(err, disklog.ErrNoSpace) {
			t.Errorf("Commit = %v, want ErrNoSpace", err)
		}
	})
	deadline := time.Now().Add(10 * time.Second)
	for {
		es, _ := read(t, open(t, crashed(t, dir), o), "a")
		if len(es) == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages are on the disk, want 2", len(es))
		}
	}
}

// breakFile makes writing to the log's file fail from now on: its descriptor becomes
// one that can only be read.
func breakFile(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, disklog.FileName)
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	for fd := range 1000 {
		if fd == int(readOnly.Fd()) {
			continue
		}
		var there, want unix.Stat_t
		if unix.Fstat(fd, &there) != nil || unix.Fstat(int(readOnly.Fd()), &want) != nil || there.Ino != want.Ino || there.Dev != want.Dev {
			continue
		}
		if err := unix.Dup3(int(readOnly.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the log's file is not open")
}

func TestFailedDiskTakesNothingMore(t *testing.T) {
	dir := t.TempDir()
	failed := make(chan error, 10)
	l := open(t, dir, disklog.Options{Failed: func(err error) { failed <- err }})
	add(t, l, message("a", "1"))
	breakFile(t, dir)
	for range 3 {
		if err := l.Append(t.Context(), message("a", "2")); !errors.Is(err, disklog.ErrFailed) || !errors.Is(err, eventlog.ErrFailed) {
			t.Errorf("Append = %v, want ErrFailed", err)
		}
	}
	if es, _ := read(t, l, "a"); len(es) != 1 || l.Head() != 1 {
		t.Errorf("%d messages, head %d; want what was there before", len(es), l.Head())
	}
	if err := l.Close(); !errors.Is(err, disklog.ErrFailed) {
		t.Errorf("Close = %v, want ErrFailed", err)
	}
	if err := <-failed; !errors.Is(err, unix.EBADF) || len(failed) > 0 {
		t.Errorf("Failed was told %v, and %d times more; want the system's error, once", err, len(failed))
	}
	if es, lost := read(t, open(t, dir, disklog.Options{}), "a"); len(es) != 1 || lost != 0 {
		t.Errorf("%d messages are there again, lost up to %d; want 1, 0", len(es), lost)
	}
}

// TestForgottenOnAFullDiskStaysForgotten forgets a topic when nothing can be stored.
func TestForgottenOnAFullDiskStaysForgotten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, disklog.Options{})
	both := message("a", "1")
	both.Topics = []string{"a", "b"}
	add(t, l, both)
	var err error
	withoutRoom(t, func() { _, err = l.Forget("a") })
	if es, _ := read(t, l, "a"); !errors.Is(err, disklog.ErrNoSpace) || len(es) != 1 {
		t.Errorf("Forget on a full disk = %v, and %d messages are left; want ErrNoSpace, 1", err, len(es))
	}
	roomAgain(t, func() error { _, err := l.Forget("a"); return err })
	if es, _ := read(t, open(t, crashed(t, dir), disklog.Options{}), "a"); len(es) != 0 {
		t.Errorf("%d messages are there again", len(es))
	}
}

// roomAgain calls fn until the log looks again whether there is room.
func roomAgain(t *testing.T, fn func() error) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := fn()
		if err == nil {
			return
		}
		if !errors.Is(err, disklog.ErrNoSpace) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
