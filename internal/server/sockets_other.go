//go:build !linux

package server

import (
	"net"
	"time"
)

// giveUpAfter does nothing: the system decides.
func giveUpAfter(net.Conn, time.Duration) {}
