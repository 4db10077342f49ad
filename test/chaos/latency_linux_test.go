package chaos_test

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/weirstream/weir/sse"
)

// latencies are the times from publishing to receiving of live messages.
type latencies struct {
	mu   sync.Mutex
	list []time.Duration // guarded by mu
}

func newLatencies() *latencies { return new(latencies) }

func (l *latencies) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.list)
}

// take returns the times since it was called last, sorted.
func (l *latencies) take() (list []time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list, l.list = l.list, nil
	slices.Sort(list)
	return list
}

// functions are those of readers and of a publisher.
func (l *latencies) functions(s *server) (fns []func(context.Context)) {
	for range liveReaders {
		fns = append(fns, newFollower(s.url, "topic=live", l.hear).run)
	}
	return append(fns, func(ctx context.Context) {
		tick := time.NewTicker(liveEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _, _ = s.post("live", []string{strconv.FormatInt(time.Now().UnixNano(), 10)}, "") // a failure shows: nobody gets it
			case <-ctx.Done():
				return
			}
		}
	})
}

func (l *latencies) hear(e sse.Event) {
	sent, err := strconv.ParseInt(string(e.Data), 10, 64)
	if err != nil { // where the stream begins
		return
	}
	d := time.Since(time.Unix(0, sent))
	l.mu.Lock()
	l.list = append(l.list, d)
	l.mu.Unlock()
}

// quantile returns the time within which the share q of a sorted list lies.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(q*float64(len(sorted)-1))]
}
