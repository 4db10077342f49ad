package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weirstream/weir/internal/proctest"
	"github.com/weirstream/weir/sse"
)

const (
	behindPublishers = 4
	behindBatch      = 2000                 // messages in one request
	liveReaders      = 10                   // while somebody catches up
	liveEvery        = 5 * time.Millisecond // one message for them
	liveBound        = time.Second          // 99 of 100 of these arrive within
	growthBound      = 32 << 20             // bytes by which the server may grow meanwhile
)

// TestReaderFarBehindCatchesUpFromTheDisk reads a long history of which next to
// nothing is in the server's memory, while others follow what is new.
func TestReaderFarBehindCatchesUpFromTheDisk(t *testing.T) {
	history := size(200_000, 1_000_000)
	s := newServer(t, append(slices.Clip(everything), "--disk.memory", "1MiB")...)
	s.start()
	start := time.Now()
	s.publishHistory(t, history)
	t.Logf("%d messages published in %v; %v", history, time.Since(start).Round(time.Millisecond), s.memory())

	live := newLatencies()
	stop := background(t, live.functions(s)...)
	await(t, "live messages", func() error { return missing(live.len(), 20*liveReaders) })
	quiet := live.take()
	before := s.memory()
	most := newWatch(s)
	stopWatch := background(t, most.run)
	start = time.Now()
	n := s.readHistory(t)
	took := time.Since(start)
	stopWatch()
	during := live.take()
	stop()

	t.Logf("caught up with %d messages in %v, %.0f/s; at most %v; before %v", n, took.Round(time.Millisecond), float64(n)/took.Seconds(), most.Memory, before)
	t.Logf("live: %d messages before, p50 %v, p99 %v; %d meanwhile, p50 %v, p99 %v, slowest %v",
		len(quiet), quantile(quiet, 0.5), quantile(quiet, 0.99), len(during), quantile(during, 0.5), quantile(during, 0.99), quantile(during, 1))
	if n != history {
		t.Errorf("the reader got %d messages, want %d", n, history)
	}
	if grown := most.Own - before.Own; grown > growthBound {
		t.Errorf("the server has grown by %d MiB, want at most %d", grown>>20, growthBound>>20)
	}
	if p99 := quantile(during, 0.99); p99 > liveBound {
		t.Errorf("99 of 100 live messages arrive within %v, want %v", p99, liveBound)
	}
}

// publishHistory publishes the numbers from 1 on to the topics history/0, /1 and so on.
func (s *server) publishHistory(t *testing.T, n int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, behindPublishers)
	for p := range behindPublishers {
		wg.Go(func() {
			for i := 0; i < n/behindPublishers && errs[p] == nil; i += behindBatch {
				var data []string
				for j := range behindBatch {
					data = append(data, strconv.Itoa(i+j+1))
				}
				_, _, errs[p] = s.post(fmt.Sprintf("history/%d", p), data, "")
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// readHistory reads it to its end, checks its order and returns how many messages
// there are.
func (s *server) readHistory(t *testing.T) (n int) {
	t.Helper()
	id := s.publish("history/end", "1")
	next := make(map[string]int)
	r := newFollower(s.url, "envelope=true&topic=history/*", func(e sse.Event) {
		if e.Data == nil || e.ID == id {
			return
		}
		n++
		topic, number := envelope(e.Data)
		if next[topic]++; next[topic] != number {
			t.Errorf("topic %s: number %d where %d was due", topic, number, next[topic])
		}
	})
	r.catchUp(t, func() bool { return r.last == id || t.Failed() })
	return n
}

// envelope takes topic and number out of a message in the form of NDJSON.
func envelope(line []byte) (topic string, number int) {
	var m struct{ Topic, Data string }
	if err := json.Unmarshal(line, &m); err != nil {
		return "", 0
	}
	number, _ = strconv.Atoi(m.Data)
	return m.Topic, number
}

// A watch notes the most memory that a server takes for its own.
type watch struct {
	server *server
	proctest.Memory
}

func newWatch(s *server) *watch { return &watch{server: s, Memory: s.memory()} }

func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		if m := w.server.memory(); m.Own > w.Own {
			w.Memory = m
		}
		wait(ctx, 5*time.Millisecond)
	}
}
