package feedtest

import (
	"fmt"
	"testing"
)

// LaunchRedis starts redis-server, which keeps what it has acknowledged in dir, and waits
// until it listens; it may still be loading. It is killed when the test ends.
func LaunchRedis(t *testing.T, dir string, port int, args ...string) *Process {
	t.Helper()
	p := Launch(t, nil, "redis-server", append([]string{"--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always"}, args...)...)
	p.AwaitListening(t, port)
	return p
}
