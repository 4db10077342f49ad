package leak

import (
	"strings"
	"testing"
	"time"
)

func TestLeftWaitsForWhatEndsAndShowsWhatDoesNot(t *testing.T) {
	done := make(chan struct{})
	go func() { <-done }()
	if got := strings.Join(stacks(), "\n"); !strings.Contains(got, "leak.TestLeftWaits") {
		t.Errorf("a goroutine that waits is not shown:\n%s", got)
	}
	time.AfterFunc(20*time.Millisecond, func() { close(done) })
	if left := Left(); left != "" {
		t.Errorf("after it has ended there is left:\n%s", left)
	}
}
