package durable

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
)

// TestLocksServeInOrder locks one stream from several goroutines, of which one leaves.
func TestLocksServeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ls locks
		unlock, err := ls.lock(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		gone, leave := context.WithCancel(t.Context())
		var mu sync.Mutex
		var order []int
		for i := range 5 {
			ctx := t.Context()
			if i == 2 {
				ctx = gone
			}
			go func() {
				unlock, err := ls.lock(ctx, "a")
				if i == 2 {
					if !errors.Is(err, context.Canceled) {
						t.Errorf("who has left gets %v", err)
					}
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				unlock()
			}()
			synctest.Wait()
		}
		leave()
		synctest.Wait()
		if other, err := ls.lock(t.Context(), "b"); err != nil {
			t.Error(err)
		} else {
			other()
		}
		unlock()
		synctest.Wait()
		if !slices.Equal(order, []int{0, 1, 3, 4}) || len(ls.byName) != 0 {
			t.Errorf("order %v, %d locks are left; want [0 1 3 4], none", order, len(ls.byName))
		}
	})
}
