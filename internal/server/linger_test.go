package server_test

import (
	"strings"
	"testing"
	"time"
)

// TestDrainWaitsForAReaderThatReadsSlowly: drain.timeout is 30 s, the reader needs 8.
func TestDrainWaitsForAReaderThatReadsSlowly(t *testing.T) {
	r := start(t, drainSettings(t))
	slow := stuck(t, r) // 1000 messages of 20 kB
	r.cancel()
	got := 0
	for {
		line, err := slow.body.ReadString('\n')
		if strings.HasPrefix(line, "data: ") {
			got++
			time.Sleep(8 * time.Millisecond)
		}
		if err != nil {
			if got != 1000 {
				t.Errorf("the reader got %d messages, then %v", got, err)
			}
			return
		}
	}
}
