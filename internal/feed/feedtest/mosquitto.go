package feedtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirstream/weir/internal/proctest"
)

// LaunchMosquitto starts mosquitto with a listener, and waits until it listens. Settings
// are lines of its configuration, which follow those of the listener. It keeps its
// sessions in dir. It is killed when the test ends.
func LaunchMosquitto(t *testing.T, dir string, port int, settings ...string) *proctest.Process {
	t.Helper()
	lines := append([]string{
		"user root", // only root can become another
		"log_type all", "pid_file " + filepath.Join(dir, "pid"),
		"persistence true", "persistence_location " + dir + "/", "autosave_interval 0", "max_queued_messages 0",
		"allow_anonymous true", fmt.Sprintf("listener %d 127.0.0.1", port),
	}, settings...)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := proctest.Launch{Args: []string{proctest.Need(t, "mosquitto"), "-c", file}}.Start(t)
	p.AwaitListening(t, Patience, port)
	return p
}
