//go:build !linux

package notify

// monotonic returns 0: there is no systemd.
func monotonic() int64 { return 0 }
