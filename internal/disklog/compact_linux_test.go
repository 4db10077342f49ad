package disklog_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/disklog"
)

// TestCompactKeepsTheOwner compacts the log of somebody else, as root may.
func TestCompactKeepsTheOwner(t *testing.T) {
	dir := holey(t)
	path := filepath.Join(dir, disklog.FileName)
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 54321
	}
	if err := os.Chown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	if _, _, err := disklog.Compact(t.Context(), dir, quiet); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := info.Sys().(*syscall.Stat_t); int(s.Uid) != uid || int(s.Gid) != gid {
		t.Errorf("the file belongs to %d:%d, want %d:%d", s.Uid, s.Gid, uid, gid)
	}
}

// TestServerThatWaitsForCompactGetsTheNewFile opens the log while it is being
// compacted: whoever waits for the lock has opened the old file.
func TestServerThatWaitsForCompactGetsTheNewFile(t *testing.T) {
	dir := holey(t)
	opened := make(chan *disklog.Log, 1)
	waiting := false
	_, _, err := disklog.Compact(t.Context(), dir, func(step string, done, total int64) {
		if waiting || step != "copying" {
			return
		}
		waiting = true
		before := descriptors(t, dir)
		go func() {
			l, err := disklog.Open(dir, disklog.Options{})
			if err != nil {
				t.Error(err)
			}
			opened <- l
		}()
		for deadline := time.Now().Add(5 * time.Second); descriptors(t, dir) <= before; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody opens the file")
			}
		}
	})
	l := <-opened
	if err != nil || l == nil {
		t.Fatal(err)
	}
	defer l.Close()
	e := message("a", "written after all")
	add(t, l, e)
	l.Close()
	got := collect(t, reader(t, dir), "a", 0)
	if len(got) != 1 || got[0].Seq != e.Seq {
		t.Errorf("the log has %d entries of the topic, want the one that was acknowledged", len(got))
	}
}

// descriptors counts those of this process for the log in dir.
func descriptors(t *testing.T, dir string) (n int) {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && to == filepath.Join(dir, disklog.FileName) {
			n++
		}
	}
	return n
}
