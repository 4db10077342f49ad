//go:build unix

package disklog

import (
	"io/fs"
	"os"
	"syscall"
)

// giveTo gives a file the owner of another: root may compact the log of a server that
// runs as somebody else.
func giveTo(like fs.FileInfo, path string) error {
	owner, ok := like.Sys().(*syscall.Stat_t)
	info, err := os.Stat(path)
	if err != nil || !ok {
		return err
	}
	if now, ok := info.Sys().(*syscall.Stat_t); ok && now.Uid == owner.Uid && now.Gid == owner.Gid {
		return nil
	}
	return os.Chown(path, int(owner.Uid), int(owner.Gid))
}
