//go:build !linux

package machine

func memoryLimit() uint64 { return 0 }

func openFileLimit() uint64 { return 0 }
