package chaos_test

import (
	"strings"
	"testing"
)

// TestSecondProcessIsRefused starts a server on the directory of another.
func TestSecondProcessIsRefused(t *testing.T) {
	first := newServer(t)
	first.start()
	id := first.publish("a", "1")
	second := newServerOn(t, first.dir)
	second.launch()
	if second.listens() {
		t.Fatal("a second server runs on the same directory")
	}
	code := second.exitCode()
	said := strings.TrimSuffix(second.said.String(), "\n")
	if code != 75 || strings.Contains(said, "\n") || !strings.Contains(said, first.dir) || !strings.Contains(said, "in use") {
		t.Errorf("the second server ends with code %d and says %q; want 75 and one line that names the directory", code, said)
	}
	t.Logf("code %d: %s", code, strings.ReplaceAll(said, first.dir, "DIR"))
	if next := first.publish("a", "2"); place(next) <= place(id) { // the server's own messages may come between
		t.Errorf("the first server gave %s and then %s", id, next)
	}
	first.kill()
	second.start() // the lock ends with its process
	if got, err := second.readTo(t, "topic=a", second.publish("a", "3")); err != nil || strings.Join(got, "") != "12" {
		t.Errorf("the second server reads %q, %v", got, err)
	}
}
