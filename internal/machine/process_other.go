//go:build !linux

package machine

func readProcess() Process { return Process{} }
