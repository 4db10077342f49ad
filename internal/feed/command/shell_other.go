//go:build !unix

package command

import "os/exec"

var shell = []string{"cmd", "/C"}

func prepare(*exec.Cmd) {}

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() } // it may have ended
