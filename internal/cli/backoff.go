package cli

import (
	"time"

	"github.com/weirstream/weir/internal/backoff"
)

const (
	firstWait   = 200 * time.Millisecond
	longestWait = 10 * time.Second
)

// newBackoff is for clients of a server.
func newBackoff() backoff.Backoff { return backoff.Backoff{First: firstWait, Longest: longestWait} }
