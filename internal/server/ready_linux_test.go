package server_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/disklog"
)

// answered reads the answer to a request on a connection that is kept.
func (c *reader) answered(t *testing.T, method, target, body string) (status int, text string) {
	t.Helper()
	resp := c.send(t, method, target, body)
	b, err := io.ReadAll(c.body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestReadySaysWhyItIsNot asks a server that drains, and waits for a reader.
func TestReadySaysWhyItIsNot(t *testing.T) {
	r := start(t, drainSettings(t))
	stuck(t, r)
	kept := r.connect(t)
	if status, text := kept.answered(t, "GET", "/readyz", ""); status != 200 || text != "ok\n" {
		t.Errorf("before: %d %q", status, text)
	}
	r.cancel()
	eventually(t, "it is no longer ready", func() bool {
		status, text := kept.answered(t, "GET", "/readyz", "")
		return status == 503 && text == "draining\n"
	})
	if status, _ := kept.answered(t, "GET", "/healthz", ""); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
}

// TestReadySaysThatTheLogHasFailed breaks the file of a server, which then stops.
func TestReadySaysThatTheLogHasFailed(t *testing.T) {
	s := drainSettings(t)
	s.Data = t.TempDir()
	r := start(t, s)
	slow := stuck(t, r) // holds the drain up
	kept := r.connect(t)
	if status, _ := kept.answered(t, "GET", "/readyz", ""); status != 200 {
		t.Errorf("before: %d", status)
	}
	breakFile(t, s.Data)
	if status, text := kept.answered(t, "POST", "/v1/topics/a", "x"); status < 500 {
		t.Errorf("publish: %d %s", status, text)
	}
	if status, text := kept.answered(t, "GET", "/readyz", ""); status != 503 || text != "the log has failed\n" {
		t.Errorf("after: %d %q", status, text)
	}
	slow.Close()
	if err := r.wait(t); !errors.Is(err, eventlog.ErrFailed) {
		t.Errorf("Run returned %v, want the failure", err)
	}
	<-r.done
	r.done <- nil // the test has seen it
}

// breakFile makes writing to a log's file fail from now on: its descriptor becomes one
// that can only be read.
func breakFile(t *testing.T, dir string) {
	t.Helper()
	readOnly, err := os.Open(filepath.Join(dir, disklog.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	var want unix.Stat_t
	if err := unix.Fstat(int(readOnly.Fd()), &want); err != nil {
		t.Fatal(err)
	}
	for fd := range 1000 {
		var there unix.Stat_t
		if fd == int(readOnly.Fd()) || unix.Fstat(fd, &there) != nil || there.Ino != want.Ino || there.Dev != want.Dev {
			continue
		}
		if err := unix.Dup3(int(readOnly.Fd()), fd, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatal("the log's file is not open")
}
