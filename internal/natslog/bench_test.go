package natslog_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/natsserver"
	"github.com/weirstream/weir/internal/sharedlog"
	"github.com/weirstream/weir/internal/sharedlog/nodetest"
)

// setups are ways to run the server: the default, one that waits for its disk, and three
// of which most must have a record.
var setups = map[string]func(t testing.TB) *server{
	"one": func(t testing.TB) *server { return startServer(t) },
	"sync": func(t testing.TB) *server {
		s := natsserver.Start(t, natsserver.Options{Config: "max_payload: 8MB"})
		return &server{s, t, s.URL()}
	},
	"three": func(t testing.TB) *server { return startTrio(t).server },
}

var setupNames = []string{"one", "sync", "three"}

// BenchmarkPublish publishes messages of 128 bytes, 64 at a time, on all nodes together.
// An operation is one message.
func BenchmarkPublish(b *testing.B) {
	for _, nodes := range []int{1, 2} {
		for _, setup := range setupNames {
			for _, flight := range []int{1, 64} {
				b.Run(fmt.Sprintf("nodes=%d/server=%s/flight=%d", nodes, setup, flight), func(b *testing.B) {
					benchmarkPublish(b, nodes, flight, setups[setup])
				})
			}
		}
	}
}

func benchmarkPublish(b *testing.B, nodes, flight int, start func(testing.TB) *server) {
	s := start(b)
	var logs []*sharedlog.Log
	for range nodes {
		logs = append(logs, s.open("bench", sharedlog.Options{}))
	}
	data := strings.Repeat("x", 128)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for g := range max(flight, nodes) {
		wg.Go(func() {
			l := logs[g%nodes]
			for next.Add(1) <= int64(b.N) {
				if err := l.Append(context.Background(), nodetest.Message(fmt.Sprint("t/", g), data)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

// BenchmarkOtherNode publishes on one node, one message after the other, and takes the
// time until the follower of another node has it, and until the publisher has its answer.
func BenchmarkOtherNode(b *testing.B) {
	for _, setup := range setupNames {
		b.Run("server="+setup, func(b *testing.B) {
			s := setups[setup](b)
			from, to := s.open("bench", sharedlog.Options{}), s.open("bench", sharedlog.Options{})
			came := make(chan time.Time, 1)
			to.Follow(func(*eventlog.Entry) { came <- time.Now() })
			var there, answered []time.Duration
			for b.Loop() {
				start := time.Now()
				nodetest.Add(b, from, nodetest.Message("a", "x"))
				answered = append(answered, time.Since(start))
				there = append(there, (<-came).Sub(start))
			}
			for name, list := range map[string][]time.Duration{"other": there, "own": answered} {
				slices.Sort(list)
				b.ReportMetric(float64(list[len(list)/2].Microseconds()), name+"-p50-us")
				b.ReportMetric(float64(list[len(list)*99/100].Microseconds()), name+"-p99-us")
			}
		})
	}
}

// BenchmarkOpen reads a log of 100,000 messages of 128 bytes in records of 100.
func BenchmarkOpen(b *testing.B) {
	s := startServer(b)
	o := sharedlog.Options{History: eventlog.Options{Default: eventlog.Retention{MaxEntries: 200_000}, TotalBytes: 1 << 30}}
	l := s.open("bench", o)
	data := strings.Repeat("x", 128)
	for range 1000 {
		var es []*eventlog.Entry
		for i := range 100 {
			es = append(es, nodetest.Message(fmt.Sprint("t/", i), data))
		}
		nodetest.Add(b, l, es...)
	}
	for b.Loop() {
		s.open("bench", o).Close()
	}
}
