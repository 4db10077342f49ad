package sharedlog_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/sharedlog"
)

// A narrow list takes records up to a size.
type narrow struct {
	*list
	t     *testing.T
	limit int

	mu      sync.Mutex
	largest int // guarded by mu: record that was added
}

func (n *narrow) MaxRecord() int { return n.limit }

func (n *narrow) Append(ctx context.Context, epoch string, after sharedlog.Mark, tag string, record []byte, frees bool) ([]sharedlog.Record, error) {
	n.mu.Lock()
	n.largest = max(n.largest, len(record))
	n.mu.Unlock()
	if len(record) > n.limit {
		n.t.Errorf("a record has %d bytes, limit %d", len(record), n.limit)
	}
	return n.list.Append(ctx, epoch, after, tag, record, frees)
}

// TestRecordsKeepToTheLimitOfTheEngine publishes on many connections at once, and cleans
// up: what is together must not be too large for one record.
func TestRecordsKeepToTheLimitOfTheEngine(t *testing.T) {
	e := &narrow{list: newList(), t: t, limit: 400_000}
	o := sharedlog.Options{Garbage: 1, History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 3}, TotalBytes: 1 << 30}}
	l := open(t, e, o)
	var wg sync.WaitGroup
	for g := range 50 {
		wg.Go(func() {
			for i := range 5 {
				if err := l.Append(context.Background(), message(fmt.Sprint("t/", g), strings.Repeat("x", 1000*(g+7*i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var es []*eventlog.Entry
	for i := range 3 { // together as much as the engine takes
		es = append(es, message("large", strings.Repeat("x", 133_000)), message("other", fmt.Sprint(i)))
	}
	add(t, l, es...)
	if e.largest < 399_000 {
		t.Errorf("the largest record has %d bytes", e.largest)
	}
	add(t, l, message("other", "a"), message("other", "b"), message("other", "c"))
	for range 3 {
		if err := l.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	got, lost := read(t, open(t, e, o), 0, "**")
	if len(got) != 3*50+3+3 || lost == 0 {
		t.Errorf("%d messages are left, want %d", len(got), 3*50+3+3)
	}
}

// TestTooMuchForTheEngineIsRefused has one more byte than what fits.
func TestTooMuchForTheEngineIsRefused(t *testing.T) {
	e := &narrow{list: newList(), t: t, limit: 400_000}
	l := open(t, e, sharedlog.Options{})
	err := l.Append(t.Context(), message("a", strings.Repeat("x", 300_000)), message("a", strings.Repeat("x", 100_000)))
	if !errors.Is(err, eventlog.ErrTooLarge) || !strings.Contains(err.Error(), "limit 399936") {
		t.Errorf("Append = %v, want ErrTooLarge with the limit", err)
	}
	add(t, l, message("a", "x"))
	if l.Head() != 1 {
		t.Errorf("position %d, want 1", l.Head())
	}
}
