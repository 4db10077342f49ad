package server_test

import (
	"testing"
	"time"

	"github.com/weirstream/weir/internal/config"
)

// TestKeysAreRememberedAsTheSettingsSay publishes with the keys 1, 2 and 1 again.
func TestKeysAreRememberedAsTheSettingsSay(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(h *config.History)
		status int // of the repetition
	}{
		{"defaults", func(*config.History) {}, 200},
		{"one key", func(h *config.History) { h.IdempotencyKeys = 1 }, 201},
		{"no time", func(h *config.History) { h.IdempotencyWindow = time.Nanosecond }, 201},
	} {
		s := defaults(t)
		c.change(&s.History)
		r := start(t, s)
		for i, key := range []string{"1", "2", "1"} {
			want := 201
			if i == 2 {
				want = c.status
			}
			if resp, body := r.do(t, "POST", "/v1/topics/a", "x", "Idempotency-Key: "+key); resp.StatusCode != want {
				t.Errorf("%s, message %d: %s %s, want %d", c.name, i, resp.Status, body, want)
			}
		}
	}
}
