package redislog_test

import (
	"fmt"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/eventlog/logtest"
	"github.com/weirstream/weir/internal/sharedlog"
)

// TestLogIsALog runs the suite of all logs, also with so little memory that most data is
// read from the server.
func TestLogIsALog(t *testing.T) {
	s := startServer(t)
	n := 0
	for name, hot := range map[string]int64{"hot": 0, "cold": 1} {
		t.Run(name, func(t *testing.T) {
			logtest.Run(t, func(t *testing.T, o eventlog.Options) eventlog.Log {
				n++
				s := s.at(t)
				return s.open(fmt.Sprint(n), sharedlog.Options{History: o, HotBytes: hot})
			})
		})
	}
}
