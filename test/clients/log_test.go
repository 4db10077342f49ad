package clients_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// A logFile is a file that grows, followed by "tail -F", which is piped into "weir pub".
type logFile struct {
	t    *testing.T
	path string
}

func growingLog(t *testing.T, s *server, topic string) *logFile {
	t.Helper()
	log := &logFile{t, filepath.Join(t.TempDir(), "app.log")}
	log.append(1, 0) // makes the file
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	launch(t, proctest.Launch{In: r, Args: []string{weirPath, "pub", "--server", s.url, topic}})
	tail := launch(t, proctest.Launch{Stdout: w, Args: []string{proctest.Need(t, "tail"), "-n", "+1", "-F", log.path}})
	tail.In.Close()
	r.Close()
	w.Close()
	return log
}

// append writes the numbers from..to to the file, a line each.
func (l *logFile) append(from, to int) {
	l.t.Helper()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	for i := from; i <= to; i++ {
		if _, err := fmt.Fprintln(f, i); err != nil {
			l.t.Fatal(err)
		}
	}
}
