package chaos_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirstream/weir/sse"
)

const (
	cutClients = 200
	cutRate    = 1000     // messages each second
	cutMost    = 60 << 10 // bytes that a connection may carry, some two seconds' worth
)

// A counter is a client that wants the numbers 1, 2, 3 and so on.
type counter struct {
	*follower
	n     atomic.Int64 // the last number it got
	wrong error        // what it got instead of the next
}

func newCounter(url string) *counter {
	c := new(counter)
	c.follower = newFollower(url, "topic=numbers", func(e sse.Event) {
		if e.Data == nil || c.wrong != nil {
			return
		}
		got, err := strconv.ParseInt(string(e.Data), 10, 64)
		if next := c.n.Load() + 1; err != nil || e.Type != "" || got != next {
			c.wrong = fmt.Errorf("%s, type %q, data %q, where %d was due", e.ID, e.Type, e.Data, next)
			return
		}
		c.n.Store(got)
	})
	return c
}

// TestClientsWithCutConnectionsGetEverything cuts the connections of many clients at
// random places while messages flow.
func TestClientsWithCutConnectionsGetEverything(t *testing.T) {
	s := newServer(t, everything...)
	s.start()
	network := newCutter(t, s.addr, cutMost)
	var clients []*counter
	var runs []func(context.Context)
	for range cutClients {
		c := newCounter(network.url)
		clients = append(clients, c)
		runs = append(runs, c.run)
	}
	stop := background(t, runs...)
	published := s.count(t, lasting(12*time.Second, 0.2))
	flowed := time.Now()
	network.spare()
	visits := 0
	for i, c := range clients {
		await(t, fmt.Sprintf("client %d", i), func() error { return missing(int(c.n.Load()), published) })
	}
	caughtUp := time.Since(flowed)
	stop()
	for i, c := range clients {
		visits += c.visits
		if n := int(c.n.Load()); c.wrong != nil || n != published {
			t.Errorf("client %d got 1 to %d of %d: %v", i, n, published, c.wrong)
		}
	}
	t.Logf("%d clients, %d messages, %d cuts, %d connections; all had everything %v after the last message",
		len(clients), published, network.cuts.Load(), visits, caughtUp.Round(time.Millisecond))
	if int(network.cuts.Load()) < 5*cutClients {
		t.Errorf("%d connections were cut, want at least %d", network.cuts.Load(), 5*cutClients)
	}
}

// count publishes the numbers from 1 on for some time, and returns the last.
func (s *server) count(t *testing.T, d time.Duration) (n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start := time.Now()
	for passed := time.Duration(0); passed < d; passed = time.Since(start) {
		<-tick.C // at least once a message is due
		var data []string
		for n < int(time.Since(start).Seconds()*cutRate) {
			n++
			data = append(data, strconv.Itoa(n))
		}
		s.publish("numbers", data...)
	}
	return n
}

func missing(got, want int) error {
	if got < want {
		return fmt.Errorf("%d of %d have come", got, want)
	}
	return nil
}
