//go:build !linux

package bench

import (
	"errors"
	"math"
	"time"
)

var errOnlyLinux = errors.New("only known on Linux")

func processCPU(int) (time.Duration, error) { return 0, errOnlyLinux }

func processRSS(int) (int64, error) { return 0, errOnlyLinux }

// ownCPU is 0: unknown.
func ownCPU() time.Duration { return 0 }

// raiseDescriptors leaves the limit to the system.
func raiseDescriptors() (int, error) { return math.MaxInt, nil }

func confine(cpus []int) (restore func(), err error) {
	if len(cpus) > 0 {
		return nil, mistake("cpu: processors can only be chosen on Linux")
	}
	return func() {}, nil
}
