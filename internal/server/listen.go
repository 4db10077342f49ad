package server

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"syscall"

	"github.com/weirstream/weir/internal/config"
)

// listen binds one address. The file of a socket that nobody listens on any more
// is replaced; its permissions are mode, or what the umask leaves if that is 0. The
// error does not repeat the address.
func listen(l config.Listener, mode fs.FileMode) (net.Listener, error) {
	ln, err := net.Listen(l.Network, l.Address)
	if l.Network == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		if err = removeStale(l.Address); err == nil {
			ln, err = net.Listen(l.Network, l.Address)
		}
	}
	if err == nil && l.Network == "unix" && mode != 0 {
		if err = os.Chmod(l.Address, mode); err != nil {
			ln.Close()
			return nil, err
		}
	}
	return ln, cause(err)
}

// removeStale removes a socket file, unless somebody listens on it, or it is
// another kind of file.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return errors.New("the file exists and is no socket")
	}
	nc, err := net.Dial("unix", path)
	switch {
	case err == nil:
		nc.Close()
		return syscall.EADDRINUSE
	case !errors.Is(err, syscall.ECONNREFUSED): // perhaps another user's, and in use
		return err
	}
	return os.Remove(path)
}

// cause takes off what says again which call failed for which address.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if call, ok := errors.AsType[*os.SyscallError](err); ok {
		err = call.Err
	}
	return err
}
