package disklog_test

import (
	"testing"

	"github.com/weirstream/weir/internal/disklog"
)

// TestNoPositionComesAgain crashes, and ends well, when the newest messages are gone
// already.
func TestNoPositionComesAgain(t *testing.T) {
	for name, end := range map[string]func(l *disklog.Log, dir string) string{
		"crash":     func(_ *disklog.Log, dir string) string { return crashed(t, dir) },
		"clean end": func(l *disklog.Log, dir string) string { l.Close(); return dir },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir, disklog.Options{})
			add(t, l, message("b", "1"), message("a", "2"), message("a", "3"))
			if n, err := l.Forget("a"); err != nil || n != 2 {
				t.Fatalf("Forget = %d, want 2", n)
			}
			l = open(t, end(l, dir), disklog.Options{})
			if es, lost := read(t, l, "a"); l.Head() != 3 || len(es) != 0 || lost != 3 {
				t.Errorf("head %d, %d messages, lost up to %d; want 3, 0, 3", l.Head(), len(es), lost)
			}
			e := message("a", "4")
			if add(t, l, e); e.Seq != 4 {
				t.Errorf("position %d, want 4", e.Seq)
			}
		})
	}
}
