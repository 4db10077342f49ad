//go:build unix

package file

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity is device and inode.
func identity(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Dev, s.Ino)
	}
	return ""
}
