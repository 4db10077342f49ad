package backoff

import (
	"net/http"
	"strconv"
	"time"
)

// RetryAfter reads the value of the HTTP header Retry-After, seconds or a date. Anything
// else counts as nothing, 0. The server that sends it is the only bound on what it says.
func RetryAfter(text string) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
