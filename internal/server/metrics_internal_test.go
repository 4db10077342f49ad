package server

import (
	"sync"
	"testing"
)

func TestRisingCountNeverStepsBack(t *testing.T) {
	var r rising
	for _, step := range [][2]int64{{5, 5}, {3, 5}, {5, 5}, {6, 6}, {0, 6}} {
		if got := r.atLeast(step[0]); got != step[1] {
			t.Errorf("atLeast(%d) = %d, want %d", step[0], got, step[1])
		}
	}
}

// TestRisingCountOfManyScrapes lets several ask at once; each sees it rise.
func TestRisingCountOfManyScrapes(t *testing.T) {
	var r rising
	var wg sync.WaitGroup
	for start := range int64(4) {
		wg.Go(func() {
			last := int64(0)
			for n := range int64(10_000) {
				got := r.atLeast(start + n - n%7)
				if got < last || got < start+n-n%7 {
					t.Errorf("%d after %d", got, last)
				}
				last = got
			}
		})
	}
	wg.Wait()
}
