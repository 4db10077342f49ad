package disklog_test

import (
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/disklog"
)

func open(t testing.TB, dir string, o disklog.Options) *disklog.Log {
	t.Helper()
	l, err := disklog.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestLogIsALog runs the suite of all logs, for each durability, and with so little
// memory that most data is read from the file.
func TestLogIsALog(t *testing.T) {
	for _, d := range []disklog.Durability{disklog.Always, disklog.Interval, disklog.Memory} {
		for name, hot := range map[string]int64{"hot": 0, "cold": 1} {
			t.Run(d.String()+"/"+name, func(t *testing.T) {
				logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
					return open(t, t.TempDir(), disklog.Options{History: o, Durability: d, HotBytes: hot})
				})
			})
		}
	}
}
