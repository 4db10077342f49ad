//go:build unix

package command

import (
	"os/exec"
	"syscall"
)

var shell = []string{"/bin/sh", "-c"}

// prepare gives the command a process group of its own, which is told to end when its
// context does.
func prepare(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// kill ends what is left of the group.
func kill(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // there may be nothing
