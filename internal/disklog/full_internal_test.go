package disklog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

func TestOnlyAWriteFindsTheDiskFull(t *testing.T) {
	for _, c := range []struct {
		err  error
		full bool
	}{
		{&os.PathError{Op: "write", Path: "f", Err: syscall.ENOSPC}, true},
		{&os.PathError{Op: "write", Path: "f", Err: syscall.EDQUOT}, true},
		{fmt.Errorf("file resize error: %s", &os.PathError{Op: "truncate", Path: "f", Err: syscall.EFBIG}), true},
		{syscall.ENOSPC, false}, // of fsync
		{&os.PathError{Op: "write", Path: "f", Err: syscall.EIO}, false},
		{errors.New("no space left on device, or so"), false},
	} {
		if got := isFull(c.err); got != c.full {
			t.Errorf("isFull(%v) = %v", c.err, got)
		}
	}
}
