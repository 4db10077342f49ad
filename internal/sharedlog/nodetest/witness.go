package nodetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A Witness notes what the follower of a node gets.
type Witness struct {
	mu   sync.Mutex
	seqs []uint64 // guarded by mu
	data []string // guarded by mu
}

// Follow follows a node, which nobody else may.
func Follow(l *sharedlog.Log) *Witness {
	w := new(Witness)
	l.Follow(func(e *eventlog.Entry) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seqs, w.data = append(w.seqs, e.Seq), append(w.data, string(e.Data))
	})
	return w
}

// Seen returns the positions and the data so far, in the order in which they came.
func (w *Witness) Seen() ([]uint64, []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seqs), slices.Clone(w.data)
}

// publish publishes n messages, one after the other, in each of some goroutines. It
// returns what was acknowledged, and what was not.
func publish(t testing.TB, l *sharedlog.Log, name string, goroutines, n int) (acknowledged, unknown []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range n {
				data := fmt.Sprintf("%s/%d/%d", name, g, i)
				err := l.Append(context.Background(), Message(fmt.Sprint("t/", g), data))
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, data)
				case errors.Is(err, eventlog.ErrUnavailable):
					unknown = append(unknown, data)
				default:
					t.Errorf("Append = %v", err)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return acknowledged, unknown
}

// checkStored wants all that was acknowledged once, what is unknown at most once, and
// nothing else; and that each publisher's messages are in order.
func checkStored(t *testing.T, got, acknowledged, unknown []string) {
	t.Helper()
	times := make(map[string]int)
	last := make(map[string]int)
	for _, data := range got {
		times[data]++
		i := strings.LastIndexByte(data, '/')
		var n int
		fmt.Sscan(data[i+1:], &n)
		if before, ok := last[data[:i]]; ok && n <= before {
			t.Errorf("%s comes after number %d", data, before)
		}
		last[data[:i]] = n
	}
	for _, data := range acknowledged {
		if times[data] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", data, times[data])
		}
		delete(times, data)
	}
	for _, data := range unknown {
		if times[data] > 1 {
			t.Errorf("%s is there %d times", data, times[data])
		}
		delete(times, data)
	}
	if len(times) > 0 {
		t.Errorf("nobody has published %v", times)
	}
}
