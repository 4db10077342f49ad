//go:build !linux

package loop

import (
	"errors"
	"net"
	"time"
)

var errUnsupported = errors.New("loop: connections cannot be taken over on this system")

// Detach is not supported here.
func Detach(net.Conn, time.Duration, time.Duration) (int, error) { return -1, errUnsupported }

// Attach is not supported here.
func Attach(int) (net.Conn, error) { return nil, errUnsupported }
