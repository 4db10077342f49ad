package fanout

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/weirstream/weir/eventlog"
	"github.com/weirstream/weir/internal/loop"
)

// A counter takes everything and is its own owner.
type counter struct {
	conn  loop.Conn
	bytes int
	keep  bool
	got   []byte // if keep
}

func (c *counter) Write(p []byte) (int, error) {
	c.bytes += len(p)
	if c.keep {
		c.got = append(c.got, p...)
	}
	return len(p), nil
}

func (c *counter) Close(bool)                  {}
func (c *counter) Closed(loop.Reason)          {}
func (c *counter) Drained()                    {}
func (c *counter) Farewell(loop.Reason) []byte { return nil }
func (c *counter) Reuse(int)                   {}

// start returns a table in use: appending to the log reaches its readers.
func start(t testing.TB) (*Table, *eventlog.Memory) {
	log, err := eventlog.NewMemory(eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tab := NewTable(loop.New(1).Pick(), new(Feed), log, NewEncoder(log.Epoch()))
	log.Follow(func(e *eventlog.Entry) {
		tab.feed.Push(e)
		tab.Wake()
	})
	tab.loop.Do(func() { tab.loop.AddTable(tab) })
	return tab, log
}

func (t *Table) connect(j Join) *counter {
	c := new(counter)
	c.conn.Init(t.loop, &loop.Config{Limit: 1 << 20}, c, -1, c, 0, false)
	c.conn.Add()
	t.loop.Do(func() { t.Join(&c.conn, j) })
	return c
}

func sel(t testing.TB, patterns ...string) *eventlog.Selector {
	s, err := eventlog.Select(patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t testing.TB, log eventlog.Log, data string, topics ...string) {
	if err := log.Append(context.Background(), &eventlog.Entry{Message: eventlog.Message{Topics: topics, Data: []byte(data)}}); err != nil {
		t.Fatal(err)
	}
}

// TestMessagesAreEncodedOncePerForm has readers of all forms, with chunk framing
// and without, of several selectors, live and catching up.
func TestMessagesAreEncodedOncePerForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const messages = 20
		tab, log := start(t)
		var encoded [numForms]map[uint64]int
		for f, encode := range tab.enc.make {
			encoded[f] = make(map[uint64]int)
			tab.enc.make[f] = func(e *eventlog.Entry) []byte {
				encoded[f][e.Seq]++
				return encode(e)
			}
		}
		var conns []*counter
		join := func() {
			for i := range 96 {
				j := Join{Selector: sel(t, []string{"a", "*", "**"}[i%3]), Form: Form(i % 4), Framed: i%8 < 4}
				conns = append(conns, tab.connect(j))
			}
		}
		join()
		for i := range messages {
			publish(t, log, fmt.Sprint(i), "a", "b")
			synctest.Wait()
		}
		join()
		synctest.Wait()
		for f := range encoded {
			if len(encoded[f]) != messages {
				t.Errorf("form %d: %d messages were encoded, want %d", f, len(encoded[f]), messages)
			}
			for seq, n := range encoded[f] {
				if n != 1 {
					t.Errorf("form %d: message %d was encoded %d times", f, seq, n)
				}
			}
		}
		for _, c := range conns {
			c.conn.Close(loop.Ended)
		}
	})
}

// TestMessagesNobodyFollowsAreNotEncoded also holds for forms nobody wants.
func TestMessagesNobodyFollowsAreNotEncoded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, log := start(t)
		for f := range tab.enc.make {
			encode := tab.enc.make[f]
			tab.enc.make[f] = func(e *eventlog.Entry) []byte {
				if Form(f) != Lines || e.Topics[0] != "a" {
					t.Errorf("form %d of a message in %q was made", f, e.Topics)
				}
				return encode(e)
			}
		}
		c := tab.connect(Join{Selector: sel(t, "a"), Form: Lines})
		for i := range 10 {
			publish(t, log, fmt.Sprint(i), []string{"a", "b"}[i%2])
		}
		synctest.Wait()
		if c.bytes == 0 {
			t.Error("nothing was sent")
		}
		c.conn.Close(loop.Ended)
	})
}

// TestGroupsComeAndGoWithTheirReaders looks at what the table keeps.
func TestGroupsComeAndGoWithTheirReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, log := start(t)
		joins := []Join{
			{Selector: sel(t, "a")},
			{Selector: sel(t, "a", "b/*")},
			{Selector: sel(t, "b/*", "a", "a")}, // the same as the one before
			{Selector: sel(t, "a"), Form: Lines},
			{Selector: sel(t, "a"), Framed: true},
			{Selector: sel(t, "**")},
		}
		var conns []*counter
		for range 10 {
			for _, j := range joins {
				conns = append(conns, tab.connect(j))
			}
		}
		synctest.Wait()
		want := func(groups, patterns, readers int) {
			t.Helper()
			synctest.Wait()
			n := 0
			for _, g := range tab.groups {
				n += len(g.live)
				for i, m := range g.live {
					if int(m.reader.index) != i || m.fd != -1 {
						t.Fatalf("member %d has index %d and descriptor %d", i, m.reader.index, m.fd)
					}
				}
				if g.readers != len(g.live) || g.pending != nil {
					t.Errorf("group has %d readers, %d of them live, and pending: %v", g.readers, len(g.live), g.pending)
				}
			}
			if len(tab.groups) != groups || tab.index.Len() != patterns || n != readers || tab.readers.Load() != int64(readers) {
				t.Errorf("%d groups with %d patterns and %d readers (counted: %d), want %d, %d, %d",
					len(tab.groups), tab.index.Len(), n, tab.readers.Load(), groups, patterns, readers)
			}
		}
		want(5, 6, 60)
		publish(t, log, "x", "a", "b/c")
		for i, c := range conns { // leave one of the first kind, all others but those of the last
			if i >= 6 && i%6 != 5 || i > 0 && i < 5 {
				c.conn.Close(loop.Ended)
			}
		}
		want(2, 2, 11)
		for _, c := range conns {
			c.conn.Close(loop.Ended)
		}
		want(0, 0, 0)
		if len(tab.dirty) != 0 || !tab.idle {
			t.Errorf("%d dirty groups, idle %v", len(tab.dirty), tab.idle)
		}
	})
}

// TestOverrunAmidAStepLosesNothing has the feed overwritten while a step is under
// way: what it has gathered must still be delivered.
func TestOverrunAmidAStepLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tab, log := start(t)
		c := tab.connect(Join{Selector: sel(t, "a"), Form: Text, Slow: CatchUp})
		c.keep = true
		synctest.Wait()
		match, n := tab.match, 0
		done := make(chan struct{})
		tab.loop.Do(func() { // both are dispatched in one step
			publish(t, log, "1", "a")
			publish(t, log, "22", "a")
			tab.match = func(g *group) {
				match(g)
				if n++; n == 1 {
					for range feedEntries {
						publish(t, log, "", "b")
					}
				}
			}
			close(done)
		})
		<-done
		synctest.Wait()
		publish(t, log, "333", "a")
		synctest.Wait()
		if want := "1\n22\n333\n"; string(c.got) != want {
			t.Errorf("got %q, want %q", c.got, want)
		}
		c.conn.Close(loop.Ended)
	})
}

// TestStepAllocs holds the promise of design and code: no allocation for any
// delivery, with one message and with many in one write.
func TestStepAllocs(t *testing.T) {
	const readers = 100
	tab, _ := start(t)
	var conns []*counter
	for i := range readers {
		conns = append(conns, tab.connect(Join{Selector: sel(t, []string{"a/*", "**"}[i%2]), Form: Form(i % 2)}))
	}
	entries := make([]*eventlog.Entry, 20_000)
	for i := range entries {
		entries[i] = &eventlog.Entry{Message: eventlog.Message{Topics: []string{"a/b", "a/c", "x"}, Data: make([]byte, 128)}, Seq: uint64(i + 1)}
		for f := range numForms {
			tab.enc.Frame(entries[i], f, false) // encoding is once per message and form
		}
	}
	for _, burst := range []int{1, 10} {
		var allocs float64
		done := make(chan struct{})
		tab.loop.Do(func() {
			step := func() {
				for range burst {
					tab.feed.Push(entries[0])
					entries = entries[1:]
				}
				tab.Step()
			}
			for range 20 { // scratch grows to what is needed
				step()
			}
			allocs = testing.AllocsPerRun(500, step)
			close(done)
		})
		<-done
		if allocs != 0 {
			t.Errorf("burst of %d to %d readers: %v allocations", burst, readers, allocs)
		}
	}
	if n := tab.Stats().Delivered; n != readers*(521+5210) {
		t.Errorf("%d messages were delivered, want %d", n, readers*(521+5210))
	}
	for _, c := range conns {
		c.conn.Close(loop.Ended)
	}
}
